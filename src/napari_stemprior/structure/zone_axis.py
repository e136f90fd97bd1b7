"""The direction of the beam, as people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import gcd

from napari_stemprior.errors import StructureError

#: Columns along higher indices lie closer than any microscope resolves.
LARGEST_INDEX = 99

_ZONE_AXIS_HINT = (
    "give three indices such as 001, [1-10] or 1,1,0, or four for a hexagonal cell such as [11-20]."
)


@dataclass(frozen=True)
class PlaneNormal:
    """The direction at right angles to a lattice plane, which need not be a lattice vector.

    Parameters
    ----------
    hkl : tuple of int, optional
        Miller indices of the plane in the basis of the cell; None is the plane of the layers.
    """

    hkl: tuple[int, int, int] | None = None

    def __str__(self) -> str:
        return "normal" if self.hkl is None else f"normal {format_indices(self.hkl, '()')}"


#: A lattice direction [uvw], or the normal of a plane.
Direction = tuple[int, int, int] | PlaneNormal


def format_zone_axis(uvw: tuple[int, ...]) -> str:
    """Write a direction the usual way, for instance ``[1-10]``; large indices with spaces."""
    return format_indices(uvw, "[]")


def format_indices(indices: tuple[int, ...], brackets: str) -> str:
    """Write indices between brackets; large ones with spaces."""
    return brackets[0] + (" " if max(map(abs, indices)) > 9 else "").join(map(str, indices)) + brackets[1]


def parse_direction(text: str) -> Direction:
    """Read a zone axis, or ``normal`` with or without the indices of a plane behind it.

    Parameters
    ----------
    text : str
        See `parse_zone_axis`; ``normal`` is the normal of the layers, ``normal 001`` that of a plane.

    Raises
    ------
    StructureError
        If it is neither.
    """
    words = text.strip().split(maxsplit=1)
    if words and words[0].casefold() == "normal":
        return parse_plane(words[1]) if len(words) > 1 else PlaneNormal()
    return parse_zone_axis(text)


def parse_plane(text: str) -> PlaneNormal:
    """Read the indices of a plane such as ``001``, ``(1-10)`` or hexagonal ``(0001)``.

    Raises
    ------
    StructureError
        If they are not such indices, or are (000).
    """
    indices = _indices(text)
    if len(indices) == 4:
        h, k, i, l = indices  # noqa: E741
        if h + k + i:
            raise StructureError(
                f"The plane {text!r} has four indices, but the first three do not add up to 0."
            )
        indices = [h, k, l]
    if len(indices) != 3 or not any(indices):
        raise StructureError(f"The plane {text!r} is none; give three indices such as 001 or (1-10).")
    divisor = gcd(*indices)
    h, k, l = (index // divisor for index in indices)  # noqa: E741
    return PlaneNormal((h, k, l))


def parse_zone_axis(text: str) -> tuple[int, int, int]:
    """Read a zone axis such as ``001``, ``[1-10]``, ``[1 -1 0]``, ``1,1,0`` or hexagonal ``[11-20]``.

    Parameters
    ----------
    text : str
        Three indices [uvw], or four [uvtw] of a hexagonal cell. Without separators every index is
        one digit with its sign before it.

    Returns
    -------
    tuple of int
        [uvw] without a common divisor.

    Raises
    ------
    StructureError
        If it is not a zone axis, or is [000].
    """
    indices = _indices(text)
    if len(indices) == 4:
        u, v, t, w = indices
        if u + v + t:
            raise StructureError(
                f"The zone axis {text!r} has four indices, but the first three do not add up to 0."
            )
        indices = [u - t, v - t, w]
    if len(indices) != 3:
        raise StructureError(f"The zone axis {text!r} is not a direction; {_ZONE_AXIS_HINT}")
    divisor = gcd(*indices)
    if divisor == 0:
        raise StructureError(f"The zone axis {text!r} has no direction; {_ZONE_AXIS_HINT}")
    u, v, w = (index // divisor for index in indices)
    return u, v, w


def _indices(text: str) -> list[int]:
    """Read indices with or without separators and brackets; an empty list where they are none."""
    inner = text.replace("\u2212", "-").replace("\u2013", "-").strip()  # signs as pages print them
    if inner[:1] in ("[", "<", "(") and inner[-1:] in ("]", ">", ")"):
        inner = inner[1:-1].strip()
    separated = re.fullmatch(r"[+-]?\d+(?:(?:\s*,\s*|\s+)[+-]?\d+)*", inner)
    if separated and re.search(r"[\s,]", inner):
        indices = [int(part) if len(part) < 9 else LARGEST_INDEX + 1 for part in re.split(r"[\s,]+", inner)]
    elif re.fullmatch(r"(?:[+-]?\d)+", inner):
        indices = [int(part) for part in re.findall(r"[+-]?\d", inner)]
    else:
        indices = []
    return indices if all(abs(index) <= LARGEST_INDEX for index in indices) else []
