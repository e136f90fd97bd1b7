"""Gauss-Newton steps that lay elliptical Gaussians on an image.

All columns see the same window of pixels around the pixel that they are on. Every sum over pixels that a step
needs is then a product of one matrix, the weighted bells, with the monomials of the window, and the steps
of all columns are solved at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.measurement.batched_cholesky import BatchedCholesky
from napari_stemprior.measurement.column_tails import WIDER, bounded_step, tails_matter
from napari_stemprior.measurement.drawn_columns import (
    DRAWN,
    FITTED,
    NARROWEST,
    WIDEST,
    DrawnColumns,
    Pixels,
    blocks,
)
from napari_stemprior.measurement.normal_equations import SIX, ease, eased, normal_equations, pulls
from napari_stemprior.measurement.pixel_noise import PixelNoise, pixel_noise
from napari_stemprior.measurement.shape_freedom import MOST, shape_freedom
from napari_stemprior.measurement.small_products import sums_over_pixels

Floats = NDArray[np.float64]
#: How far around a column its pixels are fitted, and how far its Gaussian is drawn, in standard deviations of
#: the column. A window that ends before its column does cannot tell the level from the width. Pairs 1.36 Å
#: apart of 0.65 Å, without noise, were fitted 0.040 Å too far apart by windows of 1.1 and 1.7 Å, by 2.2 and
#: 3.6 standard deviations 0.006 Å too near, by 2.4 and 3.8 0.005 Å.
_FITTED_WIDTHS, _DRAWN_WIDTHS = 2.4, 3.8
_COMMON_ROUNDS, _OWN_ROUNDS = 3, 8
#: Rounds in which the shares of tails are found. The last part of them comes slowly. Taken to the end, noise
#: moves it as much as it is nearer to the truth: pairs of pure Gaussians 0.55 Å wide at 10⁵ e/Å² were 0.012 Å
#: off in one of six images.
_TAIL_ROUNDS = 8
#: Standard deviations of a column: one nearer to the edge sees the tails of columns beyond it, which nobody
#: listed. With them in the common shape, pairs of silicon 0.43 Å wide were fitted 0.014 Å too near without
#: noise, 0.004 Å without them.
_EDGE = 7.5
#: Columns that tell the common shape, at least.
_LEAST_TELLING = 12
#: Standard errors: a column as high as this shows in the image, and has a place that the fit can come to.
_SHOWN = 3.0
#: The fit has converged where nine of ten that show move by less than this share of their standard error. To
#: go on is not nearer to the truth: of MoS2, SrTiO3 along two axes and pairs of silicon, started 0.1 Å off at
#: 10³ to 10⁵ e/Å², errors and coverage are the same at 0.1, and errors of overlapping pairs grow with rounds.
_CONVERGED = 0.25
#: Share of a step that is taken: neighbours that overlap answer each other and would overshoot. Least
#: moves after a number of rounds on SrTiO3 at 10⁴ and 10⁵ e/Å², of 0.7, 0.8, 0.9 and 1.
_DAMPING = 0.8
#: A column whose residuals are so many times the usual is lost; noise alone never makes twice the usual.
_LOST = 3.0
#: Columns from which is measured how much shapes differ, and the noise: some 60 pixels of each.
_SOME, _NOISE_FROM = 4096, 1024
#: Columns whose equations are solved together.
_SOLVED = 2**13
#: Rounds in which the latter is.
_FREED = (1, 2)


class GaussianFit(DrawnColumns):
    """The state of the fit: heights, places, shapes and backgrounds of all columns, and their covariance."""

    def __init__(self, image: Floats, valid: NDArray[np.bool_], pixel_size: float, yx: Floats) -> None:
        super().__init__(image, valid, pixel_size, yx)
        self.covariance = np.full((len(yx), 7, 7), np.nan)
        self.noise = PixelNoise(1.0, 0.0, 1.0)
        #: How much the shapes differ, see `shape_freedom`.
        self.freedom = MOST
        #: Columns whose neighbours are all listed, as far as anybody knows.
        self.listed = np.ones(len(yx), bool)

    def run(
        self,
        common: tuple[float, Floats] | None = None,
        tailed: bool | None = None,
        freedom: float | None = None,
    ) -> None:
        """Fit: first with one round shape for all, then with a shape for each.

        Parameters
        ----------
        common : (float, (K,) array), optional
            Standard deviation of the round shape in pixels, and the heights of its tails, where known.
        tailed : bool, optional
            Whether columns have tails; by default they do where those of neighbours matter.
        freedom : float, optional
            How much the shapes differ, see `shape_freedom`, where known.
        """
        if not len(self.start):
            return
        if common is None:
            self.run_common(tailed)
        else:
            self._take_width(common[0])
            self._guess()
            self.tails = common[1]
        normals = self._own_rounds(freedom)
        # of the last round: what has moved since is a part of a standard error
        covariance = np.empty((7, 7, len(self.start)))
        self.covariance = np.moveaxis(covariance, -1, 0)  # columns side by side in memory

        def invert(own: slice) -> None:
            self.covariance[own] = BatchedCholesky(normals[own.start // _SOLVED]).inverse()

        self.each_block(invert, _SOLVED)

    def _own_rounds(self, freedom: float | None) -> list[Floats]:
        """Fit with a shape for each column; return the normal equations of each block in the last round."""
        normals: list[Floats] = []
        for number in range(_OWN_ROUNDS):
            drawn = self._drawn()
            self._measure_noise(drawn, 7 if number else 4)
            if freedom is not None:
                self.freedom = freedom
            elif number in _FREED:
                self.freedom = self._found_freedom(drawn)
            moved, normals = self._own_step(drawn)
            if moved < _CONVERGED and number > 1:
                break
        return normals

    def run_common(self, tailed: bool | None = None) -> None:
        """Fit with one round shape for all, with windows that hold it, and with tails where `tailed`."""
        self._guess()
        for rounds in (_COMMON_ROUNDS, _COMMON_ROUNDS - 1):
            self._common_rounds(rounds)
            if not self._take_width(self.common):
                break
        self.tailed = tails_matter(self.start, self.common) if tailed is None else tailed
        if self.tailed:
            self._common_rounds(_TAIL_ROUNDS, tailed=True)
            self._take_width(self.common)

    def _common_rounds(self, rounds: int, tailed: bool = False) -> None:
        telling = self._telling()
        for number in range(rounds):
            drawn = self._drawn()
            if number >= 1:
                self._measure_noise(drawn, 4)
            self._common_step(drawn, telling, moving=tailed or number >= 1, tailed=tailed)

    def _take_width(self, common: float) -> bool:
        """Make the common shape this wide; return whether the windows had to grow for it."""
        self.common = common
        self.shape[:] = [1 / common**2, 0, 1 / common**2]
        fitted = max(FITTED, _FITTED_WIDTHS * common * self.size)
        grown = fitted > self._fitted
        if grown:
            self.open_windows(fitted, max(DRAWN, _DRAWN_WIDTHS * common * self.size))
        return grown

    def _measure_noise(self, drawn: Pixels, fitted: int) -> None:
        """Measure the noise of pixels; `fitted` numbers a column have made the residuals smaller."""
        n = len(self.start)
        whole = np.flatnonzero(self._whole) if self._whole.any() else np.arange(n)
        own = whole[np.unique(np.linspace(0, len(whole) - 1, min(len(whole), _NOISE_FROM)).astype(np.int64))]
        flat, near = self._flat(own), self._inside(own)
        model = drawn.take(flat) + (self.level[own, None] / self._unit).astype(np.float32)
        residual = (self._values(own) - model) * near
        # a column that the fit lost says nothing about noise
        few = slice(None, None, 4)
        usual = pixel_noise(
            np.asarray(model[few][near[few]], float), np.asarray(residual[few][near[few]], float)
        )
        square = (residual**2).sum(1) / np.maximum((usual.variance(model) * near).sum(1), 1e-30)
        near &= (square <= _LOST * np.median(square))[:, None]
        # the freedom that is left is that of all pixels that any column sees
        pixels = min(len(self.fit_window), self._seen / n)
        lost = np.sqrt(1 - min(fitted / max(pixels, 1.0), 0.75))
        found = pixel_noise(np.asarray(model[near], float), np.asarray(residual[near], float) / lost)
        self.noise = PixelNoise(
            found.offset * self._unit**2, found.slope * self._unit, found.least * self._unit**2
        )

    def _sums(self, own: slice, drawn: Pixels, tails: list[Pixels]) -> list[Floats]:
        """Return sums over the pixels of some columns.

        (15, B) of the squared bells, (6, B) of the bells and of these times what is left over, all times the
        monomials, (B,) of the weights and of what is left over; of each of `tails` (6, B) with the bells
        times the monomials, (B,) with the weights and with what is left over, (K, B) with all tails.
        """
        unit = self._unit
        slope, offset, least = (
            np.float32(v)
            for v in (self.noise.slope / unit, self.noise.offset / unit**2, self.noise.least / unit**2)
        )
        flat = self._flat(own)
        model = drawn.take(flat)
        model += (self.level[own, None] / unit).astype(np.float32)
        residual = self._padded.take(flat)
        residual -= model
        weight = np.multiply(model, slope, out=model)
        weight += offset
        np.maximum(weight, least, out=weight)
        np.reciprocal(weight, out=weight)
        if (self.count[own] < len(self._near)).any():
            weight *= self._counts.take(flat)
        residual *= weight
        bell, six = self._bells[own], self._monomials[:SIX]
        more: list[Pixels] = []
        wide = [tail.take(flat) for tail in tails]
        for tail in wide:
            heavy = tail * weight
            with_tails = np.stack([(heavy * other).sum(1) for other in wide])
            more += [sums_over_pixels(six, heavy * bell), heavy.sum(1), (residual * tail).sum(1), with_tails]
        floor, pull = weight.sum(1), residual.sum(1)
        residual *= bell
        weight *= bell
        single, force = sums_over_pixels(six, weight), sums_over_pixels(six, residual)
        weight *= bell
        square = sums_over_pixels(self._monomials, weight)
        return [np.asarray(v, float) for v in (square, single, force, floor, pull, *more)]

    def _equations(
        self, own: slice, drawn: Pixels, tails: list[Pixels] | None = None
    ) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        """Return the (B, 7, 7) normal equations and (B, 7) forces of some columns.

        In the order height, y, x, level and the three numbers of the shape. Of K `tails` their (K, B, 7)
        coupling to these, and in the window of each column their (B, K) forces and (B, K, K) curvatures.
        """
        parts = zip(*(self._sums(part, drawn, tails or []) for part in blocks(own, self._some)), strict=True)
        square, single, forces, floor, pull, *more = (np.concatenate(part, axis=-1) for part in parts)
        y, x = (self.place[own] - self._centre[own]).T
        column = self.height[own] / self._unit, (y, x), self.shape[own].T, self._unit
        force = pulls(*column, forces, pull)
        of_tails = [more[first : first + 4] for first in range(0, len(more), 4)]
        coupling = np.reshape([pulls(*column, *one[:2]) for one in of_tails], (-1, *force.shape))
        n, many = len(force), len(of_tails)
        tail_pulls = np.reshape([one[2] for one in of_tails], (many, n)).T
        tail_curvatures = np.moveaxis(np.reshape([one[3] for one in of_tails], (many, many, n)), -1, 0)
        normal = normal_equations(*column, square, single, floor)
        return normal, force, coupling, tail_pulls, tail_curvatures

    def _telling(self) -> NDArray[np.bool_]:
        """Return (N,) which columns tell the common shape."""
        rows, columns = (np.flatnonzero(self.valid.any(axis)) for axis in (1, 0))
        if not len(rows):
            return self.listed
        low, high = np.array([rows[0], columns[0]]), np.array([rows[-1], columns[-1]])
        edge = np.minimum(self.start - low, high - self.start).min(1)
        telling = self.listed & (edge > _EDGE * self.common)
        return telling if telling.sum() >= _LEAST_TELLING else self._whole

    def _common_step(
        self, drawn: Pixels, telling: NDArray[np.bool_], *, moving: bool, tailed: bool = False
    ) -> None:
        """Move the columns, and widen the round shape that all have in common."""
        # a wider Gaussian is a smaller inverse covariance in both directions
        along = np.array([1.0, 0.0, 1.0]) * -2 / self.common**3

        tails = [self._tail(wider) for wider in WIDER] if tailed else []

        def solved(own: slice) -> tuple[Floats, Floats, Floats, Floats]:
            normal, force, coupled, tail_pulls, tail_curvatures = self._equations(own, drawn, tails)
            # (B, 4, 1 + K): how the numbers of a column hang together with the common width and the tails
            shared = np.stack([normal[:, :4, 4:] @ along, *coupled[:, :, :4]], axis=2)
            factors = BatchedCholesky(eased(normal[:, :4, :4]))
            both = np.stack([factors.solve(one) for one in np.moveaxis(shared, 2, 0)], axis=2)
            # what the own numbers of the columns leave of the pulls and curvatures of the shared ones
            here = telling[own, None]
            pull = np.concatenate([(force[:, 4:] @ along)[:, None], tail_pulls], axis=1)
            pull = pull - np.nansum(force[:, :4, None] * both, axis=1)
            curvature = np.empty((len(pull), 1 + len(coupled), 1 + len(coupled)))
            curvature[:, 0, 0] = normal[:, 4:, 4:] @ along @ along
            curvature[:, 0, 1:] = curvature[:, 1:, 0] = (coupled[:, :, 4:] @ along).T
            curvature[:, 1:, 1:] = tail_curvatures
            curvature -= np.einsum("nas,nat->nst", shared, both)
            return (
                factors.solve(force[:, :4]), both,
                np.nansum(pull * here, axis=0), np.nansum(curvature * here[..., None], axis=0),
            )  # fmt: skip

        parts = self.each_block(solved, _SOLVED)
        step, both = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
        if moving:
            pull, total = (np.sum([part[i] for part in parts], axis=0) for i in (2, 3))
            if tails:
                change = bounded_step(total, pull, self.tails)
                self.tails = self.tails + change[1:]
            else:
                change = np.array([pull[0] / total[0, 0] if total[0, 0] > 0 else 0.0])
            change[0] = np.clip(change[0], -0.2 * self.common, 0.2 * self.common)
            self.common = float(np.clip(self.common + change[0], NARROWEST / self.size, WIDEST / self.size))
            self.shape[:] = [1 / self.common**2, 0, 1 / self.common**2]
            step = step - both @ change
        self._move(np.nan_to_num(step), moving=moving)

    def _own_normal(self, own: slice, drawn: Pixels) -> tuple[Floats, Floats]:
        normal, force = self._equations(own, drawn)[:2]
        usual = np.array([1 / self.common**2, 0.0, 1 / self.common**2])
        tight = 1 / (self.freedom * usual[0]) ** 2
        diagonal = np.einsum("nii->ni", normal)
        diagonal[:, 4:] += tight
        ease(diagonal)
        force[:, 4:] += tight * (usual - self.shape[own])
        return normal, force

    def _found_freedom(self, drawn: Pixels) -> float:
        """Return how much the shapes differ, from parts of the columns that are whole."""
        n, step = len(self.start), max(1, _SOME // 8)
        parts = [slice(max(0, int(one)), min(int(one) + step, n)) for one in np.linspace(0, n - step, 8)]
        if n <= _SOME:
            parts = [slice(0, n)]
        usual = np.array([1 / self.common**2, 0.0, 1 / self.common**2])
        equations = self._on_all_processors(lambda own: self._equations(own, drawn)[:2], parts)
        found = [(*one, self.shape[own] - usual) for one, own in zip(equations, parts, strict=True)]
        whole = np.concatenate([self._whole[own] for own in parts])
        normal, force, shift = (np.concatenate(part)[whole] for part in zip(*found, strict=True))
        return shape_freedom(normal, force, shift, usual[0])

    def _own_step(self, drawn: Pixels) -> tuple[float, list[Floats]]:
        """Move and reshape the columns.

        Returns
        -------
        moved : float
            How far most that show still move, in standard errors; 0 where none shows.
        normals : list of (B, 7, 7) arrays
            Normal equations of each block of columns.
        """

        def stepped(own: slice) -> tuple[Floats, Floats]:
            normal, force = self._own_normal(own, drawn)
            step = np.nan_to_num(BatchedCholesky(normal).solve(force))
            # a column that the edge of the image cuts keeps its place and the common shape: it would run away
            step[:, [1, 2, 4, 5, 6]] *= self._whole[own, None]
            step *= _DAMPING
            before = self.place[own].copy()
            self._move(step, moving=True, own=own)
            self._reshape(step[:, 4:], own)
            stiff = normal[:, [1, 2], [1, 2]]
            moved = np.abs(self.place[own] - before) * np.sqrt(np.maximum(stiff, 0))
            shown = self.height[own] * np.sqrt(np.maximum(normal[:, 0, 0], 0)) > _SHOWN
            return normal, moved.max(1)[shown]

        normals, moved = zip(*self.each_block(stepped, _SOLVED), strict=True)
        still = np.concatenate(moved)
        return float(np.nanquantile(still, 0.9)) if len(still) else 0.0, list(normals)
