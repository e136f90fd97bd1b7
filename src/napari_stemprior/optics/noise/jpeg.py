"""What JPEG takes from an 8-bit image: the baseline quantisation of ITU-T T.81, without the file.

Only the quantisation loses anything; the entropy coding does not and is left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from napari_stemprior.errors import InstrumentError

_BLOCK = 8
#: Luminance quantisation of ITU-T T.81 (09/92), Annex K, table K.1.
LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


def quantisation(quality: int) -> NDArray[np.int64]:
    """Return the (8, 8) table of a quality from 1 to 100, scaled as libjpeg does (``jpeg_quality_scaling``).

    Raises
    ------
    InstrumentError
        If the quality is not a whole number from 1 to 100.
    """
    if not (1 <= quality <= 100 and quality == int(quality)):
        raise InstrumentError(
            f"The jpeg_quality of {quality} is not known; give a whole number from 1 to 100."
        )
    percent = 5000 // int(quality) if quality < 50 else 200 - 2 * int(quality)
    return np.asarray(np.clip((LUMINANCE * percent + 50) // 100, 1, 255), dtype=np.int64)


def jpeg_compressed(digits: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    """Return 8-bit digits after compression and decompression.

    Parameters
    ----------
    digits : (H, W) array
        Whole numbers from 0 to 255.
    quality : int
        From 1 to 100, on the scale of libjpeg.

    Returns
    -------
    (H, W) array of float32
        Whole numbers from 0 to 255.
    """
    table = quantisation(quality).astype(np.float32)
    height, width = digits.shape
    padded = np.pad(digits.astype(np.float32), ((0, -height % _BLOCK), (0, -width % _BLOCK)), mode="edge")
    down, across = padded.shape[0] // _BLOCK, padded.shape[1] // _BLOCK
    blocks = padded.reshape(down, _BLOCK, across, _BLOCK).swapaxes(1, 2) - 128
    # the orthonormal cosine transform of 8 x 8 values is the one of the standard
    steps = dctn(blocks, axes=(2, 3), norm="ortho") / table
    kept = np.copysign(np.floor(np.abs(steps) + 0.5), steps) * table  # halves away from 0, as in libjpeg
    out = idctn(kept, axes=(2, 3), norm="ortho").swapaxes(1, 2).reshape(padded.shape)
    return np.clip(np.round(out[:height, :width] + 128), 0, 255).astype(np.float32)
