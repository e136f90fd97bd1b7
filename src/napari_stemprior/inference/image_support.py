"""Where the image itself lets an atom be told, without a lattice."""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.inference.decoding import THRESHOLD
from napari_stemprior.inference.noise_only import shows_something_steps
from napari_stemprior.inference.order import is_ordered_steps, stands_out_steps
from napari_stemprior.inference.tapered_power import ASKING
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.recording.prepared_strips import PreparedStrips

#: Most pixels on a side of the blocks in which an image is looked at.
_BLOCK = 2048


class ImageSupport:
    """What an image supports without a lattice.

    Parameters
    ----------
    prepared : PreparedImage or PreparedStrips
    pixel_size : float
        Å/px.
    strict : bool
        Of an image that shows no order tell those atoms alone that stand out of it.

    Attributes
    ----------
    unordered : bool
        Whether the image shows no order and only what stands out is told.
    only_noise : bool
        Whether no place shows more than noise.
    """

    def __init__(self, prepared: PreparedImage | PreparedStrips, pixel_size: float, strict: bool) -> None:
        self.prepared, self.pixel_size, self.strict = prepared, pixel_size, strict
        rows, columns = (_parts(length) for length in prepared.shape)
        self._blocks = [(y, x) for y in rows for x in columns]
        self.unordered = self.only_noise = False
        self._known: NDArray[np.bool_] | None = None

    @classmethod
    def of(
        cls, prepared: PreparedImage | PreparedStrips, pixel_size: float, strict: bool
    ) -> Generator[Progress, None, ImageSupport]:
        """Ask an image for order, step by step; the parameters are those of the class."""
        support = cls(prepared, pixel_size, strict)
        if not strict:
            return support
        for block in support._blocks:
            yield ASKING
            if (yield from is_ordered_steps(support._image(block), pixel_size)):
                return support
        support.unordered = True
        return support

    def tells(self, yx: NDArray[np.float64]) -> Generator[Progress, None, NDArray[np.bool_]]:
        """Return for (N, 2) pixels (y, x) whether an atom there can be told, step by step."""
        place = np.clip(np.round(yx).astype(int), 0, np.array(self.prepared.shape) - 1)
        told, shown = np.zeros(len(place), bool), False
        for rows, columns in self._blocks:
            mine = (place[:, 0] >= rows.start) & (place[:, 0] < rows.stop)
            mine &= (place[:, 1] >= columns.start) & (place[:, 1] < columns.stop)
            yield ASKING
            seen = yield from self._seen((rows, columns))
            shown |= bool(seen.any())
            told[mine] = seen[place[mine, 0] - rows.start, place[mine, 1] - columns.start]
        self.only_noise = not shown
        return told

    def bears_out(
        self, yx: NDArray[np.float64], confidence: NDArray[np.float64]
    ) -> Generator[Progress, None, NDArray[np.bool_]]:
        """Return for (N, 2) pixels (y, x), and how sure the network is of them, whether they are told."""
        told = yield from self.tells(yx)
        if self.unordered:  # few of its maxima are columns, so each must be likely by itself
            told &= confidence >= THRESHOLD
        return told

    def _seen(self, block: tuple[slice, slice]) -> Generator[Progress, None, NDArray[np.bool_]]:
        if len(self._blocks) == 1 and self._known is not None:
            return self._known
        image = self._image(block)
        seen = yield from shows_something_steps(image, self.pixel_size)
        if self.unordered:
            seen &= yield from stands_out_steps(image, self.pixel_size)
        if len(self._blocks) == 1:
            self._known = seen
        return seen

    def _image(self, block: tuple[slice, slice]) -> NDArray[np.floating]:
        if isinstance(self.prepared, PreparedImage):
            return self.prepared.image[block]
        return self.prepared.block(*block).image


def _parts(length: int) -> list[slice]:
    """Cut an axis into as few parts of at most `_BLOCK` pixels as there can be, all about as long."""
    edges = np.linspace(0, length, -(-length // _BLOCK) + 1).round().astype(int).tolist()
    return [slice(first, last) for first, last in pairwise(edges)]
