"""Images and a listener for the tests of batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile

from napari_stemprior.inference import Segmenter
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.results_table import ImageRow

PIXEL_SIZE, SIDE = 0.2, 80
PRIOR = built_in("MoS2")


def frames(count: int) -> np.ndarray:
    """(count, SIDE, SIDE) float32: a lattice of Gaussian columns that drifts, with fresh noise."""
    rng = np.random.default_rng(5)
    return np.stack([_drawn(k) + rng.normal(0, 0.05, (SIDE, SIDE)) for k in range(count)]).astype(np.float32)


def _drawn(number: int) -> np.ndarray:
    pose = Pose.from_angle(7, PIXEL_SIZE, (3 + 0.7 * number, 5 - 1.3 * number))
    yx, column = pose.columns(PRIOR, (SIDE, SIDE), margin=8)
    weight = PRIOR.z_weights[column] / PRIOR.z_weights.max()
    image = np.zeros((SIDE, SIDE))
    y, x = np.mgrid[:SIDE, :SIDE]
    for (py, px), height in zip(yx, weight, strict=True):
        image += height * np.exp(-((y - py) ** 2 + (x - px) ** 2) * PIXEL_SIZE**2 / (2 * 0.4**2))
    return image


def stack_file(path: Path, count: int) -> Path:
    """Write a stack of `frames`."""
    tifffile.imwrite(path, frames(count), photometric="minisblack")
    return path


class Heard:
    """A listener that remembers, and does something when an image is finished."""

    def __init__(self, then: Callable[[int], None] = lambda count: None) -> None:
        self.sentences: list[str] = []
        self.rows: list[ImageRow] = []
        self._then = then

    def said(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def finished(self, row: ImageRow, path: Path | None) -> None:
        assert (path is None) == bool(row.error)
        assert path is None or path.exists()
        self.rows.append(row)
        self._then(len(self.rows))

    @property
    def counts(self) -> Counter[str]:
        """How often each image was finished."""
        return Counter(row.image for row in self.rows)


class CountedSegmenter(Segmenter):
    """The real one; tells how many images it was given."""

    images = 0

    def set_image(self, image, pixel_size):
        type(self).images += 1
        super().set_image(image, pixel_size)


def counted() -> Operations:
    """Operations with one network, which counts."""
    CountedSegmenter.images = 0
    segmenter = CountedSegmenter("small", "cpu")
    return Operations(segmenter=lambda model, device, precision: segmenter)
