"""What a format reader hands on: pixels with what the file says about them, not yet judged."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import MicrographError


@dataclass(frozen=True)
class RawImage:
    """One signal of a file.

    Parameters
    ----------
    frames : (N, H, W) array
        Any real dtype; N = 1 for a single image.
    stacked : bool
        Whether the file has a frame axis, even of length 1.
    pixel_size : (float or None, float or None)
        Å/px along y and x.
    title : str
        What the file calls it, such as "HAADF".
    metadata : dict
        Plain values only.
    """

    frames: NDArray[Any]
    stacked: bool = False
    pixel_size: tuple[float | None, float | None] = (None, None)
    title: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


def grey(channels: NDArray[Any], name: str, *, alpha: bool) -> NDArray[Any]:
    """Reduce a (..., H, W, C) image to grey if its colours carry nothing.

    Parameters
    ----------
    channels : (..., H, W, C) array
    name : str
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
        raise MicrographError(
            f"{name}: this is a colour image; save the grey micrograph itself, without colour map, "
            "scale bar or labels."
        )
    return first


def described_pixel_size(text: object) -> float | None:
    """Return ``pixel_size_angstrom`` of a JSON description, which this project writes into its images.

    Parameters
    ----------
    text : object
        The description; anything else than a JSON object with that number gives None.
    """
    if not isinstance(text, str) or "pixel_size_angstrom" not in text:
        return None
    try:
        value = json.loads(text)["pixel_size_angstrom"]
    except (ValueError, TypeError, KeyError):
        return None
    return float(value) if isinstance(value, int | float) and value > 0 else None
