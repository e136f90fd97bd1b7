"""Find the pixel size of an image from the lattice that it should show."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from napari_stemprior.errors import PixelSizeError, RegistrationError
from napari_stemprior.registration.lattice_search import CAPTURE, sweep
from napari_stemprior.registration.placement import Placement, register_placements, to_pose
from napari_stemprior.registration.pose import Pose
from napari_stemprior.registration.reciprocal import has_mirror, nodes
from napari_stemprior.registration.spectrum import check_pixel_size, checked_image, flatten, spectrum
from napari_stemprior.structure import StructurePrior

#: Pixel sizes in Å that are tried where there is no guess.
RANGE = (0.03, 0.5)
#: Relative step between pixel sizes: less than the scale that registration bears.
_STEP = 0.012
#: Pixel sizes that share one flattened image and spectrum lie within this factor of its own.
_BAND = 1.3
#: How many pixel sizes are registered in full.
_TRIALS = 6


def fit_pixel_size(
    image: ArrayLike, prior: StructurePrior, *, guess: float | None = None
) -> tuple[float, Pose]:
    """Fit the pixel size so that the lattice of a prior lies on an image.

    Parameters
    ----------
    image : (H, W) array-like
        Atom columns bright.
    prior : StructurePrior
    guess : float or None
        Å per pixel; within 30 % of it is searched. None searches from 0.03 to 0.5 Å/px.

    Returns
    -------
    pixel_size : float
        Å per pixel.
    pose : Pose
        Where the lattice lies at that pixel size. Ask `Pose.is_fit` before trusting either.

    Raises
    ------
    RegistrationError
        If the image cannot hold a lattice, or none is found at any pixel size.
    PixelSizeError
        If the guess is not a positive number.
    """
    array = checked_image(image)
    if guess is not None and not (np.isfinite(guess) and guess > 0):
        raise PixelSizeError(f"The guessed pixel size is {guess} Å/px; give a positive number or none.")
    low, high = RANGE if guess is None else (guess / 1.3, guess * 1.3)
    bands = max(1, int(np.ceil(np.log(high / low) / (2 * np.log(_BAND)))))
    edges = np.geomspace(low, high, bands + 1)
    mirrors = (False,) if has_mirror(prior) else (False, True)
    trials: list[tuple[float, float]] = []  # (significance, pixel size)
    for first, last in pairwise(edges.tolist()):
        middle = float(np.sqrt(first * last))
        try:
            check_pixel_size(array.shape, middle, prior)
        except PixelSizeError:
            continue
        flat = flatten(array, middle)
        resolution = max(0.85, 2.1 * flat.pixel_size)
        found = nodes(prior, resolution)
        power = spectrum(flat, resolution)
        count = int(np.ceil(np.log(last / first) / _STEP)) + 1
        # a lattice that looks larger than the prior by s means pixels smaller by s
        scales = middle / np.geomspace(first, last, count)
        for lattice in sweep(power.blurred(0.35 / CAPTURE), found, scales, mirrors=mirrors, keep=8):
            scale = float(np.sqrt(abs(np.linalg.det(lattice.linear))))
            trials.append((lattice.significance, middle / scale))
    trials.sort(reverse=True)
    distinct: list[float] = []
    for _, size in trials:
        if all(abs(size / other - 1) > 0.025 for other in distinct):
            distinct.append(size)
    best: tuple[float, Placement, Pose] | None = None
    for size in distinct[:_TRIALS]:
        try:
            check_pixel_size(array.shape, size, prior)
        except PixelSizeError:
            continue
        flat = flatten(array, size)
        placement = register_placements(flat, prior)[0]
        proof = placement.evidence
        # a lattice that explains more of the fringes wins over one that takes a part of them
        merit = proof.score * (0.3 + proof.explained)
        if best is None or merit > best[0]:
            best = (merit, placement, to_pose(placement, flat))
    if best is None:
        raise RegistrationError(
            f"No pixel size between {low:.3g} and {high:.3g} Å/px puts three unit cells of {prior.name} into "
            f"an image of {array.shape[1]} x {array.shape[0]} pixels; give a larger image."
        )
    pose = best[2]
    return pose.pixel_size, pose
