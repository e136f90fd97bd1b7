"""Rows without an electron between rows that have some: lost; in dark gaps of the crystal: good."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.recording import prepare
from napari_stemprior.recording.silent_rows import silent_rows


def counted(mean: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(mean).astype(np.float32)


def rows_of_columns(spacing: float, sigma: float, brightest: float) -> np.ndarray:
    """Mean counts of columns that stand in line with the scan."""
    y, x = np.indices((256, 256), float)
    dy, dx = (y + spacing / 2) % spacing - spacing / 2, (x + 4) % 8 - 4
    return brightest * np.exp(-(dy**2 + dx**2) / (2 * sigma**2))


EVERYWHERE = np.ones((256, 256), bool)


@pytest.mark.parametrize("lost", [[0, 1], [40], [77, 133, 134, 200], [255]])
@pytest.mark.parametrize("rate", [0.08, 0.3])
def test_dead_rows_of_an_image_that_is_mostly_empty(lost, rate):
    image = counted(np.full((256, 256), rate))
    image[lost] = 0
    assert np.flatnonzero(silent_rows(image, EVERYWHERE)).tolist() == lost
    assert not prepare(image).valid[lost].any()
    assert prepare(image).valid.mean() > 1 - (len(lost) + 2.5) / 256  # a border grows


@given(st.floats(6, 40), st.floats(1.2, 4), st.floats(0.02, 20), st.integers(0, 2**31), st.booleans())
def test_gaps_between_rows_of_columns_are_good(spacing, sigma, brightest, seed, turned):
    image = counted(rows_of_columns(spacing, sigma, brightest), seed)
    assert not silent_rows(image.T.copy() if turned else image, EVERYWHERE).any()


def test_vacuum_beside_the_specimen_is_good():
    edge = 1 / (1 + np.exp((np.arange(256) - 120) / 3.0))
    assert not silent_rows(counted(edge[:, None] * np.full((256, 256), 0.3)), EVERYWHERE).any()


def test_letters_of_a_caption_strip_below_an_image_that_is_mostly_empty():
    image = counted(np.full((256, 256), 0.1), 4)
    strip = np.zeros((24, 256), np.float32)
    strip[6:13, 60:190] = counted(np.full((7, 130), 0.25), 5) * 4  # letters of as few pixels as the image
    found = prepare(np.vstack([image, strip]))
    assert not found.valid[256:].any()
    assert found.valid[:254].all()
