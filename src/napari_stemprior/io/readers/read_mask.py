"""A mask from an image file: where it is not zero, no atoms may be."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import MicrographError
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.io.readers.picture_files import read_picture
from napari_stemprior.io.readers.tiff_files import read_tiff
from napari_stemprior.io.readers.time_limit import time_limit
from napari_stemprior.regular_files import refuse_pipe

_READERS = {
    **dict.fromkeys((".png", ".jpg", ".jpeg"), read_picture),
    **dict.fromkeys((".tif", ".tiff"), read_tiff),
}


def read_mask(path: str | os.PathLike[str]) -> NDArray[np.bool_]:
    """Read a mask from a grey PNG, JPEG or TIFF.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    (H, W) array of bool
        True where a pixel of the first image of the file is not zero. JPEG rounds zeros, so PNG or TIFF is
        better.

    Raises
    ------
    MicrographError
        If the file is missing, damaged, coloured or of another kind.
    """
    path = Path(path)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise MicrographError(
            f"{path.name}: a mask is a grey image, not zero where no atoms may be; give one of "
            f"{', '.join(_READERS)}."
        )
    try:
        refuse_pipe(path)
        with time_limit(path):
            raws = read(path)
        mask = np.asarray(next(iter(raws[0].frames)))
        if mask.ndim != 2 or mask.dtype.kind not in "biuf":
            raise ValueError("no image of real numbers")
    except MicrographError as error:
        raise MicrographError(
            f"{path.name}: this is no mask: {str(error).removeprefix(path.name)}"
        ) from error
    except FileNotFoundError as error:
        raise MicrographError(f"{path}: there is no such file.") from error
    except Exception as error:
        raise MicrographError(
            f"{path.name}: the mask cannot be read; save it again as a grey PNG or TIFF."
        ) from error
    return np.asarray(mask != 0)


def masked(micrograph: Micrograph, mask: NDArray[np.bool_], path: Path | None = None) -> Micrograph:
    """Return a micrograph in which a mask excludes atoms.

    Parameters
    ----------
    micrograph : Micrograph
    mask : (H, W) array of bool
    path : pathlib.Path, optional
        Where the mask comes from, for the sentence.

    Raises
    ------
    MicrographError
        If they differ in shape, or the mask leaves nothing.
    """
    if mask.all():
        raise MicrographError(
            f"{path or micrograph.name}: the mask covers the whole image; make it zero where atoms may be."
        )
    return replace(micrograph, excluded=mask)
