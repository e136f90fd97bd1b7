"""What a format reader hands on: pixels with what the file says about them, not yet judged."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from napari_stemprior.errors import MicrographError
from napari_stemprior.io.readers.length_units import to_angstrom


@dataclass(frozen=True, eq=False)
class RawImage:
    """One signal of a file.

    Parameters
    ----------
    frames : (N, H, W) array, or sequence of N images
        Any type; `Micrograph` refuses what is no image. N = 1 for a single image. Large images may be what
        gives blocks of itself when sliced, see `recording.stored_image`.
    stacked : bool
        Whether the file has a frame axis, even of length 1.
    pixel_size : (float or None, float or None)
        Å/px along y and x.
    title : str
        What the file calls it, such as "HAADF".
    metadata : dict
        Plain values only.
    """

    frames: NDArray[Any] | Sequence[Any]
    stacked: bool = False
    pixel_size: tuple[float | None, float | None] = (None, None)
    title: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


def readable(images: Sequence[Callable[[], RawImage]]) -> list[RawImage]:
    """Return the images that can be used; one bad signal in a file does not spoil the others.

    Parameters
    ----------
    images : sequence of callable
        Each returns an image or raises `MicrographError`.

    Raises
    ------
    MicrographError
        The first one, if no image can be used.
    """
    good: list[RawImage] = []
    bad: list[MicrographError] = []
    for image in images:
        try:
            good.append(image())
        except MicrographError as error:
            bad.append(error)
    if bad and not good:
        raise bad[0]
    return good


def described_values(text: object) -> dict[str, Any]:
    """Return the plain values of a JSON description, which this project writes into its images.

    Parameters
    ----------
    text : object
        The description; anything else than a JSON object with a ``pixel_size_angstrom`` gives nothing.
    """
    if not isinstance(text, str) or "pixel_size_angstrom" not in text:
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(values, dict):
        return {}
    return {name: value for name, value in values.items() if isinstance(value, str | int | float)}


def described_pixel_size(text: object) -> float | None:
    """Return ``pixel_size_angstrom`` of a JSON description in Å/px, or None.

    Parameters
    ----------
    text : object
        See `described_values`.
    """
    return to_angstrom(described_values(text).get("pixel_size_angstrom"), "Å")
