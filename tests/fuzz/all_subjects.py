"""Every reader that is fuzzed."""

import batch_subjects
import image_subjects
import network_subjects
import session_subjects
import structure_subjects
import table_subjects
import zarr_subjects
from subjects import Subject

SUBJECTS: list[Subject] = [
    *image_subjects.SUBJECTS,
    *zarr_subjects.SUBJECTS,
    *structure_subjects.SUBJECTS,
    *table_subjects.SUBJECTS,
    *batch_subjects.SUBJECTS,
    *session_subjects.SUBJECTS,
    *network_subjects.SUBJECTS,
]
