"""How many doubts an image has, and that all who tell it tell the same number."""

from dataclasses import replace

import numpy as np
import pytest
from batch_bench import PIXEL_SIZE, PRIOR, SIDE, counted, frames

from napari_stemprior.atoms import AtomTable
from napari_stemprior.commands.segment import _summary
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import drain
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.workflow.count_doubts import count_doubts, doubts_in_words
from napari_stemprior.workflow.pixel_sizes import PixelSizes
from napari_stemprior.workflow.results_table import ImageRow, filled
from napari_stemprior.workflow.segment import SegmentSettings, segment
from napari_stemprior.workflow.segment_box import Box, segment_box
from napari_stemprior.workflow.segment_frame import FrameJob, segment_frame

SHAPE = (SIDE, SIDE)
POSE = Pose.from_angle(7, PIXEL_SIZE, (3, 5), score=0.9)
FIT = LatticeFit(PRIOR, (POSE,))
IMAGE = frames(1)[0]


def crystal(**changes):
    """Put an atom on every site; some values of some rows are changed."""
    yx, index = POSE.columns(PRIOR, SHAPE)
    table = AtomTable.from_positions(
        yx, PIXEL_SIZE, element=[PRIOR.columns[i].element for i in index], confidence=0.97, evidence=0.9
    )
    for name, (at, value) in changes.items():
        table.rows.loc[at, name] = value
    return table


def inner(table, count):
    """Return rows near the middle of the image."""
    return np.argsort(np.hypot(*(table.yx - SIDE / 2).T))[:count]


def test_a_crystal_that_is_as_it_should_be_has_none():
    assert count_doubts(crystal(), IMAGE, FIT) == 0


def test_unsure_atoms_and_empty_sites_count_one_by_one():
    table = crystal()
    a, b, c = inner(table, 3)
    assert count_doubts(crystal(status=([a], "review")), IMAGE, FIT) == 1
    assert count_doubts(crystal(evidence=([a, b], 0.01)), IMAGE, FIT) == 2
    gone = table.where(~np.isin(np.arange(len(table)), [a, b, c]))
    assert count_doubts(gone, IMAGE, FIT) == 3
    assert count_doubts(gone, IMAGE) == 0, "nobody knows of the sites"
    refused = replace(FIT, poses=(replace(POSE, score=0.2),))
    assert count_doubts(gone, IMAGE, refused) == 0, "nor where the lattice does not fit"
    masked = np.zeros(SHAPE, bool)
    y, x = np.rint(table.yx[a]).astype(int)
    masked[y - 1 : y + 2, x - 1 : x + 2] = True
    assert count_doubts(gone, IMAGE, FIT, masked) == 2, "nothing is asked in a mask"


def test_atoms_that_the_image_cannot_show_are_one():
    table = crystal()
    sulphur = table.rows.index[table.rows["element"] == "S"].to_numpy()
    hidden = crystal(evidence=(sulphur, 0.0), source=(sulphur, "lattice"))
    assert len(sulphur) > 10
    assert count_doubts(hidden, IMAGE, FIT) == 1


@pytest.fixture(scope="module")
def operations():
    return counted()


def settings(device="cpu"):
    return SegmentSettings(device=device)


def test_the_table_the_sentence_and_the_provenance_have_the_same_number(operations):
    micrograph = Micrograph(IMAGE, PIXEL_SIZE, "a")
    found = drain(segment(operations, micrograph, PRIOR, None, settings()))
    number = count_doubts(found.table, IMAGE, found.fit)
    assert found.table.provenance["doubts"] == number
    row = filled(ImageRow("a", "a.tif"), found.table)
    assert row.doubts == number
    assert f", {doubts_in_words(number)}, " in _summary(row, "a.csv").replace(f", {row.vacancies} sites", ",")
    job = FrameJob(0, micrograph, PixelSizes(None, PRIOR), settings())
    assert drain(segment_frame(operations, job)).table.provenance["doubts"] == number


def test_a_part_has_no_number_of_its_own(operations):
    micrograph = Micrograph(IMAGE, PIXEL_SIZE, "a")
    found = segment_box(operations, micrograph, PRIOR, None, settings(), Box((10.0, 10.0), (60.0, 60.0)))
    assert "doubts" not in drain(found).table.provenance


def test_the_word_is_doubts():
    assert [doubts_in_words(n) for n in (0, 1, 2)] == ["0 doubts", "1 doubt", "2 doubts"]
