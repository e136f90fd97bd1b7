"""Every reader that is fuzzed."""

import image_subjects
import network_subjects
import structure_subjects
import table_subjects
from subjects import Subject

SUBJECTS: list[Subject] = [
    *image_subjects.SUBJECTS,
    *structure_subjects.SUBJECTS,
    *table_subjects.SUBJECTS,
    *network_subjects.SUBJECTS,
]
