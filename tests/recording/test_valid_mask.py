"""Borders, corners, strips, bars and rows: found where they are, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import counts, crystal, overlap
from scipy.ndimage import gaussian_filter, rotate

from napari_stemprior.recording import prepare

IMAGE = counts(crystal((256, 256)))


def bad(image):
    return ~prepare(image).valid


def kinds(image):
    return [a.kind for a in prepare(image).areas]


@pytest.mark.parametrize("width", [1, 2, 20])
@pytest.mark.parametrize("value", [0.0, 7.3, "mean", "max", np.nan])
def test_border(width, value):
    image = IMAGE.copy()
    true = np.ones(image.shape, bool)
    true[width:-width, width:-width] = False
    image[true] = {"mean": IMAGE.mean(), "max": IMAGE.max()}.get(value, value)
    np.testing.assert_array_equal(bad(image), true)


def test_border_of_a_turned_image_is_turned():
    image = IMAGE.copy()
    image[:5], image[:, -11:] = 0, 0
    found = bad(image)
    assert found.sum() == 5 * 256 + 11 * 251
    np.testing.assert_array_equal(bad(image.T), found.T)
    np.testing.assert_array_equal(bad(image[::-1]), found[::-1])


@pytest.mark.parametrize("degrees", [3.0, 17.0, 44.0])
@pytest.mark.parametrize("fill", [0.0, 12.0])
def test_turned_frame(degrees, fill):
    image = rotate(IMAGE.astype(float), degrees, order=1, cval=fill)
    true = rotate(np.ones(IMAGE.shape), degrees, order=1) < 1 - 1e-6
    found = bad(image)
    assert overlap(found, true) > 0.97
    assert not (true & ~found).any()


def test_gaps_between_aligned_columns_are_no_border():
    image = np.round(255 * np.clip(crystal(angle=0, spacing=60) - 0.3, 0, None))
    assert (image[22:38] == image[22, 0]).all()
    assert not bad(image[22:]).any()


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize(("ground", "ink"), [(0, 255), (255, 0), (90, 200)])
def test_caption_strip(top, ground, ink):
    strip = np.full((36, 256), ground, np.float32)
    for x in range(20, 180, 8):
        strip[9:25, x : x + 3] = ink
        strip[9:12, x : x + 6] = ink
    image = np.clip(IMAGE * 8, 0, 255)
    whole = np.vstack([strip, image] if top else [image, strip])
    found = bad(whole)
    true = np.zeros(whole.shape, bool)
    true[:36] = True
    np.testing.assert_array_equal(found, true if top else true[::-1])


@pytest.mark.parametrize("value", [0.0, 60.0, 500.0])
@pytest.mark.parametrize("rows", [[40], [40, 41, 42], list(range(30, 250, 22))])
def test_lost_rows(value, rows):
    image = IMAGE.copy()
    image[rows] = value
    true = np.zeros(image.shape, bool)
    true[rows] = True
    np.testing.assert_array_equal(bad(image), true)
    assert kinds(image) == ["rows"]
    np.testing.assert_array_equal(bad(image.T), true.T)
    assert kinds(image.T) == ["columns"]


def test_saturated_row_with_noise():
    image = IMAGE.copy()
    image[77] = 400 - np.random.default_rng(0).random(256) * 10
    assert np.flatnonzero(bad(image).any(axis=1)).tolist() == [77]


def test_piece_of_a_saturated_row():
    image = IMAGE.copy()
    image[77, 50:200] = 400
    true = np.zeros(image.shape, bool)
    true[77, 50:200] = True
    np.testing.assert_array_equal(bad(image), true)


@pytest.mark.parametrize("value", [0.0, 255.0])
def test_scale_bar_with_label(value):
    image = np.clip(gaussian_filter(IMAGE, 0.8) * 6 + 20, 0, 250)
    true = np.zeros(image.shape, bool)
    true[230:236, 20:90] = True
    true[208:222, 30:34] = True
    image[true] = value
    found = bad(image)
    assert not (true & ~found).any()
    assert (found & ~true).sum() < 600
    assert kinds(image) == ["scale bar"]


@pytest.mark.parametrize("noise", [0, 3])
def test_dead_row_through_the_label_of_a_scale_bar(noise):
    """The letters are drawn over the row: neither a single value nor flat, before they are known."""
    image = np.clip(gaussian_filter(IMAGE, 0.8) * 6 + 20, 0, 250).astype(np.uint8)
    image[212] = np.random.default_rng(0).integers(0, noise + 1, 256)
    for left in (28, 40, 52, 64, 76):  # letters
        image[206:220, left : left + 3] = 255
        image[206:220, left + 7 : left + 10] = 255
        image[206:208, left : left + 10] = 255
    image[226:232, 20:120] = 255
    found = bad(image)
    assert found[212].all()
    assert found[206:220, 28:31].all()
    assert found[226:232, 20:120].all()
    assert kinds(image)[0] == "scale bar"


def test_dead_column_through_a_scale_bar_and_its_label():
    image = np.clip(gaussian_filter(IMAGE, 0.8) * 6 + 20, 0, 250).astype(np.uint8)
    image[:, 58] = np.random.default_rng(0).integers(0, 4, 256)
    for left in (28, 40, 52, 64, 76):  # letters
        image[180:220, left : left + 3] = 255
        image[180:220, left + 7 : left + 10] = 255
        image[180:184, left : left + 10] = 255
    image[226:240, 20:120] = 255
    assert bad(image)[:, 58].all()


@pytest.mark.parametrize("angle", [0.0, 17.0])
@pytest.mark.parametrize("spacing", [10.0, 30.0, 60.0])
def test_clipped_blacks_and_whites_are_specimen(angle, spacing):
    smooth = gaussian_filter(counts(crystal((256, 256), angle, spacing), 100), 1.0)
    for low, high in ((30, 100), (0, 92), (20, 80)):
        image = np.clip(smooth, *np.percentile(smooth, [low, high]))
        assert not bad(image).any()
        assert not bad(np.round(image / image.max() * 255)).any()


def test_hole_and_vacuum_with_lone_electrons_are_specimen():
    part = np.ones((256, 256))
    part[90:150, 80:170] = 0
    assert not bad(counts(crystal((256, 256)) * part)).any()
    assert not bad(crystal((256, 256)) * part).any()
    part[:70] = 0.02
    assert not bad(counts(crystal((256, 256)) * part, 20)).any()


def test_wedge_that_fades_to_nothing_is_specimen():
    part = np.linspace(0.02, 1, 256)[:, None]
    assert not bad(counts(crystal((256, 256)) * part, 10)).any()


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_corners_beside_an_image_that_is_mostly_empty(rate):
    turned = rotate(counts(np.full((256, 256), rate)), 4.0, order=1, cval=0.0)
    corner = rotate(np.ones((256, 256)), 4.0, order=0, cval=0.0) == 0
    assert (corner & ~bad(turned)).sum() < 0.02 * corner.sum()
    assert (bad(turned) & ~corner).mean() < 0.02
