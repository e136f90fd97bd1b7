"""White scale bars in pictures that were saved as JPEG: bright throughout, though not of one value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening, find_objects, label

from napari_stemprior.recording.bar_label import label_beside
from napari_stemprior.recording.flat_runs import Image, Mask, is_eight_bit

#: Digits below white within which JPEG of quality 60 leaves a white bar.
_SMEARED = 16.0
#: A bar is this long at least (pixels, and share of the width), ...
_LONG, _SHARE = 16, 0.06
#: ... this many times as long as it is high, filled to this share, and at most this share of the height.
_ASPECT, _FILL, _HIGH = 3.0, 0.9, 0.1
#: Two rows above and below it there is no white: clipped columns in a row have white ones beside them.
_BESIDE = 0.3


def bright_bars(image: Image, valid: Mask) -> Mask:
    """Find white bars of an 8-bit picture and the letters beside them.

    Parameters
    ----------
    image : (H, W) array
    valid : (H, W) array of bool

    Returns
    -------
    (H, W) array of bool
    """
    mask: NDArray[np.bool_] = np.zeros(image.shape, bool)
    if not is_eight_bit(image, valid):
        return mask
    height, width = image.shape
    white = valid & (image >= 255 - _SMEARED)
    long = max(_LONG, int(np.ceil(_SHARE * width)))
    if not white.any() or white.sum(axis=1).max() < long:
        return mask
    areas, count = label(binary_opening(white, np.ones((1, long), bool)))
    for number, box in enumerate(find_objects(areas, count), start=1):
        tall, wide = (side.stop - side.start for side in box)
        if (
            tall < 2
            or tall > _HIGH * height
            or wide < _ASPECT * tall
            or (areas[box] == number).mean() < _FILL
        ):
            continue
        top, bottom, left, right = box[0].start, box[0].stop, box[1].start, box[1].stop
        beside = [row for row in (top - 2, bottom + 1) if 0 <= row < height]
        if any(float(white[row, left:right].mean()) > _BESIDE for row in beside):
            continue
        mask[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1] = True
        mask |= label_beside(image, valid, (top, bottom, left, right), 255.0, _SMEARED)
    return mask & valid
