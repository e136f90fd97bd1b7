"""Other grains of a crystal: where the first lattice is not seen, another one may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration.grain import Grain
from napari_stemprior.registration.lattice_fit import MIN_RELIABILITY, LatticeFit
from napari_stemprior.registration.rival_poses import SAME_PLACE, SCORE_TIE
from napari_stemprior.structure.lattice_sites import LatticeSites

#: Another grain takes over where it fits at least so well and the first lattice is not seen.
_GRAIN_SCORE, _GRAIN_RELIABILITY = 0.8, 0.5
#: A grain has at least so many columns; two claims that share more than this are of the same grain.
_SMALLEST_GRAIN, _SAME_GRAIN = 6, 0.6
#: Å over which the image is blurred before its brightness at the columns counts.
_COLUMN_WIDTH = 0.35
#: Standard errors by which one way to hold the basis must be brighter than that of the better score.
_CLEARLY = 2.0


@dataclass(frozen=True, eq=False)
class _Claim:
    """Sites that a lattice claims."""

    fit: LatticeFit
    sites: LatticeSites

    @property
    def score(self) -> float:
        """How well the lattice fits."""
        return self.fit.pose.score


def with_grains(
    first: LatticeFit, others: Sequence[LatticeFit], image: PreparedImage, pixel_size: float
) -> LatticeFit:
    """Add the sites of other grains, the largest first, where the first lattice is not seen.

    One lattice may hold its basis in several ways, and all of them claim the same grain: one gets it.

    Parameters
    ----------
    first : LatticeFit
        Of one layer, followed through strain.
    others : sequence of LatticeFit
        Of the same prior, followed, that fit as well.
    image : PreparedImage
    pixel_size : float
        Å per pixel.

    Returns
    -------
    LatticeFit
        With `grains`, that of the first lattice first.
    """
    if first.sites is None:
        return first
    (prior,) = first.layers
    own = first.sites.where(first.sites.reliability >= MIN_RELIABILITY)
    grains = [Grain.of(prior, first.pose, own, first.field)]
    least = min(_GRAIN_SCORE, first.pose.score - SCORE_TIE)  # as good as the first is good enough
    fits = [fit for fit in others if fit is not first and fit.pose.score >= least and fit.sites is not None]
    if not fits:
        return replace(first, grains=tuple(grains))
    seen = gaussian_filter(image.image, _COLUMN_WIDTH / pixel_size)
    reach = float(np.linalg.norm(prior.cell, axis=1).max()) * float(
        np.sqrt(abs(np.linalg.det(first.pose.affine)))
    )
    tree = cKDTree(first.sites.yx)
    claims = []
    for fit in fits:
        sites = fit.sites
        assert sites is not None
        free = first.sites.reliability[np.asarray(tree.query(sites.yx)[1])] < MIN_RELIABILITY
        claims.append(_Claim(fit, sites.where((sites.reliability >= _GRAIN_RELIABILITY) & free)))
    placed = first.sites
    while claims and (most := max(len(c.sites) for c in claims)) >= _SMALLEST_GRAIN:
        largest = next(c for c in claims if len(c.sites) == most)
        rivals = [c for c in claims if _shared(largest.sites, c.sites, reach) > _SAME_GRAIN]
        winner = _brightest(rivals, seen, prior.z_weights)
        won = winner.sites
        placed = placed.joined(won)
        grains.append(Grain.of(prior, winner.fit.pose, won, winner.fit.field))
        # what another lattice claims within a cell of this grain is the grain's
        claims = [_Claim(c.fit, c.sites.where(~_near(c.sites, won, reach))) for c in claims]
    return replace(first, sites=placed, grains=tuple(grains))


def _shared(first: LatticeSites, second: LatticeSites, reach: float) -> float:
    """Return the share of the first one's sites that lie within `reach` pixels of the second one's."""
    return float(_near(first, second, reach).mean())


def _near(first: LatticeSites, second: LatticeSites, reach: float) -> NDArray[np.bool_]:
    if not len(second):
        return np.zeros(len(first), bool)
    return np.asarray(cKDTree(second.yx).query(first.yx)[0]) < reach


def _brightest(rivals: list[_Claim], seen: NDArray[np.float32], z_weights: NDArray[np.float64]) -> _Claim:
    """Of several ways to hold the basis take that of the best score, unless the image clearly denies it.

    The image prefers heavy columns on bright places, as the likelihood of a linear model does.
    """
    best = rivals[int(np.argmax([round(r.score, 2) for r in rivals]))]
    clearer = [_brighter(rival.sites, best.sites, seen, z_weights) for rival in rivals]
    return rivals[int(np.argmax(clearer))] if max(clearer) > _CLEARLY else best


def _brighter(
    first: LatticeSites, second: LatticeSites, seen: NDArray[np.float32], z_weights: NDArray[np.float64]
) -> float:
    """Return by how many standard errors the columns of the first lie on brighter places, weighted by Z."""
    sums, variances = [], []
    for one, other in ((first, second), (second, first)):
        weight = z_weights[one.column]
        distance, nearest = cKDTree(other.yx).query(one.yx)
        # what both say of a place does not tell them apart, and its noise would hide what does
        alike = np.abs(z_weights[other.column[np.asarray(nearest)]] / weight - 1) < 1e-3
        own = ~(alike & (np.asarray(distance) < SAME_PLACE))
        weight, column = weight[own], one.column[own]
        bright = map_coordinates(seen, one.yx[own].T, order=1, mode="nearest").astype(float)
        mean = np.bincount(column, bright, len(z_weights)) / np.maximum(
            np.bincount(column, minlength=len(z_weights)), 1
        )
        sums.append(float((weight * bright).sum() / max(weight.sum(), 1e-9)))
        variances.append(
            float(np.sum((weight * (bright - mean[column])) ** 2) / max(weight.sum(), 1e-9) ** 2)
        )
    error = np.sqrt(sum(variances))
    return float((sums[0] - sums[1]) / error) if error > 0 else 0.0
