"""What can be a recording at all: the one check of pixels from a file, a layer or a program."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.errors import MicrographError

#: Rows and columns that an image must have to show a lattice.
LEAST_SIDE = 16


def checked_image(image: ArrayLike, name: str = "", least_side: int = 1) -> NDArray[np.float32]:
    """Return an image as real numbers if it can be a recording.

    Parameters
    ----------
    image : (H, W) array-like
        Any unit and any real type; NaN and infinity are allowed. A (H, W, 3) or (H, W, 4) image of equal
        colours is taken as the grey image that it shows.
    name : str, optional
        What a sentence calls it.
    least_side : int, optional
        Rows and columns that it must have.

    Returns
    -------
    (H, W) array of float32
        Contiguous. What lies beyond single precision is infinite. It may share memory with `image`.

    Raises
    ------
    MicrographError
        If it is complex, boolean, not of numbers, coloured, empty, too small or not two-dimensional, or has
        no finite pixel or one value only.
    """
    array = real_image(image, name)
    height, width = array.shape
    if min(height, width) < least_side:
        raise _refusal(name, too_small(height, width, least_side))
    finite = np.isfinite(array)
    if not finite.any():
        raise _refusal(name, "no pixel of the image is a number; open another image.")
    known = array if finite.all() else array[finite]
    if known.max() == known.min():
        raise without_contrast(name)
    return array


def real_image(image: ArrayLike, name: str = "") -> NDArray[np.float32]:
    """Return an image as real numbers, whatever its pixels show; see `checked_image`.

    Raises
    ------
    MicrographError
        If it is complex, boolean, not of numbers, coloured, empty or not two-dimensional.
    """
    try:
        array = np.asarray(image)
    except (TypeError, ValueError) as error:
        raise _refusal(name, "the image is no array of numbers; give a single 2-D image.") from error
    if array.dtype.kind in "iuf" and array.ndim == 3 and array.shape[-1] in (3, 4) and array.size:
        array = grey(array, name, alpha=array.shape[-1] == 4)
    refusal = kind_refusal(array.dtype, array.shape, name)
    if refusal is not None:
        raise refusal
    with np.errstate(over="ignore"):  # beyond the range of single precision is infinite, so a bad pixel
        return np.ascontiguousarray(array, dtype=np.float32)


def kind_refusal(dtype: np.dtype[Any], shape: tuple[int, ...], name: str = "") -> MicrographError | None:
    """Return the error of an array that cannot be an image by its type or shape; None of one that can."""
    if dtype.kind == "c":
        return complex_image(name)
    if dtype.kind == "b":
        return _refusal(
            name, "the image is boolean, only true and false as in a mask; give the micrograph itself."
        )
    if dtype.kind not in "iuf":
        return _refusal(name, "the pixels of the image are not numbers; give an image of real numbers.")
    if 0 in shape:
        return _refusal(name, f"the image is empty, of shape {shape}; give a single 2-D image.")
    if len(shape) != 2:
        return _refusal(name, f"the image has shape {shape}; give a single 2-D image.")
    return None


def grey(channels: NDArray[Any], name: str = "", *, alpha: bool) -> NDArray[Any]:
    """Reduce a (..., H, W, C) image to grey if its colours carry nothing.

    Parameters
    ----------
    channels : (..., H, W, C) array
    name : str, optional
    alpha : bool
        Whether the last channel is opacity; it is left out.

    Raises
    ------
    MicrographError
        If the channels differ.
    """
    colours = channels[..., :-1] if alpha else channels
    first: NDArray[Any] = colours[..., 0]
    if any(not np.array_equal(first, colours[..., i]) for i in range(1, colours.shape[-1])):
        raise _refusal(
            name,
            "this is a colour image; save the grey micrograph itself, without colour map, scale bar or "
            "labels.",
        )
    return first


def complex_image(name: str = "") -> MicrographError:
    """Return the error that says that an image is complex."""
    return _refusal(
        name,
        "the image is complex, as a Fourier transform (FFT) or a wave is; give the micrograph itself, or "
        "take the magnitude, if that shows the specimen.",
    )


def without_contrast(name: str = "") -> MicrographError:
    """Return the error that says that an image has one value only."""
    return _refusal(
        name, "every pixel of the image has the same value, so it shows nothing; open another image."
    )


def masked_away(name: str = "") -> MicrographError:
    """Return the error that says that a mask leaves nothing of an image."""
    return _refusal(
        name, "the mask leaves nothing of the image that shows anything; erase a part of the mask."
    )


def too_small(height: int, width: int, least_side: int = LEAST_SIDE) -> str:
    """Say that an image is too small."""
    return (
        f"the image is {width} x {height} pixels; at least {least_side} x {least_side} are needed to see a "
        "lattice."
    )


def _refusal(name: str, sentence: str) -> MicrographError:
    return MicrographError(f"{name}: {sentence}" if name else sentence[0].upper() + sentence[1:])
