"""What atoms are called: after the site that they stand on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.atoms import UNKNOWN_ELEMENT
from napari_stemprior.structure import Prior
from napari_stemprior.structure.lattice_sites import LatticeSites


def site_labels(
    yx: NDArray[np.float64],
    hidden: NDArray[np.bool_],
    look: NDArray[np.int64],
    prior: Prior,
    registered: LatticeSites,
    pixel_size: float,
) -> dict[str, Any]:
    """Name each atom after the nearest registered column of its layer, else after what it looks like."""
    gate = min(0.45 * prior.neighbour_distance, 0.75) / pixel_size
    chosen = look.copy()
    for layer in (False, True):
        atoms, sites = np.flatnonzero(hidden == layer), np.flatnonzero(registered.is_hidden == layer)
        if not len(atoms) or not len(sites):
            continue
        distance, found = cKDTree(registered.yx[sites]).query(yx[atoms])
        nearest = np.asarray(found)
        near = distance < gate
        chosen[atoms[near]] = registered.column[sites[nearest[near]]]
    named = [prior.columns[i] if i >= 0 else None for i in chosen]  # -1: nothing told what it looks like
    return {
        "element": [c.element if c else UNKNOWN_ELEMENT for c in named],
        "site": [c.site if c else "" for c in named],
        "layer": [c.layer if c else int(low) for c, low in zip(named, hidden, strict=True)],
    }
