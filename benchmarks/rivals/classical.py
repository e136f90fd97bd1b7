"""What the network must beat: peak finding, and the stamped lattice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_laplace, maximum_filter

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import RegistrationError
from napari_stemprior.registration import Pose, register
from napari_stemprior.structure import StructurePrior

#: Part of the strong peaks' height that a peak must reach. Of 0.03 to 0.7 this has the best mean F1
#: on the validation set, so the rival is shown at its best.
LOG_THRESHOLD = 0.15


def laplacian_of_gaussian(
    image: NDArray[np.float32], pixel_size: float, prior: StructurePrior, threshold: float = LOG_THRESHOLD
) -> AtomTable:
    """Find blobs at the scale of the prior's neighbour distance.

    Parameters
    ----------
    image : (H, W) array
    pixel_size : float
        Å/px.
    prior : StructurePrior
        Only its neighbour distance is used; σ = 0.3 of it.
    threshold : float
        Part of the 95th percentile of the peaks' heights.
    """
    spacing = prior.neighbour_distance / pixel_size
    response = -gaussian_laplace(image.astype(float), 0.3 * spacing, mode="reflect")
    window = 2 * int(max(1, round(0.4 * spacing))) + 1
    peaks = (response == maximum_filter(response, window)) & (response > 0)
    peaks[[0, -1]] = False
    peaks[:, [0, -1]] = False
    yx = np.argwhere(peaks)
    if not len(yx):
        return AtomTable.empty(pixel_size)
    height = response[peaks]
    yx = yx[height > threshold * np.percentile(height, 95)]
    return AtomTable.from_positions(_refined(response, yx), pixel_size)


def _refined(response: NDArray[np.float64], yx: NDArray[np.int64]) -> NDArray[np.float64]:
    """Move each peak to the top of the parabola through its neighbours along each axis."""
    y, x = yx.T
    out = yx.astype(float)
    for axis, (low, high) in enumerate(
        ((response[y - 1, x], response[y + 1, x]), (response[y, x - 1], response[y, x + 1]))
    ):
        bend = low - 2 * response[y, x] + high
        out[:, axis] += np.where(
            bend < 0, np.clip(0.5 * (low - high) / np.minimum(bend, -1e-12), -0.5, 0.5), 0
        )
    return out


def best_pose(image: NDArray[np.float32], pixel_size: float, prior: StructurePrior) -> Pose | None:
    """Register the prior; None if it cannot be placed at all."""
    try:
        poses = register(image, pixel_size, prior)
    except RegistrationError:
        return None
    return poses[0] if poses else None


def stamped(
    image: NDArray[np.float32], pixel_size: float, prior: StructurePrior, pose: Pose | None
) -> AtomTable:
    """Put every ideal column of the prior on the image, whatever the image shows there."""
    if pose is None:
        return AtomTable.empty(pixel_size)
    yx, index = pose.columns(prior, (image.shape[0], image.shape[1]))
    columns = [prior.columns[i] for i in index]
    return AtomTable.from_positions(
        yx,
        pixel_size,
        element=np.array([c.element for c in columns], object),
        site=np.array([c.site for c in columns], object),
        layer=np.array([c.layer for c in columns], np.int64),
        source="lattice",
    )
