"""Tell by the likelihood of the image which of several ways to lay a prior on its lattice is right.

Half a turn of a bilayer hardly changes the structure factors, and where registration evens out the contrast
it loses what tells the two apart. Here every placement is drawn, column by column, and the likelihood of the
image itself is compared, with all that nobody knows free: width of a column, intensity against Z, scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_stemprior.inference.canonical import CanonicalImage
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.registration.reciprocal import column_weights
from napari_stemprior.structure import HAADF_EXPONENT, StructurePrior

Floats = NDArray[np.float64]

#: Standard deviations in Å of a column's image that are tried, and how its intensity may go with Z.
_WIDTHS = (0.35, 0.5, 0.65)
_EXPONENTS = (1.25, HAADF_EXPONENT, 1.95)
#: Å beyond which brightness varies by thickness and film.
_BACKGROUND = 5.0
#: Nats below which the image does not tell two placements apart: odds of 20 to 1.
UNDECIDED = 3.0


def log_likelihoods(
    image: CanonicalImage, prior: StructurePrior, placements: Sequence[tuple[Floats, NDArray[np.int64]]]
) -> Floats:
    """Compare placements of a prior by the likelihood of an image.

    Noise is taken to be the same everywhere, as large as what the best of the placements leaves over.

    Parameters
    ----------
    image : CanonicalImage
    prior : StructurePrior
    placements : sequence of (M, 2) array and (M,) array of int
        Canonical pixels of the columns, those around the image included, and which columns they are.

    Returns
    -------
    (n,) array
        Log-likelihoods in nats; only their differences mean anything.
    """
    counted = np.ones(image.shape, np.float32) if image.valid is None else image.valid.astype(np.float32)
    data = _flat(image.image.numpy().astype(np.float64)) * counted
    power = float((data**2).sum())
    left = np.full(len(placements), power)
    for number, (yx, index) in enumerate(placements):
        for exponent in _EXPONENTS:
            spots = _spots(yx, column_weights(prior, exponent)[index], image.shape)
            for width in _WIDTHS:
                model = _flat(gaussian_filter(spots, width / CANONICAL_PIXEL_SIZE)) * counted
                gain = max(float((model * data).sum()), 0.0) ** 2 / max(float((model**2).sum()), 1e-30)
                left[number] = min(left[number], power - gain)
    variance = max(float(left.min()) / max(float(counted.sum()), 1.0), 1e-30)
    return np.asarray(-0.5 * left / variance)


def _spots(yx: Floats, brightness: Floats, shape: tuple[int, int]) -> Floats:
    """Put points of unit area on the pixels around them; those outside the image are left out."""
    low = np.floor(yx).astype(np.int64)
    part = yx - low
    image = np.zeros(shape)
    for dy in (0, 1):
        for dx in (0, 1):
            y, x = low[:, 0] + dy, low[:, 1] + dx
            inside = (y >= 0) & (x >= 0) & (y < shape[0]) & (x < shape[1])
            weight = brightness * np.abs(1 - dy - part[:, 0]) * np.abs(1 - dx - part[:, 1])
            np.add.at(image, (y[inside], x[inside]), weight[inside])
    return image


def _flat(image: Floats) -> Floats:
    return np.asarray(image - gaussian_filter(image, _BACKGROUND / CANONICAL_PIXEL_SIZE))
