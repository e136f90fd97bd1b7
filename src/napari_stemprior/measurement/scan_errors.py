"""What is systematic by row of the scan in the displacements: jitter, mains, drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, map_coordinates
from scipy.spatial import cKDTree
from scipy.stats import chi2

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.displacements import Displacements
from napari_stemprior.measurement.lattice_indices import LatticeIndices
from napari_stemprior.measurement.position_errors import position_errors

Floats = NDArray[np.float64]

#: Å: what changes over more rows than this may be strain or drift and is never taken out.
SMOOTH = 10.0
#: Å: height of a band of rows. A column shows over some 1 Å of rows, so finer jitter averages out in it.
BAND = 1.0
#: Atoms that say something about a band.
_LEAST = 3
_LEAST_BANDS = 8
#: Å between the places at which the slow displacements of a sublattice are fitted, and atoms of a fit.
_GRID, _FIELD_ATOMS, _FEWEST = 4.0, 30, 12
#: Shifts that position errors alone make more often than this are left alone.
_CHANCE = 0.01


@dataclass(frozen=True, eq=False)
class ScanErrors:
    """Shifts of bands of rows (or columns) of the scan.

    Parameters
    ----------
    position : (B,) array
        Å, middle of each band along the slow axis.
    shift : (B, 2) array
        Å (x, y): mean displacement of the atoms of the band less its slow part; NaN where too few lie there.
    error : (B,) array
        Standard error of a component of `shift`, Å.
    slow : (B, 2) array
        Å (x, y): what changes over more than 10 Å, which may be drift or strain of the specimen.
    jitter : (2,) array
        Root mean square of the true shifts, Å (x, y): that of `shift` less what position errors explain.
    chance : (2,) array
        How often position errors alone make such shifts.
    period, period_chance : float
        Å along the slow axis of the strongest oscillation of the shifts in x, such as that of the mains, and
        how often noise has one as strong.
    by : str
        ``"row"`` or ``"column"``.
    """

    position: Floats
    shift: Floats
    error: Floats
    slow: Floats
    jitter: Floats
    chance: Floats
    period: float
    period_chance: float
    by: str


def scan_errors(
    atoms: AtomTable, indices: LatticeIndices, moved: Displacements, by: str = "row"
) -> ScanErrors:
    """Measure what the atoms of a row of the scan have in common.

    Rows that the scan shifts move all atoms on them alike, whereas a crystal's own displacements do not care
    for the direction of the scan. Jitter that changes from one row to the next is averaged over the rows of a
    column (some 1 Å) before anybody can see it in atom positions; only the rest is found here. Strain and
    off-centring are taken off first: affine fits over some 30 atoms of the same site around each place.

    Parameters
    ----------
    atoms : AtomTable
    indices : LatticeIndices
    moved : Displacements
    by : {"row", "column"}

    Returns
    -------
    ScanErrors

    Raises
    ------
    MeasurementError
        If too few bands hold enough atoms.
    """
    along = atoms.yx_angstrom[:, 0 if by == "row" else 1]
    known = np.isfinite(moved.xy).all(1) & np.isfinite(moved.position_error) & (moved.position_error > 0)
    bands = int(np.ceil(along.max(initial=0.0) / BAND)) + 1 if known.any() else 0
    band = np.minimum((along / BAND).astype(int), max(bands - 1, 0))
    count = np.bincount(band[known], minlength=bands)
    if np.count_nonzero(count >= _LEAST) < _LEAST_BANDS:
        raise MeasurementError(
            f"Only {np.count_nonzero(count >= _LEAST)} bands of the scan hold {_LEAST} atoms with a site; "
            f"errors of the scan are measured from {_LEAST_BANDS} or more."
        )
    rest = moved.xy - _smooth_field(moved, indices.sublattice)
    known &= np.isfinite(rest).all(1)
    weight = np.where(known, 1 / np.maximum(moved.position_error, 1e-9) ** 2, 0.0)
    total = np.bincount(band, weight, bands)
    good = count >= _LEAST
    mean = np.full((bands, 2), np.nan)
    for axis in (0, 1):
        mean[:, axis] = np.bincount(band, weight * np.where(known, rest[:, axis], 0.0), bands)
    mean[good] /= total[good, None]
    mean[~good] = np.nan
    error = np.where(good, np.maximum(total, 1e-30) ** -0.5, np.nan)
    slow = _slow(mean, np.where(good, total, 0.0))
    shift = mean - slow
    # the slow part takes the noise of its window with it
    left = 1 - BAND / (SMOOTH * np.sqrt(4 * np.pi) / 2)
    squared = (shift[good] / error[good, None]) ** 2
    chance = chi2.sf(squared.sum(0) / left, good.sum())
    noise = float((error[good] ** 2).mean()) * left
    jitter = np.sqrt(np.maximum((shift[good] ** 2).mean(0) - noise, 0.0))
    period, period_chance = _oscillation(shift[:, 0 if by == "row" else 1], error, good)
    position = np.asarray((np.arange(bands) + 0.5) * BAND, float)
    return ScanErrors(position, shift, error, slow, jitter, np.asarray(chance), period, period_chance, by)


def _smooth_field(moved: Displacements, sublattice: NDArray[np.int64]) -> Floats:
    """Return (N, 2) the displacements (Å) that change slowly in both directions, of each sublattice."""
    out = np.full(moved.xy.shape, np.nan)
    for one in np.unique(sublattice[sublattice >= 0]):
        own = np.flatnonzero((sublattice == one) & np.isfinite(moved.xy).all(1))
        if len(own) < _FEWEST:
            continue
        place, shift = moved.ideal[own], moved.xy[own]
        low = place.min(0)
        counts = np.maximum(np.ceil((place.max(0) - low) / _GRID).astype(int) + 1, 2)
        nodes = np.stack(np.meshgrid(*(np.arange(n) * _GRID for n in counts), indexing="ij"), -1) + low
        flat = nodes.reshape(-1, 2)
        near = np.asarray(cKDTree(place).query(flat, k=min(_FIELD_ATOMS, len(own)))[1])
        relative = place[near] - flat[:, None]
        design = np.concatenate([np.ones((*near.shape, 1)), relative], axis=2)
        normal = np.einsum("nki,nkj->nij", design, design) + 1e-9 * np.eye(3)
        moment = np.einsum("nki,nka->nia", design, shift[near])
        level = np.linalg.solve(normal, moment)[:, 0].reshape(*counts, 2)
        at = ((place - low) / _GRID).T
        for axis in (0, 1):
            out[own, axis] = map_coordinates(level[..., axis], at, order=1, mode="nearest")
    return out


def _slow(mean: Floats, weight: Floats) -> Floats:
    """Smooth a profile by a Gaussian, weighted, over 10 Å."""
    sigma = SMOOTH / 2 / BAND
    total = gaussian_filter1d(weight, sigma, mode="constant")
    filled = np.where(np.isfinite(mean), mean, 0.0)
    summed = gaussian_filter1d(filled * weight[:, None], sigma, axis=0, mode="constant")
    return np.asarray(summed / np.maximum(total, 1e-30)[:, None])


def _oscillation(shift: Floats, error: Floats, good: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the period in Å of the strongest oscillation, and the chance that noise has one as strong."""
    values = np.where(good, shift / np.where(good, error, 1.0), 0.0)
    values = values - values[good].mean() * good
    power = np.abs(np.fft.rfft(values)) ** 2 / max(float((values**2).sum()), 1e-30)
    power[0] = 0.0
    first = max(1, int(len(values) * BAND / (2 * SMOOTH)))
    power[:first] = 0.0
    best = int(np.argmax(power))
    if best == 0:
        return float("nan"), float("nan")
    tested = max(len(power) - first, 1)
    # Fisher's test in its exponential form: the strongest of so many independent frequencies
    single = np.exp(-float(power[best]))
    chance = 1 - (1 - min(single, 1.0)) ** tested
    return len(values) * BAND / best, float(chance)


def without_scan_errors(
    atoms: AtomTable,
    indices: LatticeIndices,
    moved: Displacements,
    found: ScanErrors,
    sigma: Floats | None = None,
) -> Displacements:
    """Take the shifts of rows out of displacements, as far as they are known.

    Each shift is shrunk by the share of it that position errors do not explain (Wiener), so that nothing is
    changed where there is no jitter. The slow part stays: it may be strain.

    Parameters
    ----------
    atoms : AtomTable
    indices : LatticeIndices
    moved : Displacements
    found : ScanErrors
    sigma : (N,) array, optional
        Standard errors of the fit of the columns, Å, as for `displacements`.

    Returns
    -------
    Displacements
        With errors that are measured anew.
    """
    along = atoms.yx_angstrom[:, 0 if found.by == "row" else 1]
    band = np.clip((along / BAND).astype(int), 0, len(found.position) - 1)
    true = np.where(found.chance < _CHANCE, found.jitter**2, 0.0)
    noise = np.where(np.isfinite(found.error), found.error, 1e9)[:, None] ** 2
    taken = np.where(np.isfinite(found.shift), found.shift, 0.0) * true / np.maximum(true + noise, 1e-30)
    left = moved.xy - taken[band]
    own = position_errors(moved.ideal, left, indices.sublattice, sigma)
    return Displacements(moved.ideal, left, own * moved.error / moved.position_error, own)
