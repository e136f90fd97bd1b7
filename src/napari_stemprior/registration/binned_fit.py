"""The lattice on an image that is not in memory, found on the image in coarser pixels.

Registration bins fine pixels before it looks for a lattice, since a lattice has nothing below 0.6 Å; here
that is done strip by strip, so that the image comes into memory in coarse pixels only.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np
from numpy.typing import ArrayLike

from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording import PreparedImage, prepare
from napari_stemprior.recording.prepared_strips import PreparedStrips, prepare_strips
from napari_stemprior.recording.stored_image import is_stored, stored
from napari_stemprior.registration.fourier.normalized_image import COARSE_PIXEL
from napari_stemprior.registration.lattice_fit import LatticeFit
from napari_stemprior.registration.stage import FITTING
from napari_stemprior.scratch_arrays import ScratchArrays


def prepared_any(image: ArrayLike | PreparedImage | PreparedStrips) -> PreparedImage | PreparedStrips:
    """Return a recording made fit for analysis: one that is large and not in memory by strips."""
    if isinstance(image, PreparedStrips):
        return image
    return drain(prepare_strips(stored(image), ScratchArrays())) if is_stored(image) else prepare(image)


def binning_at(pixel_size: float) -> int:
    """Return how many pixels of an image are joined along either side before a lattice is looked for."""
    return max(1, int(COARSE_PIXEL / pixel_size))


def on_binned(
    image: PreparedStrips,
    pixel_size: float,
    fit: Callable[[PreparedImage, float], Generator[Progress, None, LatticeFit]],
) -> Generator[Progress, None, LatticeFit]:
    """Fit a lattice on the image in coarser pixels and carry it back, step by step.

    Parameters
    ----------
    image : PreparedStrips
    pixel_size : float
        Å per pixel.
    fit : callable
        Gets the coarse image and its pixel size.
    """
    if not (np.isfinite(pixel_size) and pixel_size > 0):
        return (yield from fit(image.binned(1), pixel_size))  # says what is wrong with it
    binning = binning_at(pixel_size)
    coarse = image.binned(binning)
    yield FITTING
    found = yield from fit(coarse, pixel_size * binning)
    return found.scaled(binning)
