"""What a person is told of a lattice that the image itself shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def image_lattice_sentence(provenance: Mapping[str, Any]) -> str:
    """Say which lattice an image was segmented with that no prior gave; empty where there was none.

    Parameters
    ----------
    provenance : mapping
        Of the atom table.
    """
    found = provenance.get("image_lattice")
    if not isinstance(found, Mapping):
        return ""
    columns = f"{found['columns']} column{'s' * (found['columns'] != 1)}"
    return (
        f"The image itself shows a lattice, {found['cell']} with {columns} in the mean of {found['cells']} "
        "cells; the atoms follow it, and their elements are unknown."
    )
