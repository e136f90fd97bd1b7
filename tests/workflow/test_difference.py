"""The difference from a reference shows the defects, not gain, offset or blur of the recording."""

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_stemprior.workflow.difference import difference_of, residual

SHAPE = (240, 280)
SPACING = 14


def crystal(missing=()):
    """Columns on a square lattice, some of them left out."""
    picture = np.zeros(SHAPE)
    places = [(y, x) for y in range(8, SHAPE[0], SPACING) for x in range(8, SHAPE[1], SPACING)]
    for y, x in places:
        if (y, x) not in missing:
            picture[y, x] = 1
    return gaussian_filter(picture, 2.0), np.array(places)


def recorded(picture, rng):
    """The same through a blurred probe and a detector whose gain and offset drift over the field."""
    y, x = np.indices(SHAPE) / max(SHAPE)
    seen = (1 + 1.5 * x) * gaussian_filter(picture, 1.5) / picture.max() + 4 + 2 * y
    return (seen + rng.normal(0, 0.05, SHAPE)).astype(np.float32)


def test_vacancies_stand_out_whatever_gain_offset_and_blur():
    missing = ((50, 64), (120, 204), (190, 36))
    clean, places = crystal()
    image = recorded(crystal(missing)[0], np.random.default_rng(3))
    difference = difference_of(image, clean.astype(np.float32))
    at = difference.values[places[:, 0], places[:, 1]]
    empty = np.array([tuple(p) in missing for p in places])
    inner = (places > 20).all(axis=1) & (places < np.array(SHAPE) - 20).all(axis=1)
    assert at[empty].max() < 4 * at[inner & ~empty].min() < 0
    assert (at[empty] <= -0.99 * difference.limit).all(), "in full colour"
    assert np.abs(at[inner & ~empty]).max() < 0.7 * difference.limit, "paler"


def test_a_missing_column_is_about_the_contrast_of_the_reference():
    clean, _ = crystal()
    values = residual(crystal(((120, 134),))[0].astype(np.float32), clean.astype(np.float32))
    assert -1.3 < values[120, 134] < -0.8
    assert np.abs(values[30:80]).max() < 0.05
