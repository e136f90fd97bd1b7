"""What a column measures does not hang on how the image is held, nor on its gain and offset."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemprior.atoms import AtomTable
from napari_stemprior.measurement.column_fit import fit_columns

_SIZE, _SIDE, _WIDTH = 0.2, 56, 0.45


def _columns(seed):
    """Return a noisy image of columns of two heights, some 1.6 Å apart, and places beside the true ones."""
    rng = np.random.default_rng(seed)
    steps = np.arange(8.0, _SIDE - 6, 11)
    yx = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    beside = np.array([0.0, 8.0 if seed % 2 else 7.5])
    yx = np.concatenate([yx, yx[::3] + beside])
    yx = yx[(yx < _SIDE - 6).all(1)] + rng.uniform(-0.3, 0.3, 2)
    y, x = np.mgrid[:_SIDE, :_SIDE]
    image = np.full(y.shape, 20.0)
    for (py, px), height in zip(yx, rng.choice([60.0, 120.0], len(yx)), strict=True):
        image += height * np.exp(-((y - py) ** 2 + (x - px) ** 2) * _SIZE**2 / 2 / _WIDTH**2)
    return rng.poisson(image).astype(float), yx + rng.normal(size=yx.shape) * 0.2


def _fitted(image, yx):
    return fit_columns(image, AtomTable.from_positions(yx, _SIZE))


def _turned(yx, turns):
    for _ in range(turns):  # as numpy.rot90 turns an image
        yx = np.stack([_SIDE - 1 - yx[:, 1], yx[:, 0]], axis=1)
    return yx


@settings(max_examples=4)
@given(seed=st.integers(0, 50), turns=st.integers(0, 3), mirrored=st.booleans())
def test_an_image_that_is_turned_or_mirrored_measures_the_same(seed, turns, mirrored):
    image, yx = _columns(seed)
    turned, there = np.rot90(image, turns), _turned(yx, turns)
    if mirrored:
        turned, there = turned[:, ::-1], there * [1, -1] + [0, _SIDE - 1]
    one, other = _fitted(image, yx), _fitted(np.ascontiguousarray(turned), there)
    assert (one.reason == other.reason).all()
    place = _turned(one.yx, turns)
    if mirrored:
        place = place * [1, -1] + [0, _SIDE - 1]
    np.testing.assert_allclose(other.yx * _SIZE, place * _SIZE, atol=1e-4)
    np.testing.assert_allclose(other.volume, one.volume, rtol=1e-3)
    np.testing.assert_allclose(other.width, one.width, rtol=1e-3)
    np.testing.assert_allclose(other.ellipticity, one.ellipticity, rtol=2e-3)


@settings(max_examples=4)
@given(seed=st.integers(0, 50), gain=st.floats(1e-3, 1e3), offset=st.floats(-5, 5))
def test_gain_and_offset_of_an_image_change_intensities_alone(seed, gain, offset):
    image, yx = _columns(seed)
    one, other = _fitted(image, yx), _fitted(gain * (image + offset * 100), yx)
    assert (one.reason == other.reason).all()
    np.testing.assert_allclose(other.yx * _SIZE, one.yx * _SIZE, atol=1e-4)
    np.testing.assert_allclose(other.volume, gain * one.volume, rtol=1e-3)
    np.testing.assert_allclose(other.width, one.width, rtol=1e-3)
    np.testing.assert_allclose(
        other.background, gain * (one.background + offset * 100), atol=1e-2 * gain * 100
    )
    np.testing.assert_allclose(other.position_error, one.position_error, rtol=0.02)
