"""Columns as elliptical Gaussians: the pixels around them, and the image that they show."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from napari_stemprior.measurement.column_tails import WIDER, wide_image
from napari_stemprior.measurement.fit_windows import disc, low_level
from napari_stemprior.measurement.normal_equations import SIX, monomials
from napari_stemprior.measurement.processors import processors
from napari_stemprior.measurement.small_products import polynomials

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: Sums over pixels are made of 32-bit numbers; what there is of a column has 64.
Pixels = NDArray[np.float32]

#: Å: how far around a column its pixels are fitted, and how far its Gaussian is drawn, at least.
FITTED, DRAWN = 1.1, 1.7
#: Å: width of a column to begin with.
_WIDTH = 0.45
#: Å: range in which the width of a column is fitted.
NARROWEST, WIDEST = 0.25, 0.9
#: Å: no column moves further than this from where the table has it.
LARGEST_MOVE = 0.35
#: Pixels that are worked on together, so that they stay in the cache of a processor.
TOGETHER = 2**18
#: Share of its pixels from which on a column is fitted freely.
LEAST_SEEN = 0.6
#: Columns from which on threads are worth their start.
_WORTH_THREADS = 8000
#: Pixels around a column, at least, that tell its level to begin with.
_BEGUN = 20
T = TypeVar("T")


def bells(step: Floats, shape: Floats, monomials: Pixels) -> Pixels:
    """Return (N, P) Gaussians of height 1 on the pixels of a window.

    Parameters
    ----------
    step : (N, 2) array
        y and x of each column from the middle of its window, pixels.
    shape : (N, 3) array
        Inverse covariance a, b, c, px⁻².
    monomials : (15, P) array of float32
        Of the steps to the pixels of the window, see `normal_equations.monomials`.
    """
    y, x = step.T
    a, b, c = shape.T
    quadric = np.stack(
        [a * y * y + 2 * b * y * x + c * x * x, -2 * (a * y + b * x), -2 * (b * y + c * x), a, 2 * b, c],
        axis=1,
    )
    exponent = polynomials((-0.5 * quadric).astype(np.float32), monomials[:SIX])
    return np.asarray(np.exp(exponent, out=exponent))


def added_up(drawn: Pixels, height: Pixels, first: Integers, near: Integers) -> tuple[int, Pixels]:
    """Add the windows of columns up where they overlap.

    A sparse matrix with a column for each window does it: that adds 32-bit numbers as they are.

    Parameters
    ----------
    drawn : (N, P) array of float32
    height : (N,) array of float32
    first : (N,) array of int
        Where the middle of each window lies in a flat image.
    near : (P,) array of int
        Steps from there to its pixels.

    Returns
    -------
    low : int
        Where the part of the flat image begins that the windows cover.
    part : (M,) array of float32
    """
    low = int(first.min() + near.min())
    length = int(first.max() + near.max()) - low + 1
    place = (first - low).astype(np.int32)[:, None] + near.astype(np.int32)
    starts = np.arange(0, drawn.size + 1, drawn.shape[1], dtype=np.int32)
    matrix = csc_array((drawn.ravel(), place.ravel(), starts), shape=(length, len(drawn)))
    return low, np.asarray(matrix @ height)


def blocks(own: slice, step: int) -> list[slice]:
    """Part a slice into slices of so many."""
    return [slice(first, min(first + step, own.stop)) for first in range(own.start, own.stop, step)]


class DrawnColumns:
    """Heights, places, shapes and backgrounds of columns, with the windows of pixels around them.

    All columns see the same window of pixels around the pixel that they are on.
    """

    def __init__(self, image: Floats, valid: NDArray[np.bool_], pixel_size: float, yx: Floats) -> None:
        self.image, self.valid, self.size = image, valid, pixel_size
        self.start, self.place = yx, yx.copy()
        n = len(yx)
        width = _WIDTH / pixel_size
        self.common = width
        self.shape = np.tile([1 / width**2, 0.0, 1 / width**2], (n, 1))  # inverse covariance: yy, yx, xx
        self.level = np.zeros(n)
        self._centre = np.clip(np.floor(yx + 0.5).astype(np.int64), 0, np.array(image.shape) - 1)
        self._unit = float(np.std(image)) or 1.0
        #: Heights of the tails of columns over those of the columns, and whether they are fitted.
        self.tails, self.tailed = np.zeros(len(WIDER)), False
        self.height, self.count = np.zeros(n), np.zeros(n, np.int64)
        self.open_windows(FITTED, DRAWN)

    def _guess(self) -> None:
        """Set the levels and heights from the pixels around the columns."""
        self.each_block(self._guess_some, self._some)
        self.level *= self._unit
        self.height *= self._unit

    def _guess_some(self, own: slice) -> None:
        """Set those of some columns, in units of the fit."""
        # every other pixel along both directions is enough to begin with
        some = (self.fit_window % 2 == 0).all(1)
        flat = self._base[own, None] + (self._near[some] if some.sum() >= _BEGUN else self._near)
        self.level[own] = low_level(self._padded.take(flat), self._counts.take(flat))
        flat = self._base[own, None] + self._near[:9]
        core = self._counts.take(flat)
        mean = (self._padded.take(flat) * core).sum(1) / np.maximum(core.sum(1), 1)
        self.height[own] = np.maximum(mean - self.level[own], 0)

    def open_windows(self, fitted: float, drawn: float) -> None:
        """Fit the pixels up to one distance from each column, and draw it up to another, Å."""
        self._fitted = fitted
        # nearest first, so that the pixels that are fitted are the first of those that are drawn
        self.draw_window = disc(max(drawn / self.size, 2.0))
        self.fit_window = self.draw_window[: len(disc(max(fitted / self.size, 1.5)))]
        pad = self._pad = int(np.abs(self.draw_window).max(initial=1))
        self._width = self.image.shape[1] + 2 * pad
        padded = np.zeros([side + 2 * pad for side in self.image.shape], np.float32)
        inner = (slice(pad, pad + self.image.shape[0]), slice(pad, pad + self.image.shape[1]))
        np.divide(self.image, self._unit, out=padded[inner], casting="same_kind")
        self._padded = padded.ravel()
        self._counts = np.pad(self.valid, pad).ravel()
        # new memory for an image takes longer than to fill it, so each round fills the same
        self._total = np.empty_like(self._padded)
        self._base = (self._centre + pad) @ [self._width, 1]
        self._near, self._drawn_near = (w @ [self._width, 1] for w in (self.fit_window, self.draw_window))
        self._drawn_monomials = monomials(self.draw_window)
        self._monomials = np.ascontiguousarray(self._drawn_monomials[:, : len(self.fit_window)])
        #: Gaussians of height 1 on the pixels that are fitted, as they were drawn last.
        self._bells = np.empty((len(self._base), len(self.fit_window)), np.float32)
        seen = np.zeros(len(self._padded), bool)

        def look(own: slice) -> None:
            flat = self._flat(own)
            self.count[own] = np.count_nonzero(self._counts.take(flat), axis=1)
            seen[flat] = True

        self.each_block(look, self._some)
        #: Columns that are seen well enough to be moved and reshaped.
        self._whole = self.count >= LEAST_SEEN * len(self.fit_window)
        self._seen = int(np.count_nonzero(seen & self._counts))

    @property
    def _some(self) -> int:
        """Columns whose pixels stay in the cache together."""
        return max(1, TOGETHER // len(self.fit_window))

    def _flat(self, own: slice | Integers) -> Integers:
        """Return (B, P) places in the padded image of the pixels that are fitted."""
        return np.asarray(self._base[own, None] + self._near)

    def _values(self, own: slice | Integers) -> Pixels:
        return self._padded.take(self._flat(own))

    def _inside(self, own: slice | Integers) -> NDArray[np.bool_]:
        return self._counts.take(self._flat(own))

    def drawn(self, box: tuple[slice, slice]) -> Floats:
        """Draw the columns of a part of the image without their backgrounds."""
        low, high = (np.array([getattr(side, end) for side in box]) for end in ("start", "stop"))
        # tails are cut after four of their standard deviations
        reach = max(self._pad, 4 * max(WIDER) * self.common if self.tails.any() else 0)
        own = np.flatnonzero(((self.place > low - reach) & (self.place < high + reach)).all(1))
        total = np.zeros(len(self._padded), np.float32)
        if len(own):
            first, part = self._part(own, self._drawn_bells(own))
            total[first : first + len(part)] = part
        inner = tuple(slice(side.start + self._pad, side.stop + self._pad) for side in box)
        whole = total.reshape(-1, self._width)[inner]
        for share, wider in zip(self.tails, WIDER, strict=True):
            if share > 0:
                height = share * self.height[own] / self._unit
                whole = whole + wide_image(whole.shape, self.place[own] - low, height, wider * self.common)
        return np.asarray(whole * self._unit, float)

    def _drawn_bells(self, own: slice | Integers) -> Pixels:
        """Return (B, P) Gaussians of height 1 on the pixels that are drawn."""
        return bells(self.place[own] - self._centre[own], self.shape[own], self._drawn_monomials)

    def _part(self, own: slice | Integers, drawn: Pixels) -> tuple[int, Pixels]:
        """Add some columns up; return where in the padded image that begins, and it."""
        height = (self.height[own] / self._unit).astype(np.float32)
        return added_up(drawn, height, self._base[own], self._drawn_near)

    def _drawn(self) -> Pixels:
        """Draw all columns, and keep what of each lies on the pixels that are fitted."""

        def part(own: slice) -> tuple[int, Pixels]:
            drawn = self._drawn_bells(own)
            self._bells[own] = drawn[:, : len(self.fit_window)]
            return self._part(own, drawn)

        total = self._total
        total.fill(0)
        # a block of columns lies in a part of the image
        for low, drawn in self.each_block(part, 2 * TOGETHER // len(self.draw_window)):
            total[low : low + len(drawn)] += drawn
        for share, wider in zip(self.tails, WIDER, strict=True):
            if share > 0:
                total += np.float32(share) * self._tail(wider)
        return total

    def _tail(self, wider: float) -> Pixels:
        """Draw Gaussians so many times wider than the columns, as high as these."""
        rows = len(self._padded) // self._width
        place = self.place + self._pad
        height = self.height / self._unit
        return wide_image((rows, self._width), place, height, wider * self.common).ravel()

    def _move(self, step: Floats, moving: bool, own: slice = slice(None)) -> None:
        self.height[own] = np.maximum(self.height[own] + step[:, 0], 0)
        self.level[own] += step[:, 3]
        if moving:
            limit, start = LARGEST_MOVE / self.size, self.start[own]
            moved = self.place[own] + np.clip(step[:, 1:3], -limit / 2, limit / 2)
            self.place[own] = start + np.clip(moved - start, -limit, limit)

    def _reshape(self, step: Floats, own: slice) -> None:
        """Change the shapes, by half of the common one at most, and keep them those of an ellipse."""
        bound = 0.5 / self.common**2
        new = self.shape[own] + np.clip(step, -bound, bound)
        low, high = (self.size / WIDEST) ** 2, (self.size / NARROWEST) ** 2 * 2
        new[:, [0, 2]] = np.clip(new[:, [0, 2]], low, high)
        most = 0.9 * np.sqrt(new[:, 0] * new[:, 2])
        new[:, 1] = np.clip(new[:, 1], -most, most)
        self.shape[own] = new

    def each_block(self, function: Callable[[slice], T], step: int, count: int | None = None) -> list[T]:
        """Do something with every block of so many columns, or of so many of `count`, on all processors."""
        parts = blocks(slice(0, len(self.start) if count is None else count), step)
        return self._on_all_processors(function, parts)

    def _on_all_processors(self, function: Callable[[slice], T], parts: list[slice]) -> list[T]:
        """Do something with every part, on all processors where that is worth it."""
        if len(self.start) < _WORTH_THREADS:
            return [function(own) for own in parts]
        with ThreadPoolExecutor(processors()) as pool:
            return list(pool.map(function, parts))
