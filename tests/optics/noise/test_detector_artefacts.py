"""Spoiled rows, pixels and borders are as many as asked, and touch nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.errors import InstrumentError
from napari_stemprior.optics.noise.detector_artefacts import DetectorArtefacts
from napari_stemprior.optics.noise.noise_chain import NoiseChain

IMAGE = np.random.default_rng(1).uniform(1, 2, (50, 70)).astype(np.float32)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 99))
def test_as_many_rows_are_spoiled_as_asked(saturated: int, dead: int, seed: int) -> None:
    artefacts = DetectorArtefacts(saturated_rows=saturated, dead_rows=dead)
    out = artefacts.spoiled(IMAGE, 9.0, np.random.default_rng(seed))
    full, empty = (out == 9).all(axis=1), (out == 0).all(axis=1)
    assert (full.sum(), empty.sum()) == (saturated, dead)
    np.testing.assert_array_equal(out[~full & ~empty], IMAGE[~full & ~empty])


def test_hot_and_dead_pixels_come_in_their_fractions() -> None:
    flat = np.ones((500, 400), np.float32)
    out = DetectorArtefacts(hot_pixels=0.01, dead_pixels=0.03).spoiled(flat, 9.0, np.random.default_rng(0))
    assert np.mean(out == 9) == pytest.approx(0.01, rel=0.1)
    assert np.mean(out == 0) == pytest.approx(0.03, rel=0.1)


def test_a_saturated_row_is_at_the_largest_digit_and_a_dead_one_at_the_offset() -> None:
    artefacts = DetectorArtefacts(saturated_rows=2, dead_rows=3)
    chain = NoiseChain(1e3, gain=2.0, offset=10.0, bits=8, artefacts=artefacts)
    out = chain.apply(IMAGE / 10, 0.2, np.random.default_rng(0))
    assert (out == 255).all(axis=1).sum() == 2
    assert (out == 10).all(axis=1).sum() == 3


@given(st.floats(0.05, 1.0))
def test_the_gain_departs_from_one_as_far_as_asked(amount: float) -> None:
    flat = np.ones((80, 90), np.float32)
    out = DetectorArtefacts(uneven_gain=amount).with_uneven_gain(flat, 0.3, np.random.default_rng(3))
    assert out.min() == pytest.approx(1 - amount, abs=1e-5)
    assert out.max() == pytest.approx(1 + amount, abs=1e-5)
    assert np.abs(np.diff(out, axis=0)).max() < 0.1


@given(st.floats(0.0, 4.0), st.integers(0, 99))
def test_a_border_is_an_empty_frame_and_no_wider_than_asked(width: float, seed: int) -> None:
    out = DetectorArtefacts(border=width).with_border(IMAGE, 0.2, np.random.default_rng(seed))
    rows, columns = (out != 0).any(axis=1), (out != 0).any(axis=0)
    np.testing.assert_array_equal(out[np.ix_(rows, columns)], IMAGE[np.ix_(rows, columns)])
    assert max((~rows).sum(), (~columns).sum()) == round(width / 0.2)


@pytest.mark.parametrize("nonsense", [{"border": -1.0}, {"hot_pixels": 1.5}, {"dead_rows": 0.5}])
def test_nonsense_is_said_so(nonsense: dict[str, float]) -> None:
    with pytest.raises(InstrumentError, match=next(iter(nonsense))):
        DetectorArtefacts(**nonsense)  # type: ignore[arg-type]
