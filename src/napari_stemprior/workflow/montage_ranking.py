"""How alike the pictures of a montage and a micrograph are: the mean cell of the micrograph against each."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from napari_stemprior.progress import Progress
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import StructurePrior
from napari_stemprior.workflow.strained_pose import drawn_poses

if TYPE_CHECKING:  # it loads torch, which is not needed before there is a montage
    from napari_stemprior.optics.montage import Montage

Floats = NDArray[np.float64]

#: Cells that are averaged at most: noise falls with the root, and 400 leave a twentieth of it.
_MOST_CELLS = 400
#: Cells that must cover a pixel of the mean cell.
_FEWEST_CELLS = 4


def ranked_montage(
    simulating: Generator[Progress, None, Montage],
    image: NDArray[np.float32] | None,
    prior: StructurePrior,
    fit: LatticeFit | None,
) -> Generator[Progress, None, tuple[Montage, Floats | None]]:
    """Simulate a montage and compare each picture of it with a micrograph.

    Parameters
    ----------
    simulating : generator of Progress
        Gives the montage.
    image : (H, W) array or None
        The micrograph as it was recorded; it is not needed without a fit.
    prior : StructurePrior
        The crystal of the montage.
    fit : LatticeFit or None
        Where it lies on the micrograph; without there is nothing to compare.

    Yields
    ------
    Progress

    Returns
    -------
    montage : Montage
    scores : (T, D) array or None
        As of `likeness`; None without a fit of this one crystal, or where no whole cell is seen.
    """
    montage = yield from simulating
    if image is None or fit is None or len(fit.layers) != 1 or fit.layers[0] != prior:
        return montage, None
    yield Progress(0, 0, "Comparing the montage with the image")
    cell = mean_cell(image, prior, fit, montage.images.shape[2:], montage.pixel_size)
    return montage, None if cell is None else likeness(montage, cell)


def likeness(montage: Montage, cell: Floats) -> Floats:
    """Return (T, D) correlations (Pearson's r, -1 to 1) of the pictures with a mean cell.

    Gain and offset of the detector do not count; pixels of the cell that are NaN are left out.

    Parameters
    ----------
    montage : Montage
    cell : (h, w) array
    """
    known = np.isfinite(cell)
    pictures = montage.images[..., known].astype(float)
    pictures -= pictures.mean(axis=-1, keepdims=True)
    seen = cell[known] - cell[known].mean()
    norm = np.linalg.norm(pictures, axis=-1) * np.linalg.norm(seen)
    return np.asarray(pictures @ seen / np.maximum(norm, 1e-30))


def mean_cell(
    image: NDArray[np.float32],
    prior: StructurePrior,
    fit: LatticeFit,
    shape: tuple[int, ...],
    pixel_size: float,
) -> Floats | None:
    """Average a micrograph over the cells of its lattice, drawn as a picture of a montage is.

    Parameters
    ----------
    image : (H, W) array
    prior : StructurePrior
    fit : LatticeFit
        Of this one crystal; strain is followed.
    shape : (int, int)
        Rows and columns of the picture; the cell's first vector lies along x, its origin in the middle.
    pixel_size : float
        Å/px of the picture.

    Returns
    -------
    (h, w) array or None
        NaN where too few cells are seen; None where that is everywhere.
    """
    places, column = drawn_poses(fit)[0].columns(prior, (image.shape[0], image.shape[1]))
    anchors = places[column == 0]
    anchors = anchors[:: max(1, -(-len(anchors) // _MOST_CELLS))]
    x, y = prior.cell[0] / np.linalg.norm(prior.cell[0])
    to_picture = np.array([[-y, x], [x, y]]) / pixel_size
    yx = np.moveaxis(np.indices(shape[:2], dtype=float), 0, -1) - np.array(shape[:2]) / 2
    offsets = (yx @ np.linalg.inv(to_picture).T - prior.positions[0]) @ fit.pose.affine.T
    total, count = np.zeros(shape[:2]), np.zeros(shape[:2])
    values = np.asarray(image, float)
    for anchor in anchors:
        place = np.moveaxis(offsets + anchor, -1, 0)
        seen = map_coordinates(values, place, order=1, cval=np.nan)
        known = np.isfinite(seen)
        total[known] += seen[known]
        count += known
    enough = count >= min(_FEWEST_CELLS, max(len(anchors), 1))
    if np.count_nonzero(enough) < enough.size / 4:
        return None
    return np.where(enough, total / np.maximum(count, 1), np.nan)


def told(montage: Montage, scores: Floats | None, *, stacked: bool = False, fitted: bool = False) -> str:
    """Say which picture is most like the micrograph.

    Parameters
    ----------
    montage : Montage
    scores : (T, D) array or None
        As of `ranked_montage`.
    stacked : bool
        Whether the prior has several layers, of which the montage shows the first.
    fitted : bool
        Whether its lattice was fitted.
    """
    if scores is None and stacked:
        return "The pictures show the first layer alone, so they are not compared with the image."
    if scores is None and fitted:
        return "Too few whole cells are seen to compare the pictures with the image."
    if scores is None:
        return "Fit the lattice in step 2 first, and each picture is compared with the image."
    t, d = np.unravel_index(int(np.argmax(scores)), scores.shape)
    thick = f"{montage.thicknesses[t]:g} Å thick, " if len(montage.thicknesses) > 1 else ""
    rest = np.sort(scores.ravel())[::-1]
    runner = f"; the next one has {rest[1]:.3f}" if len(rest) > 1 else ""
    return (
        f"Most like the mean cell of the image: {thick}defocus {montage.defoci[d]:g} Å, "
        f"correlation {rest[0]:.3f}{runner}."
    )
