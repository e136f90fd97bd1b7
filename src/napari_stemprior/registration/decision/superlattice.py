"""Fringes that a lattice cannot explain though they belong to it: its cell is then too small.

The columns of aluminium along [100] lie on every column of strontium titanate along [001], and its
reflections on the strongest of the image. What gives it away is power where the lattice has none: half way
and a third of the way between its reflections, and where its structure factors vanish. Another grain or
another layer has its reflections elsewhere, so it does not speak against the lattice.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from napari_stemprior.registration.fourier.features import FourierFeatures
from napari_stemprior.registration.fourier.reflections import Reflections, list_reflections
from napari_stemprior.registration.gpa.demodulation import Fringes, demodulate
from napari_stemprior.registration.gpa.phase_refinement import RefinedPhases
from napari_stemprior.structure import StructurePrior

#: Radius in cycles per Å within which superstructure is looked for; it is strongest at long periods.
_REACH = 0.65
#: Nearer than this (cycles per Å) to a reflection, or to the origin, the reflection's own foot would count.
_APART = 0.07
#: The most such reflections; the longest periods are kept.
_MOST = 90


@lru_cache(maxsize=64)
def absent_reflections(prior: StructurePrior, resolution: float) -> Reflections:
    """List the reflections at simple fractions of the lattice, and those of the lattice that should be dark.

    Parameters
    ----------
    prior : StructurePrior
    resolution : float
        Finest spacing in Å whose reflections are bright.
    """
    known = list_reflections(prior, resolution)
    reciprocal = np.linalg.inv(prior.cell).T
    reach = np.ceil(np.linalg.norm(prior.cell, axis=1) * _REACH).astype(int) * 6
    h, k = np.meshgrid(np.arange(0, reach[0] + 1), np.arange(-reach[1], reach[1] + 1), indexing="ij")
    sixths = np.stack([h.ravel(), k.ravel()], axis=1)
    simple = ((sixths % 2 == 0).all(1)) | ((sixths % 3 == 0).all(1))
    half_plane = (sixths[:, 0] > 0) | (sixths[:, 1] > 0)
    sixths = sixths[simple & half_plane]
    g = sixths / 6 @ reciprocal
    bright = np.concatenate([np.zeros((1, 2)), known.g, -known.g])
    apart = np.linalg.norm(g[:, None] - bright[None], axis=-1).min(1)
    radius = np.linalg.norm(g, axis=1)
    keep = np.flatnonzero((radius <= _REACH) & (apart >= _APART))
    keep = keep[np.argsort(radius[keep], kind="stable")][:_MOST]
    ones = np.ones((1, len(keep)), dtype=complex)
    return Reflections(sixths[keep], g[keep], ones[0], ones)


def superlattice_share(features: FourierFeatures, prior: StructurePrior, phases: RefinedPhases) -> float:
    """Share of the power that a lattice's own periods and their multiples hold outside its reflections.

    Where the lattice is not seen, nothing is counted.

    Parameters
    ----------
    features : FourierFeatures
        Of the image.
    prior : StructurePrior
    phases : RefinedPhases
        The fringes of the prior's reflections.

    Returns
    -------
    float
        From 0 to 1: what noise leaves certain at three standard deviations.
    """
    extra = absent_reflections(prior, features.resolution)
    if not len(extra.g):
        return 0.0
    fringes, match = phases.fringes, phases.displacement.match
    usual = float(np.percentile(match, 90))
    weight = np.clip(match / max(usual, 1e-12), 0, 1) ** 2
    other = demodulate(features.transform, extra, fringes.linear, fringes.width)
    shift = phases.displacement.shift + phases.origin
    waves = np.exp(2j * np.pi * np.einsum("na,yxa->nyx", other.k, shift))
    dark = np.abs((other.values * waves * weight).sum((1, 2))) ** 2
    own = np.abs((phases.values * weight).sum((1, 2))) ** 2
    # values of neighbouring places overlap: their sum has the variance of the pixels below the weight
    spread = fringes.effective * 4 * _density(fringes) * float((weight**2).sum())
    noise = spread * features.whole.noise(other.k)
    certain = float((dark - noise).sum()) - 3 * float(np.sqrt((noise**2).sum()))
    bright = float(np.maximum(own - spread * features.whole.noise(fringes.k), 0).sum())
    certain = max(certain, 0.0)
    return certain / (certain + bright + 1e-30)


def _density(fringes: Fringes) -> float:
    """Return the number of samples in the area over which one value is taken."""
    step = fringes.places[1, 0, 0] * fringes.places[0, 1, 1]
    return float(np.pi * fringes.width**2 / step)
