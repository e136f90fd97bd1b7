"""What tells the pixels of an image from others, without reading all of a stack or of a large image."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from napari_stemprior.recording.stored_image import is_stored


def pixel_digest(data: Any, *, rgb: bool = False) -> str:
    """Return the SHA-256 of shape, kind and pixels, hexadecimal.

    Parameters
    ----------
    data : (..., H, W) or (H, W, C) array
        Of a stack, which may be on a disk, the first, the middle and the last frame are read, and of an image
        that is not in memory a few rows.
    rgb : bool
        Whether the last axis holds colours.
    """
    extra = () if rgb else tuple(data.shape[:-2])
    frames = [tuple(int(part * (n - 1)) for n in extra) for part in ((0, 0.5, 1) if extra else (0,))]
    digest = hashlib.sha256(repr((tuple(data.shape), str(data.dtype))).encode())
    for frame in frames:
        part = data[frame]
        if is_stored(part):
            part = np.concatenate([part[n : n + 8] for n in (0, part.shape[0] // 2, part.shape[0] - 8)])
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
