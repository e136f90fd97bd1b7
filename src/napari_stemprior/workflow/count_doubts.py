"""How many doubts an image has: one number for the desk, its tables, the command line and the exports."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.atoms.matching import median_spacing
from napari_stemprior.atoms.peak_fit import sampled, smoothed
from napari_stemprior.atoms.review_queue import ReviewQueue, rank
from napari_stemprior.atoms.site_occupancy import SiteOccupancy
from napari_stemprior.atoms.table import AtomTable
from napari_stemprior.recording.stored_image import is_stored
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure.lattice_sites import LatticeSites

#: Where the provenance of a table keeps the number.
DOUBTS = "doubts"
#: Radius over which the brightness at a place is taken, in distances between atoms.
BRIGHTNESS_RADIUS = 0.3
#: That distance in Å where there are too few atoms to tell.
USUAL_SPACING = 2.5


def count_doubts(
    table: AtomTable,
    image: Any,
    fit: LatticeFit | None = None,
    excluded: NDArray[np.bool_] | None = None,
) -> int:
    """Count what a person should look at: doubtful atoms, empty sites, and what the image cannot show as one.

    Parameters
    ----------
    table : AtomTable
    image : (H, W) array, or StoredImage
        In the contrast in which it is analysed; one that is not in memory has no say about brightness.
    fit : LatticeFit, optional
        Without one, or where it does not fit, the lattice has no say.
    excluded : (H, W) array of bool, optional
        Where no question is asked about sites.
    """
    rows, shape = table.rows, (int(image.shape[0]), int(image.shape[1]))
    atoms = table.atoms
    lattice = questioned_sites(fit, shape, excluded)
    sites = None if lattice is None else lattice.relaxed(atoms.yx, atoms.rows["layer"].to_numpy())
    bright = site_bright = None
    if not is_stored(image):
        radius = BRIGHTNESS_RADIUS * atom_spacing(atoms)
        smooth = smoothed(np.asarray(image), radius)
        bright = sampled(smooth, table.yx)
        site_bright = None if sites is None else sampled(smooth, sites.yx)
    found = rank(rows, shape, table.pixel_size, sites, bright, site_bright)
    return len(ReviewQueue(found, None if sites is None else SiteOccupancy(sites)).waiting(rows))


def questioned_sites(
    fit: LatticeFit | None, shape: tuple[int, int], excluded: NDArray[np.bool_] | None = None
) -> LatticeSites | None:
    """Return the sites of a lattice that fits an image of `shape`, without those that are masked."""
    if fit is None or not fit.is_fit:
        return None
    sites = fit.lattice(shape)
    if excluded is None:
        return sites
    at = np.clip(np.rint(sites.yx).astype(int), 0, np.array(shape) - 1)
    return sites.where(~excluded[at[:, 0], at[:, 1]])


def atom_spacing(atoms: AtomTable) -> float:
    """Return the usual distance between neighbouring atoms in px."""
    found = median_spacing(atoms.yx)
    return USUAL_SPACING / atoms.pixel_size if found is None else found


def doubts_in_words(count: int) -> str:
    """Say how many doubts there are."""
    return "1 doubt" if count == 1 else f"{count} doubts"
