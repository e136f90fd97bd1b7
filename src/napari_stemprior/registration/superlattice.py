"""Fringes that a lattice cannot explain though they belong to it: its cell is then too small.

The columns of aluminium along [100] lie on every column of strontium titanate along [001], and its nodes
on the strongest of the image. What gives it away is power where the lattice has none: half way and a third
of the way between its nodes, and where its structure factors vanish. Another grain or another layer has its
nodes elsewhere, so it does not speak against the lattice.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.registration.demodulation import Fringes
from napari_stemprior.registration.reciprocal import Nodes, nodes
from napari_stemprior.registration.view import View
from napari_stemprior.structure import StructurePrior

#: Radius in cycles per Å within which superstructure is looked for; it is strongest at long periods.
_REACH = 0.65
#: Nearer than this (cycles per Å) to a node, or to the origin, the node's own foot would count.
_APART = 0.07
#: The most such nodes; the longest periods are kept.
_MOST = 90


@lru_cache(maxsize=64)
def absent_nodes(prior: StructurePrior, resolution: float) -> Nodes:
    """List the nodes at simple fractions of the lattice, and those of the lattice that should be dark.

    Parameters
    ----------
    prior : StructurePrior
    resolution : float
        Finest spacing in Å whose nodes are bright.
    """
    found = nodes(prior, resolution)
    reciprocal = np.linalg.inv(prior.cell).T
    reach = np.ceil(np.linalg.norm(prior.cell, axis=1) * _REACH).astype(int) * 6
    h, k = np.meshgrid(np.arange(0, reach[0] + 1), np.arange(-reach[1], reach[1] + 1), indexing="ij")
    sixths = np.stack([h.ravel(), k.ravel()], axis=1)
    simple = ((sixths % 2 == 0).all(1)) | ((sixths % 3 == 0).all(1))
    half_plane = (sixths[:, 0] > 0) | (sixths[:, 1] > 0)
    sixths = sixths[simple & half_plane]
    g = sixths / 6 @ reciprocal
    bright = np.concatenate([np.zeros((1, 2)), found.g, -found.g])
    apart = np.linalg.norm(g[:, None] - bright[None], axis=-1).min(1)
    radius = np.linalg.norm(g, axis=1)
    keep = np.flatnonzero((radius <= _REACH) & (apart >= _APART))
    keep = keep[np.argsort(radius[keep], kind="stable")][:_MOST]
    ones = np.ones((1, len(keep)), dtype=complex)
    return Nodes(sixths[keep], g[keep], ones[0], ones)


def superlattice_share(
    seen: View,
    prior: StructurePrior,
    fringes: Fringes,
    straight: NDArray[np.complex128],
    shift: NDArray[np.float64],
    match: NDArray[np.float64],
) -> float:
    """Share of the power that a lattice's own periods and their multiples hold outside its nodes.

    Parameters
    ----------
    seen : View
    prior : StructurePrior
    fringes : Fringes
        Of the nodes of the prior.
    straight : (n, gy, gx) complex array
        Their values, with the displacement taken out.
    shift : (gy, gx, 2) array
        Å (y, x), origin and displacement together.
    match : (gy, gx) array
        How well the lattice is seen; where it is not, nothing is counted.

    Returns
    -------
    float
        From 0 to 1: what noise leaves certain at three standard deviations.
    """
    extra = absent_nodes(prior, seen.resolution)
    if not len(extra.g):
        return 0.0
    usual = float(np.percentile(match, 90))
    weight = np.clip(match / max(usual, 1e-12), 0, 1) ** 2
    other = seen.demodulator.fringes(extra, fringes.linear, fringes.width)
    waves = np.exp(2j * np.pi * np.einsum("na,yxa->nyx", other.k, shift))
    dark = np.abs((other.values * waves * weight).sum((1, 2))) ** 2
    own = np.abs((straight * weight).sum((1, 2))) ** 2
    # values of neighbouring places overlap: their sum has the variance of the pixels below the weight
    spread = fringes.effective * 4 * _density(fringes) * float((weight**2).sum())
    noise = spread * seen.whole.noise(other.k)
    certain = float((dark - noise).sum()) - 3 * float(np.sqrt((noise**2).sum()))
    bright = float(np.maximum(own - spread * seen.whole.noise(fringes.k), 0).sum())
    certain = max(certain, 0.0)
    return certain / (certain + bright + 1e-30)


def _density(fringes: Fringes) -> float:
    """Return the number of samples in the area over which one value is taken."""
    step = fringes.places[1, 0, 0] * fringes.places[0, 1, 1]
    return float(np.pi * fringes.width**2 / step)
