"""Gauss-Newton steps that lay elliptical Gaussians on an image.

All columns see the same window of pixels around the pixel that they are on. Every sum over pixels that a step
needs is then a product of one matrix, the weighted bells, with the monomials of the window, and the steps
of all columns are solved at once.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.measurement.batched_cholesky import BatchedCholesky
from napari_stemprior.measurement.column_tails import tail_image, tails_matter
from napari_stemprior.measurement.fit_windows import disc, low_level
from napari_stemprior.measurement.normal_equations import SIX, eased, monomials, normal_equations
from napari_stemprior.measurement.pixel_noise import PixelNoise, pixel_noise
from napari_stemprior.measurement.processors import processors

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: Sums over pixels are made of 32-bit numbers; what there is of a column has 64.
Pixels = NDArray[np.float32]

#: Å: how far around a column its pixels are fitted, and how far its Gaussian is drawn, at least.
_FITTED, _DRAWN = 1.1, 1.7
#: The same in standard deviations of the column. A window that ends before its column does cannot tell the
#: level from the width. Pairs 1.36 Å apart of 0.65 Å, without noise, were fitted 0.040 Å too far apart by
#: windows of 1.1 and 1.7 Å, by 2.2 and 3.6 standard deviations 0.006 Å too near, by 2.4 and 3.8 0.005 Å.
_FITTED_WIDTHS, _DRAWN_WIDTHS = 2.4, 3.8
#: Å: width of a column to begin with, and the range in which it is fitted.
_WIDTH, _NARROWEST, _WIDEST = 0.45, 0.25, 0.9
#: How much the inverse squared widths of a column may differ from the common ones, relative. Of SrTiO3 at
#: 10⁴ e/Å² the positions of Sr are 8 % better than with 0.5, as faint oxygen takes less from it; 0.12
#: gives no more.
_SHAPE_FREEDOM = 0.25
#: Å: no column moves further than this from where the table has it.
LARGEST_MOVE = 0.35
_COMMON_ROUNDS, _OWN_ROUNDS = 3, 8
#: Rounds in which the share of tails is found, and the most that it may be.
_TAIL_ROUNDS, _LARGEST_TAIL = 8, 0.3
#: The fit has converged where nine of ten columns move by less than this share of their standard error.
_CONVERGED = 0.1
#: Pixels that are worked on together, so that they stay in the cache of a processor.
_TOGETHER = 2**17
#: Share of a step that is taken: neighbours that overlap answer each other and would overshoot. Least
#: moves after a number of rounds on SrTiO3 at 10⁴ and 10⁵ e/Å², of 0.7, 0.8, 0.9 and 1.
_DAMPING = 0.8
#: Share of its pixels from which on a column is fitted freely.
LEAST_SEEN = 0.6
#: A column whose residuals are so many times the usual is lost; noise alone never makes twice the usual.
_LOST = 3.0
#: Columns from which the noise is measured.
_SOME = 4096
#: Blocks of columns from which on threads are worth their start.
_WORTH_THREADS = 8
T = TypeVar("T")


class GaussianFit:
    """The state of the fit: heights, places, shapes and backgrounds of all columns."""

    def __init__(self, image: Floats, valid: NDArray[np.bool_], pixel_size: float, yx: Floats) -> None:
        self.image, self.valid, self.size = image, valid, pixel_size
        self.start, self.place = yx, yx.copy()
        n = len(yx)
        width = _WIDTH / pixel_size
        self.common = width
        self.shape = np.tile([1 / width**2, 0.0, 1 / width**2], (n, 1))  # inverse covariance: yy, yx, xx
        self.level = np.zeros(n)
        self.covariance = np.full((n, 7, 7), np.nan)
        self.noise = PixelNoise(1.0, 0.0, 1.0)
        self._centre = np.clip(np.floor(yx + 0.5).astype(np.int64), 0, np.array(image.shape) - 1)
        self._unit = float(np.std(image)) or 1.0
        #: Height of the tails of columns over that of the columns, and whether they are fitted.
        self.tail, self._tailed = 0.0, False
        self.height, self.count = np.zeros(n), np.zeros(n, np.int64)
        self._open_windows(_FITTED, _DRAWN)
        for own in self._blocks():
            values, near = self._values(own), self._inside(own)
            self.level[own] = low_level(values, near)
            core = near[:, :9]
            mean = (values[:, :9] * core).sum(1) / np.maximum(core.sum(1), 1)
            self.height[own] = np.maximum(mean - self.level[own], 0)
        self.level *= self._unit
        self.height *= self._unit

    def _open_windows(self, fitted: float, drawn: float) -> None:
        """Fit the pixels up to one distance from each column, and draw it up to another, Å."""
        self._fitted = fitted
        self.fit_window = disc(max(fitted / self.size, 1.5))
        self.draw_window = disc(max(drawn / self.size, 2.0))
        pad = self._pad = int(np.abs(self.draw_window).max(initial=1))
        self._width = self.image.shape[1] + 2 * pad
        self._padded = np.pad((self.image / self._unit).astype(np.float32), pad).ravel()
        self._counts = np.pad(self.valid, pad).ravel()
        self._base = (self._centre + pad) @ [self._width, 1]
        self._near, self._drawn_near = (w @ [self._width, 1] for w in (self.fit_window, self.draw_window))
        self._monomials, self._drawn_monomials = (monomials(w) for w in (self.fit_window, self.draw_window))
        for own in self._blocks():
            self.count[own] = self._inside(own).sum(1)
        #: Columns that are seen well enough to be moved and reshaped.
        self._whole = self.count >= LEAST_SEEN * len(self.fit_window)
        seen = np.zeros(len(self._padded), bool)
        for own in self._blocks():
            seen[self._flat(own)] = True
        self._seen = int(np.count_nonzero(seen & self._counts))

    def _blocks(self) -> list[slice]:
        step = max(1, _TOGETHER // len(self.fit_window))
        return [slice(first, first + step) for first in range(0, len(self.start), step)]

    def _flat(self, own: slice | Integers) -> Integers:
        """Return (B, P) places in the padded image of the pixels that are fitted."""
        return np.asarray(self._base[own, None] + self._near)

    def _values(self, own: slice | Integers) -> Pixels:
        return self._padded.take(self._flat(own))

    def _inside(self, own: slice | Integers) -> NDArray[np.bool_]:
        return self._counts.take(self._flat(own))

    def _bells(self, own: slice, monomials: Pixels) -> Pixels:
        """Return (B, P) Gaussians of height 1 on the pixels of a window."""
        y, x = (self.place[own] - self._centre[own]).T
        a, b, c = self.shape[own].T
        quadric = np.stack(
            [a * y * y + 2 * b * y * x + c * x * x, -2 * (a * y + b * x), -2 * (b * y + c * x), a, 2 * b, c],
            axis=1,
        )
        exponent = (-0.5 * quadric).astype(np.float32) @ monomials[:SIX]
        return np.asarray(np.exp(exponent, out=exponent))

    def drawn(self) -> Floats:
        """Draw all columns without their backgrounds."""
        rows = len(self._padded) // self._width
        whole = self._drawn().reshape(rows, self._width)[self._pad : rows - self._pad, self._pad : -self._pad]
        return np.asarray(whole * self._unit, float)

    def _drawn(self) -> Pixels:
        total = np.zeros(len(self._padded), np.float32)
        height = (self.height / self._unit).astype(np.float32)[:, None]

        def part(own: slice) -> tuple[int, Pixels]:
            bells = self._bells(own, self._drawn_monomials)
            bells *= height[own]
            low = int(self._base[own].min() + self._drawn_near.min())  # a block lies in a part of the image
            flat = (self._base[own] - low)[:, None] + self._drawn_near
            return low, np.bincount(flat.ravel(), bells.ravel()).astype(np.float32)

        for low, drawn in self._each_block(part):
            total[low : low + len(drawn)] += drawn
        if self.tail:
            total += np.float32(self.tail) * self._tails()
        return total

    def _tails(self) -> Pixels:
        """Draw the tails of all columns, as high as these."""
        rows = len(self._padded) // self._width
        place = self.place + self._pad
        return tail_image((rows, self._width), place, self.height / self._unit, self.common).ravel()

    def _each_block(self, function: Callable[[slice], T]) -> list[T]:
        """Do something with every block of columns, on all processors."""
        blocks = self._blocks()
        if len(blocks) < _WORTH_THREADS:
            return [function(own) for own in blocks]
        with ThreadPoolExecutor(processors()) as pool:
            return list(pool.map(function, blocks))

    def run(self, common: tuple[float, float] | None = None) -> None:
        """Fit: first with one round shape for all, then with a shape for each.

        Parameters
        ----------
        common : (float, float), optional
            Standard deviation of the round shape in pixels, and the height of its tails, where known.
        """
        if not len(self.start):
            return
        if common is None:
            self.run_common()
        else:
            self._take_width(common[0])
            self.tail = common[1]
            self._common_step(self._drawn(), 0)
        normal = np.empty((len(self.start), 7, 7))
        for number in range(_OWN_ROUNDS):
            drawn = self._drawn()
            self._measure_noise(drawn, 7 if number else 4)
            if self._own_step(drawn, normal) < _CONVERGED and number > 1:
                break
        # of the last round: what has moved since is less than a tenth of a standard error
        self.covariance = np.concatenate(self._each_block(lambda own: BatchedCholesky(normal[own]).inverse()))

    def run_common(self) -> None:
        """Fit with one round shape for all, with windows that hold it."""
        for rounds in (_COMMON_ROUNDS, _COMMON_ROUNDS - 1):
            self._common_rounds(rounds)
            if not self._take_width(self.common):
                break
        self._tailed = tails_matter(self.start, self.common)
        if self._tailed:
            self._common_rounds(_TAIL_ROUNDS)
            self._take_width(self.common)

    def _common_rounds(self, rounds: int) -> None:
        for number in range(rounds):
            drawn = self._drawn()
            if number >= 1:
                self._measure_noise(drawn, 4)
            self._common_step(drawn, number)

    def _take_width(self, common: float) -> bool:
        """Make the common shape this wide; return whether the windows had to grow for it."""
        self.common = common
        self.shape[:] = [1 / common**2, 0, 1 / common**2]
        fitted = max(_FITTED, _FITTED_WIDTHS * common * self.size)
        grown = fitted > self._fitted
        if grown:
            self._open_windows(fitted, max(_DRAWN, _DRAWN_WIDTHS * common * self.size))
        return grown

    def _measure_noise(self, drawn: Pixels, fitted: int) -> None:
        """Measure the noise of pixels; `fitted` numbers a column have made the residuals smaller."""
        n = len(self.start)
        whole = np.flatnonzero(self._whole) if self._whole.any() else np.arange(n)
        own = whole[np.unique(np.linspace(0, len(whole) - 1, min(len(whole), _SOME)).astype(np.int64))]
        flat, near = self._flat(own), self._inside(own)
        model = drawn.take(flat) + (self.level[own, None] / self._unit).astype(np.float32)
        residual = (self._values(own) - model) * near
        # a column that the fit lost says nothing about noise
        square = (
            (residual**2).sum(1) / np.maximum(near.sum(1), 1) / np.maximum(model.mean(1), 1e-6 * model.max())
        )
        near &= (square <= _LOST * np.median(square))[:, None]
        # the freedom that is left is that of all pixels that any column sees
        pixels = min(len(self.fit_window), self._seen / n)
        lost = np.sqrt(1 - min(fitted / max(pixels, 1.0), 0.75))
        found = pixel_noise(np.asarray(model[near], float), np.asarray(residual[near], float) / lost)
        self.noise = PixelNoise(
            found.offset * self._unit**2, found.slope * self._unit, found.least * self._unit**2
        )

    def _sums(
        self, own: slice, drawn: Pixels, tails: Pixels | None = None
    ) -> tuple[Floats, Floats, Floats, Floats]:
        """Return the (B, 7, 7) normal equations and (B, 7) forces of some columns.

        In the order height, y, x, level and the three numbers of the shape. Of `tails` their (B, 7) coupling
        to these and (2,) their own force and curvature; zeros without.
        """
        unit = self._unit
        offset, slope, least = (
            self.noise.offset / unit**2,
            self.noise.slope / unit,
            self.noise.least / unit**2,
        )
        flat = self._flat(own)
        model = drawn.take(flat)
        model += (self.level[own, None] / unit).astype(np.float32)
        residual = self._padded.take(flat)
        residual -= model
        model *= np.float32(slope)
        model += np.float32(offset)
        np.maximum(model, np.float32(least), out=model)
        weight = np.divide(self._counts.take(flat), model, out=model)
        residual *= weight
        bell = self._bells(own, self._monomials)
        own_tails, tail_moments = np.zeros(2), None
        if tails is not None:
            wide = tails.take(flat)
            own_tails = np.array([(residual * wide).sum(dtype=float), (weight * wide**2).sum(dtype=float)])
            wide *= weight
            tail_moments = (self._monomials[:SIX] @ (wide * bell).T, wide.sum(1))
        floor, floor_force = weight.sum(1), residual.sum(1)
        residual *= bell
        forces = self._monomials[:SIX] @ residual.T
        weight *= bell
        singles = self._monomials[:SIX] @ weight.T
        weight *= bell
        squares = self._monomials @ weight.T
        square, single, lowest = (np.asarray(v, float) for v in (squares, singles, floor))
        y, x = (self.place[own] - self._centre[own]).T
        height, shape = self.height[own] / unit, self.shape[own].T

        def equations(pulls: Pixels, pull: Pixels) -> tuple[Floats, Floats]:
            return normal_equations(
                height, (y, x), shape, unit, square, single, np.asarray(pulls, float), lowest,
                np.asarray(pull, float),
            )  # fmt: skip

        normal, force = equations(forces, floor_force)
        coupling = np.zeros_like(force) if tail_moments is None else equations(*tail_moments)[1]
        return normal, force, coupling, own_tails

    def _common_step(self, drawn: Pixels, number: int) -> None:
        """Move the columns, and widen the round shape that all have in common."""
        # a wider Gaussian is a smaller inverse covariance in both directions
        along = np.array([1.0, 0.0, 1.0]) * -2 / self.common**3

        tails = self._tails() if self._tailed and number >= 1 else None

        def solved(own: slice) -> tuple[Floats, Floats, Floats, Floats]:
            normal, force, coupled, own_tails = self._sums(own, drawn, tails)
            # (B, 4, 2): how the numbers of a column hang together with the common width and share of tails
            shared = np.stack([normal[:, :4, 4:] @ along, coupled[:, :4]], axis=2)
            factors = BatchedCholesky(eased(normal[:, :4, :4]))
            both = np.stack([factors.solve(shared[..., 0]), factors.solve(shared[..., 1])], axis=2)
            pull = np.nansum(force[:, 4:] @ along), own_tails[0]
            wide, mixed = np.nansum(normal[:, 4:, 4:] @ along @ along), np.nansum(coupled[:, 4:] @ along)
            curvature = np.array([[wide, mixed], [mixed, own_tails[1]]])
            return (
                factors.solve(force[:, :4]), both,
                np.array(pull) - np.nansum(force[:, :4, None] * both, axis=(0, 1)),
                curvature - np.einsum("nas,nat->st", shared, np.nan_to_num(both)),
            )  # fmt: skip

        parts = self._each_block(solved)
        step, both = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        if number >= 1:
            pull, total = (np.sum([part[i] for part in parts], axis=0) for i in (2, 3))
            if tails is None:
                change = np.array([pull[0] / total[0, 0] if total[0, 0] > 0 else 0.0, 0.0])
            else:
                change = np.linalg.lstsq(total, pull, rcond=1e-12)[0]
            change[0] = np.clip(change[0], -0.2 * self.common, 0.2 * self.common)
            share = float(np.clip(self.tail + change[1], 0.0, _LARGEST_TAIL))
            change[1], self.tail = share - self.tail, share
            self.common = float(np.clip(self.common + change[0], _NARROWEST / self.size, _WIDEST / self.size))
            self.shape[:] = [1 / self.common**2, 0, 1 / self.common**2]
            step = step - both @ change
        self._move(np.nan_to_num(step), moving=number >= 1)

    def _own_normal(self, own: slice, drawn: Pixels) -> tuple[Floats, Floats]:
        normal, force, _, _ = self._sums(own, drawn)
        usual = np.array([1 / self.common**2, 0.0, 1 / self.common**2])
        tight = 1 / (_SHAPE_FREEDOM * usual[0]) ** 2
        normal[:, [4, 5, 6], [4, 5, 6]] += tight
        force[:, 4:] += tight * (usual - self.shape[own])
        return eased(normal), force

    def _own_step(self, drawn: Pixels, normal: Floats) -> float:
        """Move and reshape the columns; return how far most still move, in standard errors.

        The normal equations are written to `normal`, (N, 7, 7).
        """

        def solved(own: slice) -> Floats:
            normal[own], force = self._own_normal(own, drawn)
            return BatchedCholesky(normal[own]).solve(force)

        step = np.concatenate(self._each_block(solved))
        stiff = normal[:, [1, 2], [1, 2]]
        # a column that the edge of the image cuts keeps its place and the common shape: it would run away
        step = np.nan_to_num(step)
        step[:, [1, 2, 4, 5, 6]] *= self._whole[:, None]
        step *= _DAMPING
        before = self.place.copy()
        self._move(step, moving=True)
        self._reshape(step[:, 4:])
        moved = np.abs(self.place - before) * np.sqrt(np.maximum(stiff, 0))
        return float(np.nanquantile(moved.max(1), 0.9))

    def _move(self, step: Floats, moving: bool) -> None:
        self.height = np.maximum(self.height + step[:, 0], 0)
        self.level = self.level + step[:, 3]
        if moving:
            limit = LARGEST_MOVE / self.size
            moved = self.place + np.clip(step[:, 1:3], -limit / 2, limit / 2)
            self.place = self.start + np.clip(moved - self.start, -limit, limit)

    def _reshape(self, step: Floats) -> None:
        """Change the shapes, by half of the common one at most, and keep them those of an ellipse."""
        bound = 0.5 / self.common**2
        new = self.shape + np.clip(step, -bound, bound)
        low, high = (self.size / _WIDEST) ** 2, (self.size / _NARROWEST) ** 2 * 2
        new[:, [0, 2]] = np.clip(new[:, [0, 2]], low, high)
        most = 0.9 * np.sqrt(new[:, 0] * new[:, 2])
        new[:, 1] = np.clip(new[:, 1], -most, most)
        self.shape = new
