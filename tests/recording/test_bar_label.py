"""The label of a scale bar: whole lines of text, whatever streaks and hot pixels look like it."""

import io

import numpy as np
import pytest
from pictures import counts, crystal
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from napari_stemprior.recording.valid_mask import bad_areas

WHITE = 255.0


def text(shape, start, words, size):
    canvas = Image.new("L", shape[::-1])
    ImageDraw.Draw(canvas).text(start[::-1], words, fill=255, font=ImageFont.load_default(size))
    return np.asarray(canvas) > 127


def picture(size=24, streaks=0, hot=0, quality=None):
    """An 8-bit crystal with a white bar, its label, white streaks along single rows and hot pixels."""
    rng = np.random.default_rng(2)
    image = np.clip(gaussian_filter(counts(crystal((300, 300), 10.0, 20.0), 60), 0.8), 0, None)
    image = np.round(image / image.max() * 200)
    label = text(image.shape, (218, 30), "1.8 nm", size)
    mark = label.copy()
    mark[252:260, 30:150] = True
    image[mark] = WHITE
    rows = np.flatnonzero(label.any(axis=1))
    for row in (rows[len(rows) // 2], *rng.integers(0, 180, streaks))[: streaks + 1 if streaks else 0]:
        start = 60 if row >= rows[0] else int(rng.integers(0, 200))
        image[row, start : start + 80] = WHITE
    image[rng.integers(0, 200, hot), rng.integers(0, 300, hot)] = WHITE
    if quality:
        file = io.BytesIO()
        Image.fromarray(image.astype(np.uint8)).save(file, "JPEG", quality=quality)
        image = np.asarray(Image.open(file), float)
    return image.astype(np.float32), label


@pytest.mark.parametrize("size", [12, 16, 24])
@pytest.mark.parametrize("quality", [None, 90, 60])
@pytest.mark.parametrize(("streaks", "hot"), [(0, 0), (6, 0), (6, 60)])
def test_every_letter_and_dot_is_masked(size, quality, streaks, hot):
    image, label = picture(size, streaks, hot, quality)
    found = np.any([area.mask for area in bad_areas(image)], axis=0)
    assert not (label & ~found).any()
    around = np.zeros_like(label)
    rows, columns = np.flatnonzero(label.any(axis=1)), np.flatnonzero(label.any(axis=0))
    around[rows[0] - 4 : rows[-1] + 5, columns[0] - 4 : columns[-1] + 5] = True
    around[248:264, 26:154] = True
    # of the rest, a streak at most
    assert (found & ~around).sum() <= 100 * (streaks + 1)


def test_streaks_near_a_bar_are_no_text():
    image, label = picture(streaks=0)
    image[label] = 100
    image[240, 60:140] = WHITE
    scale_bar = next(area.mask for area in bad_areas(image) if area.kind == "scale bar")
    assert not scale_bar[:238].any()
