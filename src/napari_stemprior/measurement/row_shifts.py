"""What the arrows of a row of the scan have in common, which the scan has made and no crystal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.stats import chi2

from napari_stemprior.measurement.scan_errors import BAND, SMOOTH

Floats = NDArray[np.float64]

#: Arrows that say something about a band of rows, and bands that say something about the scan.
_LEAST, _LEAST_BANDS = 4, 6


@dataclass(frozen=True, eq=False)
class RowShifts:
    """Shifts of bands of rows at M arrows.

    Parameters
    ----------
    shift : (M, 2) array
        Of the band of each arrow, in the unit of the arrows; 0 where nothing is known.
    spent : float
        Freedoms that are no longer there once these are taken off.
    rms : float
        Root mean square of the true shifts along one axis: what errors explain is taken off.
    chance : float
        How often errors alone make such shifts; NaN where there are too few bands to tell.
    """

    shift: Floats
    spent: float
    rms: float
    chance: float


def row_shifts(along: Floats, arrow: Floats, error: Floats) -> RowShifts:
    """Measure by how much the arrows of a band of rows differ from those of the bands around it.

    A row that the scan has shifted moves all of its columns alike, and against those of the next rows. The
    mean of each band of 1 Å is compared with the weighted mean over 10 Å; what changes more slowly stays, for
    it may be the crystal's own.

    Parameters
    ----------
    along : (M,) array
        Å along the slow axis of the scan.
    arrow : (M, 2) array
    error : (M,) array
        Standard error of a component of an arrow.

    Returns
    -------
    RowShifts
    """
    none = RowShifts(np.zeros_like(arrow), 0.0, 0.0, float("nan"))
    if not len(along):
        return none
    band = np.floor((along - along.min()) / BAND).astype(np.int64)
    bands = int(band.max()) + 1
    count = np.bincount(band, minlength=bands)
    good = count >= _LEAST
    if np.count_nonzero(good) < _LEAST_BANDS:
        return none
    weight = np.where(good[band], 1 / error**2, 0.0)
    total = np.bincount(band, weight, bands)
    mean = np.stack([np.bincount(band, weight * arrow[:, axis], bands) for axis in (0, 1)], axis=1)
    mean = np.where(good[:, None], mean / np.where(good, total, 1.0)[:, None], 0.0)
    sigma = SMOOTH / 2 / BAND
    around = np.maximum(gaussian_filter1d(total, sigma, mode="constant"), 1e-300)
    smooth = gaussian_filter1d(mean * total[:, None], sigma, axis=0, mode="constant") / around[:, None]
    middle = np.zeros(2 * bands + 1)
    middle[bands] = 1.0
    own = gaussian_filter1d(middle, sigma, mode="constant")[bands] * total / around
    shift = np.where(good[:, None], mean - smooth, 0.0)
    # a band is part of the mean that it is compared with
    variance = (1 - own[good]) / total[good]
    known = variance > 0
    if np.count_nonzero(known) < _LEAST_BANDS:
        return none
    squared = (shift[good][known] ** 2).sum(1)
    chance = float(chi2.sf((squared / variance[known]).sum(), 2 * np.count_nonzero(known)))
    rms = float(np.sqrt(max(squared.mean() / 2 - variance[known].mean(), 0.0)))
    return RowShifts(shift[band], 2 * float((1 - own[good]).sum()), rms, chance)
