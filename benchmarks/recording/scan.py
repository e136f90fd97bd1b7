"""What the scan coils do to a recording: where the beam really is when a pixel is recorded.

Written for the benchmark alone, so that a change of the training noise does not move the yardstick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

Floats = NDArray[np.float64]
Setting = tuple[float, ...]

#: Rows over which the slow part of the row jitter wanders.
WANDER = 20.0


@dataclass(frozen=True, eq=False)
class Displacement:
    """How far the beam is from the pixel that it is said to record.

    Parameters
    ----------
    steady : callable
        From (..., 2) pixels (y, x) of the recording to (..., 2) displacements in pixels. It belongs to
        the picture: the true positions follow it.
    erratic : (H, W) array
        Displacement along the rows in pixels that the true positions do not follow.
    """

    steady: Callable[[Floats], Floats]
    erratic: Floats


def still(shape: tuple[int, int]) -> Displacement:
    """Return a scan without fault."""
    return Displacement(np.zeros_like, np.zeros(shape))


def both(first: Displacement, second: Displacement) -> Displacement:
    """Return what two small displacements do together."""
    return Displacement(
        lambda yx: first.steady(yx) + second.steady(yx), np.asarray(first.erratic + second.erratic)
    )


def settled(displacement: Displacement, yx: Floats, rounds: int = 60) -> Floats:
    """Carry (N, 2) pixels of the undisturbed image to the recording: the inverse of the steady part."""
    found = np.array(yx, float)
    for _ in range(rounds):  # contracts: no displacement changes by more than half a pixel a pixel
        found = yx - displacement.steady(found)
    return found


def row_jitter(
    rng: np.random.Generator, shape: tuple[int, int], pixel_size: float, setting: Setting
) -> Displacement:
    """Shift the rows, one half of the variance white and one half slowly wandering; Å rms."""
    white = rng.normal(size=shape[0])
    slow = gaussian_filter1d(rng.normal(size=shape[0]), WANDER)
    shift = setting[0] / pixel_size * np.sqrt(0.5) * (white + slow / slow.std())
    return Displacement(np.zeros_like, np.repeat(shift[:, None], shape[1], axis=1))


def flyback(
    rng: np.random.Generator, shape: tuple[int, int], pixel_size: float, setting: Setting
) -> Displacement:
    """Let the beam still come back while the first pixels of a row are recorded; Å, and Å of decay."""
    size, decay = setting[0] / pixel_size, setting[1] / pixel_size

    def steady(yx: Floats) -> Floats:
        late = size * np.exp(-np.maximum(yx[..., 1], 0.0) / decay)
        return np.stack([np.zeros_like(late), late], axis=-1)

    return Displacement(steady, np.zeros(shape))


def drift_and_shear(
    rng: np.random.Generator, shape: tuple[int, int], pixel_size: float, setting: Setting
) -> Displacement:
    """Shear the rows and stretch their distance by so many %, about the middle of the image."""
    part = setting[0] / 100
    sign = rng.choice([-1.0, 1.0], 2)
    # displacement (y, x) per row: the specimen moves on at an even pace while it is scanned
    change = part * np.array([[sign[0], 0.0], [sign[1], 0.0]])
    middle = (np.array(shape) - 1) / 2
    return Displacement(lambda yx: (yx - middle) @ change.T, np.zeros(shape))


def mains_phase(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return the (H, W) phase of the mains in radians; a row takes 0.15 to 0.45 of its period."""
    part = rng.uniform(0.15, 0.45)
    y, x = np.indices(shape)
    time = y + 0.9 * x / shape[1]  # the beam flies back for a tenth of the row's time
    return np.asarray(2 * np.pi * (part * time + rng.uniform()))


def hum_in_position(
    rng: np.random.Generator, shape: tuple[int, int], pixel_size: float, setting: Setting
) -> Displacement:
    """Let the mains deflect the beam along the rows; amplitude in Å."""
    return Displacement(np.zeros_like, setting[0] / pixel_size * np.sin(mains_phase(rng, shape)))
