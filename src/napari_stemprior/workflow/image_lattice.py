"""What a person is told of a lattice that the image itself shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The cell that is seen and that of the prior differ in size by so much before it is said (relative).
_NOTABLE = 0.01


def image_lattice_sentence(provenance: Mapping[str, Any], pixel_size: float) -> str:
    """Say which lattice an image was segmented with that no prior gave; empty where there was none.

    Parameters
    ----------
    provenance : mapping
        Of the atom table.
    pixel_size : float
        Å/px that the image was segmented with.
    """
    found = provenance.get("image_lattice")
    if not isinstance(found, Mapping):
        return ""
    columns = f"{found['columns']} column{'s' * (found['columns'] != 1)}"
    if "prior" in found:
        return (
            f"The image itself shows a cell of {found['cell']}, on which the {columns} of {found['prior']} "
            f"stand{_size(float(found['stretch']), pixel_size)}; the atoms follow them and are not named."
        )
    return (
        f"The image itself shows a lattice, {found['cell']} with {columns} in the mean of {found['cells']} "
        "cells; the atoms follow it, and their elements are unknown."
    )


def segmented_how(provenance: Mapping[str, Any]) -> str:
    """Say what an image was segmented with, where the lattice of its prior does not fit.

    Parameters
    ----------
    provenance : mapping
        Of the atom table.
    """
    found = provenance.get("image_lattice")
    if isinstance(found, Mapping):
        return (
            "with its columns on the cell that the image shows"
            if "prior" in found
            else "with the lattice that it shows itself"
        )
    return "with its spacings but not its places" if provenance.get("prior_unplaced") else "alone"


def _size(stretch: float, pixel_size: float) -> str:
    if abs(stretch - 1) < _NOTABLE:
        return ""
    other = f"{100 * abs(1 / stretch - 1):.0f} % {'smaller' if stretch > 1 else 'larger'}"
    return f"; it would have the size of that crystal at {pixel_size / stretch:.4f} Å/px ({other})"
