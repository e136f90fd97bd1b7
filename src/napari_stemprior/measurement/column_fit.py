"""Elliptical Gaussians fitted to the columns: volume, width, ellipticity, direction and position error."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.drawn_columns import LARGEST_MOVE, LEAST_SEEN
from napari_stemprior.measurement.fit_windows import averaged
from napari_stemprior.measurement.gaussian_fit import GaussianFit
from napari_stemprior.measurement.mixture import fit_mixture
from napari_stemprior.measurement.pixel_noise import PixelNoise
from napari_stemprior.measurement.processors import processors
from napari_stemprior.measurement.shared_errors import HALF, SharedErrors

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Å: finer pixels are averaged to this at most, which is less than the standard deviation of a column.
_COARSE = 0.3
#: Å: columns nearer to each other than this cannot be told apart by a fit.
_TOGETHER = 0.55
#: Columns, and how often they are simulated, from which the errors are checked.
_CHECKED, _REPEATS = 300, 5
#: Standard deviations of a column up to which two share errors.
_SHARED = 5.0
#: Å: columns at the edge of a part of the columns have neighbours that are not in it.
_UNLISTED = 4.0
#: Fields of columns that tell the common width, which is only where the fit of each begins.
_FIELDS, _IN_FIELD = 3, 1000


@dataclass(frozen=True, eq=False)
class ColumnFit:
    """Gaussians fitted to N columns. Errors are standard errors; all are NaN where `reason` says why.

    Parameters
    ----------
    yx : (N, 2) array
        Fitted places, pixels.
    position_error : (N,) array
        Å, along one axis.
    volume, volume_error : (N,) arrays
        Of the Gaussian, background off: units of the image times Å².
    width, width_error : (N,) arrays
        Å: geometric mean of the two standard deviations of the Gaussian.
    ellipticity, ellipticity_error : (N,) arrays
        Longer over shorter standard deviation; noise makes it larger than 1 also for round columns.
    direction, direction_error : (N,) arrays
        Degrees of the longer axis, from the image's x towards its y, in [0, 180).
    background : (N,) array
        Units of the image.
    noise : PixelNoise
        Of the image as it is.
    reason : (N,) array of str
    shared : SharedErrors
        What near columns have in common of their position errors.
    """

    yx: Floats
    position_error: Floats
    volume: Floats
    volume_error: Floats
    width: Floats
    width_error: Floats
    ellipticity: Floats
    ellipticity_error: Floats
    direction: Floats
    direction_error: Floats
    background: Floats
    noise: PixelNoise
    reason: NDArray[np.object_]
    shared: SharedErrors

    def shared_variance(self, one: Integers, other: Integers, distance: Floats) -> Floats:
        """Return what to take off the variance of distances of independent positions, squared Å.

        Parameters
        ----------
        one, other : (...) arrays of int
            Columns.
        distance : (...) array
            Å between them.
        """
        independent = self.position_error[one] ** 2 + self.position_error[other] ** 2
        return np.nan_to_num(independent * (1 - self.shared.factor_at(distance) ** 2))


def fit_columns(
    image: NDArray[np.floating], atoms: AtomTable, valid: NDArray[np.bool_] | None = None
) -> ColumnFit:
    """Fit a Gaussian with a background to every column.

    Gauss-Newton steps on the image less the neighbours, first with one common round shape, then with a shape
    of its own for each. Pixels weigh by their noise, see `pixel_noise`. The errors are those of the fit
    (inverse Fisher information, for pixels whose noise is independent), raised by what they lack because
    columns overlap: a part of the fitted image is drawn anew with noise and fitted again (parametric
    bootstrap; Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 6). The shape is held
    within 25 % of the common one (a Gaussian prior on its three numbers), which only counts where there are
    few electrons.

    Parameters
    ----------
    image : (H, W) array
        Columns bright.
    atoms : AtomTable
    valid : (H, W) array of bool, optional
        Pixels that count.

    Returns
    -------
    ColumnFit

    Raises
    ------
    MeasurementError
        If the image is not two-dimensional or holds numbers that are not finite.
    """
    image = np.asarray(image, np.float64)
    if image.ndim != 2:
        raise MeasurementError(f"The image has {image.ndim} dimensions; columns are fitted on one of two.")
    finite = np.isfinite(image)
    if valid is None:
        valid = finite
    if not (finite | ~valid).all():
        raise MeasurementError("The image holds pixels that are not finite; leave them out with a mask.")
    factor = max(1, int(_COARSE / atoms.pixel_size + 1e-6))
    counted = image if valid.all() else np.where(valid, image, 0.0)
    coarse, good = averaged(np.asarray(counted, np.float64), valid, factor)
    yx = (atoms.yx + 0.5) / factor - 0.5
    order = _along_rows(yx)
    fit = GaussianFit(coarse, good, atoms.pixel_size * factor, yx[order])
    common = _common_width(fit)
    fit.run(common)
    found = _result(fit, factor)
    found = _with_honest_errors(fit, found, factor, common)
    back = np.argsort(order)
    arrays = {
        f.name: getattr(found, f.name)[back] for f in fields(found) if f.name not in ("noise", "shared")
    }
    return replace(found, **arrays)


def _along_rows(yx: Floats) -> NDArray[np.int64]:
    """Return an order in which columns that follow each other are near each other, which is quicker."""
    return np.lexsort((yx[:, 1], np.floor(yx[:, 0] / 16))).astype(np.int64)


def _common_width(fit: GaussianFit) -> tuple[float, Floats] | None:
    """Return the width (px) and tails of one round shape, from fields across the image if they are many."""
    n = len(fit.start)
    if n < 2 * _FIELDS * _IN_FIELD:
        return None
    areas = []
    for middle in (np.arange(_FIELDS) + 0.5) * n / _FIELDS:
        near = np.argsort(np.linalg.norm(fit.start - fit.start[int(middle)], axis=1))[:_IN_FIELD]
        areas.append(_part_of(fit, near, fit.start))
    with ThreadPoolExecutor(processors()) as pool:
        list(pool.map(GaussianFit.run_common, areas))
    tails = np.median([field.tails for field in areas], axis=0)
    return float(np.median([field.common for field in areas])), tails


def _part_of(fit: GaussianFit, some: Integers, places: Floats) -> GaussianFit:
    """Return a fit of some columns about the first, by themselves."""
    box, low = _box(fit, places[some])
    part = GaussianFit(fit.image[box], fit.valid[box], fit.size, places[some] - low)
    distance = np.linalg.norm(places[some] - places[some[0]], axis=1)
    if len(some) < len(fit.start):  # those around are not among them
        part.listed = distance <= max(distance.max() - _UNLISTED / fit.size, distance[len(some) // 2])
    return part


def _box(fit: GaussianFit, yx: Floats) -> tuple[tuple[slice, slice], NDArray[np.int64]]:
    """Return the part of the image around some columns, and where it begins."""
    margin = 2.5 / fit.size
    low = np.maximum(np.floor(yx.min(0) - margin), 0).astype(np.int64)
    high = np.minimum(np.ceil(yx.max(0) + margin) + 1, fit.image.shape).astype(np.int64)
    return (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))), low


def _result(fit: GaussianFit, factor: int) -> ColumnFit:
    """Return what is reported, on the pixels before they were averaged by `factor`."""
    n = len(fit.start)
    crowded = np.zeros(n, bool)
    tree = cKDTree(fit.start, balanced_tree=False, compact_nodes=False)  # is asked once
    crowded[tree.query_pairs(_TOGETHER / fit.size, output_type="ndarray")] = True
    reason = np.full(n, "", object)
    moved = np.abs(fit.place - fit.start).max(axis=1, initial=0) if n else np.zeros(0)
    reason[moved >= 0.999 * LARGEST_MOVE / fit.size] = "the fit ran away from it"
    reason[fit.height <= 0] = "the image shows nothing there"
    reason[crowded] = "another column is too near for a fit"
    reason[fit.count < LEAST_SEEN * len(fit.fit_window)] = "too few good pixels around it"
    derived, error, place_error = _with_errors(fit, factor)
    reason[(reason == "") & ~(place_error * fit.size <= LARGEST_MOVE)] = "the image does not tell where it is"
    bad = reason != ""
    place, level = (fit.place + 0.5) * factor - 0.5, fit.level.copy()
    scale = np.array([fit.size**2, fit.size, 1.0, 1.0])
    derived, error = derived * scale, error * scale
    for values in (place, place_error, derived, error, level):
        values[bad] = np.nan
    fine = PixelNoise(*(factor**2 * v for v in (fit.noise.offset, fit.noise.slope, fit.noise.least)))
    return ColumnFit(
        place, place_error * fit.size, derived[:, 0], error[:, 0], derived[:, 1], error[:, 1],
        derived[:, 2], error[:, 2], derived[:, 3], error[:, 3], level, fine, reason,
        SharedErrors.independent(),
    )  # fmt: skip


def _with_errors(fit: GaussianFit, factor: int) -> tuple[Floats, Floats, Floats]:
    """Return (N, 4) volume (px²), width (px), ellipticity, direction; their errors; (N,) that of places."""

    def derived(own: slice) -> tuple[Floats, Floats, Floats]:
        covariance = np.moveaxis(fit.covariance[own], 0, -1)  # as it lies in memory
        with np.errstate(all="ignore"):
            # the mean over a block of points is wider than the column by the variance of the block
            values, slopes = _derived(fit.height[own], fit.shape[own], (factor**2 - 1) / (12 * factor**2))
            picked = covariance[np.ix_([0, 4, 5, 6], [0, 4, 5, 6])]
            variance = (np.einsum("qan,abn->qbn", slopes, picked) * slopes).sum(1)
            return values, np.sqrt(variance).T, np.sqrt((covariance[1, 1] + covariance[2, 2]) / 2)

    values, error, place_error = zip(*fit.each_block(derived, 2**12), strict=True)
    return np.concatenate(values), np.concatenate(error), np.concatenate(place_error)


_WITH_ERRORS = ("volume", "width", "ellipticity", "direction")


@dataclass(frozen=True, eq=False)
class _Simulated:
    """Fits of a part of the image that was drawn anew with noise.

    Parameters
    ----------
    some : (S,) array of int
        Columns of the part.
    inner : (S,) array of bool
        Those that are not at its edge.
    step : (R, S, 2) array
        Å from the place that was drawn to that found again; NaN where a column was not.
    results : list of ColumnFit
    """

    some: Integers
    inner: NDArray[np.bool_]
    step: Floats
    results: list[ColumnFit]


def _simulated(
    fit: GaussianFit, found: ColumnFit, factor: int, common: tuple[float, Floats] | None
) -> _Simulated | None:
    """Draw a part of the fitted image anew with noise and fit it again; None where too little was fitted."""
    good = np.flatnonzero(found.reason == "")
    if len(good) < 12:
        return None
    middle = np.median(fit.place[good], axis=0)
    distance = np.linalg.norm(fit.place - middle, axis=1)
    some = np.argsort(distance)[:_CHECKED]
    box, low = _box(fit, fit.place[some])
    inner = np.isin(some, good) & (distance[some] <= max(0.8 * distance[some].max(), distance[some[8]]))
    clean = fit.drawn(box) + float(np.median(fit.level[some]))
    rng = np.random.default_rng(0)
    drawn = clean + rng.normal(size=(_REPEATS, *clean.shape)) * np.sqrt(fit.noise.variance(clean))

    def fitted(image: Floats) -> ColumnFit:
        again = GaussianFit(image, fit.valid[box], fit.size, fit.place[some] - low)
        again.listed = inner
        again.run(common, fit.tailed, fit.freedom)
        return _result(again, factor)

    with ThreadPoolExecutor(processors()) as pool:
        results = list(pool.map(fitted, drawn))
    true = fit.place[some] - low
    step = np.stack([((one.yx + 0.5) / factor - 0.5 - true) * fit.size for one in results])
    return _Simulated(some, inner, step, results)


def _with_honest_errors(
    fit: GaussianFit, found: ColumnFit, factor: int, common: tuple[float, Floats] | None
) -> ColumnFit:
    """Raise errors by how much larger than stated the scatter of simulated fits is, and say what is shared.

    The columns are taken in classes of brightness, as many as show: a faint one suffers more from its
    neighbours.
    """
    simulated = _simulated(fit, found, factor, common)
    if simulated is None:
        return found
    some, inner = simulated.some, simulated.inner
    bright = fit_mixture(found.volume[some[np.isin(some, np.flatnonzero(found.reason == ""))]], 4).classify(
        found.volume
    )
    changed: dict[str, Any] = {}
    for name in ("position", *_WITH_ERRORS):
        stated: list[Floats] = []
        classes: list[Integers] = []
        for result, step in zip(simulated.results, simulated.step, strict=True):
            here = inner & (result.reason == "")
            error = getattr(result, f"{name}_error")[here, None]
            change = step[here]
            if name != "position":
                change = (getattr(result, name)[here] - getattr(found, name)[some][here])[:, None]
            if name == "direction":
                change = (change + 90) % 180 - 90
            stated.append(np.abs(change / error))
            classes.append(bright[some][here])
        raised = getattr(found, f"{name}_error").copy()
        for one in range(bright.max(initial=-1) + 1):
            values = np.concatenate(stated)[np.concatenate(classes) == one]
            if len(values) > 12:
                raised[bright == one] *= max(1.0, float(np.nanmedian(values)) / HALF)
        changed[f"{name}_error"] = raised
    pairs = cKDTree(fit.place[some]).query_pairs(_SHARED * fit.common, output_type="ndarray")
    pairs = pairs[inner[pairs].all(1)]
    line = (fit.place[some][pairs[:, 1]] - fit.place[some][pairs[:, 0]]) * fit.size
    distance = np.linalg.norm(line, axis=1)
    moved = simulated.step[:, pairs[:, 1]] - simulated.step[:, pairs[:, 0]]
    along = np.einsum("rpa,pa->pr", moved, line / distance[:, None])
    error = np.sqrt((changed["position_error"][some][pairs] ** 2).sum(1))
    return replace(found, **changed, shared=SharedErrors.measured(distance, along, error))


def _derived(height: Floats, shape: Floats, block: float) -> tuple[Floats, Floats]:
    """Return (N, 4) volume (px²), width (px), ellipticity, direction, and (4, 4, N) their slopes.

    `block` (px²) is taken off the squared widths. The slopes are along the height and the three numbers of
    the inverse covariance.
    """
    a, b, c = shape.T
    determinant = a * c - b * b
    volume = height * 2 * np.pi / np.sqrt(determinant)
    # the covariance, whose larger eigenvalue belongs to the longer axis
    yy, yx, xx = c / determinant, -b / determinant, a / determinant
    # of the covariance along the inverse one: -C dQ C
    d_yy = np.stack([-yy * yy, -2 * yy * yx, -yx * yx])
    d_yx = np.stack([-yy * yx, -yy * xx - yx * yx, -yx * xx])
    d_xx = np.stack([-yx * yx, -2 * yx * xx, -xx * xx])
    across = (xx - yy) / 2
    half, difference = (yy + xx) / 2 - block, np.hypot(across, yx)
    long, short = half + difference, np.maximum(half - difference, 1e-6)
    d_half, d_across = (d_yy + d_xx) / 2, (d_xx - d_yy) / 2
    d_difference = (across * d_across + yx * d_yx) / difference
    d_long, d_short = (d_half + d_difference) / long, (d_half - d_difference) / short  # relative
    width, ellipticity = (long * short) ** 0.25, np.sqrt(long / short)
    slopes = np.zeros((4, 4, len(height)))
    slopes[0, 0] = 2 * np.pi / np.sqrt(determinant)
    slopes[0, 1:] = -0.5 * volume / determinant * np.stack([c, -2 * b, a])
    slopes[1, 1:] = width / 4 * (d_long + d_short)
    slopes[2, 1:] = ellipticity / 2 * (d_long - d_short)
    slopes[3, 1:] = np.rad2deg(0.5 * (across * d_yx - yx * d_across) / difference**2)
    direction = np.rad2deg(0.5 * np.arctan2(yx, across)) % 180
    return np.stack([volume, width, ellipticity, direction], axis=1), slopes
