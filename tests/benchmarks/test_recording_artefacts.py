"""The artefacts of the recordings benchmark: reproducible, with a truth and a mask that follow them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import cKDTree

from benchmarks.recording import files
from benchmarks.recording.artefacts import CLEAN, NAMES, STRENGTHS, STRONG, TOGETHER, WEAK, Known, recorded
from benchmarks.recording.files import Recording
from benchmarks.recording.scores import judged
from benchmarks.validation.validation_set import Item, items
from napari_stemprior.atoms import AtomTable

DOSE = 1e4


@pytest.fixture(scope="module")
def view() -> Item:
    (found,) = items("04 wse2_vacancies")
    return found


@pytest.fixture(scope="module")
def clean(view: Item) -> Known:
    return recorded(view, DOSE, CLEAN)


def test_a_clean_recording_is_that_of_the_validation_set(view: Item, clean: Known) -> None:
    np.testing.assert_array_equal(clean.recording.image, view.micrograph(DOSE))
    np.testing.assert_allclose(np.sort(clean.truth.yx, 0), np.sort(view.truth.yx, 0))
    np.testing.assert_allclose(clean.vacancies, view.vacancies)
    assert not clean.recording.bad.any()


@pytest.mark.parametrize("name", [*NAMES, TOGETHER])
def test_an_artefact_changes_the_recording_the_same_way_every_time(
    view: Item, clean: Known, name: str
) -> None:
    weak, again, strong = (recorded(view, DOSE, name, s) for s in (WEAK, WEAK, STRONG))
    np.testing.assert_array_equal(weak.recording.image, again.recording.image)
    np.testing.assert_array_equal(weak.truth.yx, again.truth.yx)

    def same(first: Recording, second: Recording) -> bool:
        pictures = np.array_equal(first.image, second.image, equal_nan=True)
        return pictures and first.stated == second.stated

    assert not same(weak.recording, clean.recording)
    assert not same(weak.recording, strong.recording)
    other = recorded(view, DOSE, name, WEAK, seed=1)
    assert not same(weak.recording, other.recording)


@pytest.mark.parametrize("name", ["drift and shear", "flyback", "rotated frame", "afterglow"])
@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_truth_moves_with_the_picture(view: Item, clean: Known, name: str, strength: str) -> None:
    known = recorded(view, 1e6, name, strength)
    size = view.pixel_size
    smooth = gaussian_filter(known.recording.image, 0.3 / size)
    tops = np.argwhere((smooth == maximum_filter(smooth, 5)) & (smooth > 0.5 * smooth.max()))
    judged_tops = tops[~files.at(known.recording.left_out(size), tops)]
    far = np.array(smooth.shape) - 8
    judged_tops = judged_tops[((judged_tops > 8) & (judged_tops < far)).all(axis=1)]
    assert len(judged_tops) > 100
    distance = cKDTree(known.truth.yx).query(judged_tops)[0] * size
    # tops are whole pixels, rows jitter, and the top of a tail comes before its mean
    assert np.median(distance) < (0.3 if name == "afterglow" else 0.15)
    moved = cKDTree(clean.truth.yx).query(known.truth.yx)[0] * size
    assert moved.max() > 0.1


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize("name", ["lost rows", "zero border", "NaN border", "scale bar"])
def test_the_mask_marks_what_was_destroyed(view: Item, clean: Known, name: str, strength: str) -> None:
    found = recorded(view, DOSE, name, strength).recording
    changed = ~np.isclose(found.image, clean.recording.image, equal_nan=True)
    assert found.bad.any()
    assert not (changed & ~found.bad).any()
    assert changed[found.bad].mean() > 0.7  # vacuum was 0 before
    assert not (found.outside & ~found.bad).any()


def test_a_strip_and_empty_corners_are_bad(view: Item, clean: Known) -> None:
    strip = recorded(view, DOSE, "caption strip", STRONG).recording
    height = clean.recording.image.shape[0]
    np.testing.assert_array_equal(strip.image[:height], clean.recording.image)
    assert strip.bad[height:].all()
    assert not strip.bad[:height].any()
    assert strip.image[height:].max() > clean.recording.image.max()  # its letters
    turned = recorded(view, DOSE, "rotated frame", STRONG).recording
    corners = turned.bad[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.all()
    assert (turned.image[turned.bad] == 0).all()


def test_all_together_holds_each_of_them_as_alone(view: Item) -> None:
    together, alone = (recorded(view, DOSE, name, STRONG).recording for name in (TOGETHER, "pixel size"))
    assert together.stated == alone.stated != view.pixel_size
    lost = recorded(view, DOSE, "lost rows", STRONG).recording.bad
    assert (together.bad[: len(lost)] | ~lost).all()


def test_atoms_on_the_mask_are_counted_and_not_judged(view: Item) -> None:
    known = recorded(view, DOSE, "zero border", STRONG)
    perfect = judged(AtomTable.from_positions(known.truth.yx, view.pixel_size), known)
    assert perfect.f1 == 1.0
    on_border = int(files.at(known.recording.bad, known.truth.yx).sum())
    assert perfect.on_mask == on_border > 50
    seen = known.truth.where(~files.at(known.recording.bad, known.truth.yx))
    assert judged(seen, known).f1 == 1.0
    filled = judged(AtomTable.from_positions(np.vstack([seen.yx, known.vacancies]), view.pixel_size), known)
    assert filled.filled == filled.fp == filled.vacancies > 0
