"""A mask as text, for journals and provenance."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import MicrographError


def mask_to_dict(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Return an (H, W) mask as plain values: its shape, and its bits row by row, deflated, in base 64."""
    bits = zlib.compress(np.packbits(mask).tobytes(), 9)
    return {"shape": [int(n) for n in mask.shape], "bits": base64.b64encode(bits).decode("ascii")}


def mask_from_dict(values: Mapping[str, Any], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask that `mask_to_dict` described.

    Parameters
    ----------
    values : mapping
    shape : (int, int)
        Rows and columns of the image that it belongs to; no more than these is unpacked.

    Returns
    -------
    (H, W) array of bool

    Raises
    ------
    MicrographError
        If it is damaged, or belongs to an image of another shape.
    """
    try:
        if [int(n) for n in values["shape"]] != list(shape):
            raise MicrographError(f"The mask is of shape {values['shape']} and the image of {list(shape)}.")
        size = -(-shape[0] * shape[1] // 8)
        stream = zlib.decompressobj()
        bits = stream.decompress(base64.b64decode(values["bits"], validate=True), size)
        if len(bits) != size:
            raise ValueError("too short")
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error, zlib.error) as error:
        raise MicrographError("The mask is damaged.") from error
    flat = np.unpackbits(np.frombuffer(bits, np.uint8), count=shape[0] * shape[1])
    return flat.reshape(shape).astype(bool)
