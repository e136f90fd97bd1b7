"""Whether single columns repeat over a larger cell than that of a lattice found in the spectrum.

Strain smears the strong reflections over the faint ones that tell a larger cell, so the spectrum may hide it.
The columns that the network sees one by one tell it, where enough are seen: carried by a vector of the right
lattice each falls on another column, carried by a vector of too fine a lattice only some do. The vectors are
those between registered sites, so strain takes no part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.registration import LatticeFit
from napari_stemprior.registration.unit_cell.larger_cell import LARGEST
from napari_stemprior.registration.unit_cell.sublattices import sublattices
from napari_stemprior.structure import StructurePrior

Floats = NDArray[np.float64]

#: Cells along each vector over which columns are carried.
_SPAN = 4
#: Columns that are carried at most, and by each vector at least.
_MOST, _LEAST = 1500, 60
#: Å: a column belongs to the lattice around a site this near, which lies this near to where it should; and a
#: carried column falls on another one this near.
_BELONGS, _SITE, _SAME = 2.0, 0.8, 0.3
#: Share of the columns that fall on others for vectors of the larger lattice, less that for the others, from
#: which on it is believed. In 310 micrographs of the validation set it is at most 0.13 with the right cell,
#: and at least 0.31 with half of it.
_MORE = 0.2


def repeating_cell(prior: StructurePrior, fit: LatticeFit, pixel_size: float, yx: Floats) -> Floats | None:
    """Return the (2, 2) larger cell over which columns repeat, rows (x, y) in Å; None where they have none.

    Parameters
    ----------
    prior : StructurePrior
        Its cell is the one that is doubted.
    fit : LatticeFit
        Where it lies.
    pixel_size : float
        Å/px.
    yx : (N, 2) array
        Columns that were found without the lattice, pixels.
    """
    axis = np.arange(-_SPAN, _SPAN + 1)
    hk = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    hk = hk[(hk[:, 0] > 0) | ((hk[:, 0] == 0) & (hk[:, 1] > 0))]  # the way back tells the same
    tried, met = _carried(hk @ (prior.cell @ fit.pose.affine.T) * pixel_size, fit, pixel_size, yx)
    best: tuple[float, Floats] | None = None
    for matrix in sublattices(LARGEST):
        index = hk @ np.linalg.inv(matrix)
        of_it = np.abs(index - np.round(index)).max(axis=1) < 1e-6
        shares = []
        for these in (of_it, ~of_it):
            enough = these & (tried >= _LEAST)
            shares.append(float(met[enough].sum() / tried[enough].sum()) if enough.any() else np.nan)
        more = shares[0] - shares[1]
        if more > _MORE and (best is None or more > best[0]):
            best = more, np.asarray(matrix @ prior.cell, float)
    return None if best is None else best[1]


def _carried(
    vectors: Floats, fit: LatticeFit, pixel_size: float, yx: Floats
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Carry columns by vectors of the lattice; count those that could be, and those that fall on another.

    Parameters
    ----------
    vectors : (n, 2) array
        Å (y, x).
    fit : LatticeFit
    pixel_size : float
    yx : (N, 2) array
        Pixels.

    Returns
    -------
    tried, met : (n,) arrays of int
    """
    sites = fit.registered
    tried, met = np.zeros(len(vectors), np.int64), np.zeros(len(vectors), np.int64)
    if not len(sites) or not len(yx):
        return tried, met
    there, all_columns = sites.yx * pixel_size, np.asarray(yx * pixel_size, float)
    columns = all_columns[:: -(-len(all_columns) // _MOST)]
    distance, nearest = cKDTree(there).query(columns)
    columns, near = columns[distance < _BELONGS], np.asarray(nearest)[distance < _BELONGS]
    # a third coordinate keeps the kinds of sites apart
    kind = 10 * _SITE * sites.column[:, None]
    same_kind, others = cKDTree(np.hstack([there, kind])), cKDTree(all_columns)
    low, high = all_columns.min(axis=0), all_columns.max(axis=0)
    for number, vector in enumerate(vectors):
        apart, goal = same_kind.query(np.hstack([there[near] + vector, kind[near]]))
        place = columns + there[goal] - there[near]
        known = (apart < _SITE) & ((place >= low) & (place <= high)).all(axis=1)
        missed = np.asarray(others.query(place[known])[0])
        tried[number] = np.count_nonzero(known)
        met[number] = np.count_nonzero(missed < _SAME)
    return tried, met
