"""The dose from which two crystals could be told apart at all, were the microscope known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.registration.scenes import crystal_image, draw
from napari_stemprior.registration import register
from napari_stemprior.structure import StructurePrior

#: Nats of the likelihood ratio that decide: odds of 22 000 to 1.
DECISIVE = 10.0
#: Å/px and pixels of the images that are compared, as the benchmark's.
PIXEL, SHAPE = 0.15, (320, 320)


def deciding_dose(true: StructurePrior, other: StructurePrior) -> float:
    """Return the dose in e/Å² from which counts of one crystal refute the noiseless picture of another.

    The other lies where `register` puts it on a noiseless image of the first; its brightness and background
    are fitted. What is returned is the dose at which the expected log of the likelihood ratio of the two
    pictures reaches `DECISIVE` on one image. An ideal observer who knows the microscope needs that much;
    at a lower dose no one can tell the two apart.

    Parameters
    ----------
    true, other : StructurePrior

    Returns
    -------
    float
        NaN where the other is no fit once there is no noise.
    """
    scene = draw(true, "perfect", PIXEL, SHAPE, np.random.default_rng(17))
    pose = register(scene.image, PIXEL, other)[0]
    if not pose.is_fit:
        return float("nan")
    places, index = pose.columns(other, SHAPE, 6.0 / PIXEL)
    picture = crystal_image(other, places, index, PIXEL, SHAPE)
    return DECISIVE / (divergence(scene.image, picture) * PIXEL**2)


def divergence(shown: NDArray[np.float32], picture: NDArray[np.float32]) -> float:
    """Return the Kullback-Leibler divergence of Poisson counts from a picture scaled to them.

    Parameters
    ----------
    shown, picture : (H, W) arrays
        Expected counts; of the picture only the shape matters, a scale and a constant are fitted.

    Returns
    -------
    float
        Nats, for one count per unit of `shown`.
    """
    rate = np.maximum(shown.astype(float), 0.02 * float(shown.mean())).ravel()
    design = np.column_stack([picture.astype(float).ravel(), np.ones(rate.size)])
    weight = 1 / np.sqrt(rate)
    solution = np.linalg.lstsq(design * weight[:, None], rate * weight, rcond=None)[0]
    model = np.maximum(design @ solution, 0.02 * float(rate.mean()))
    return float((rate * np.log(rate / model) - rate + model).sum())
