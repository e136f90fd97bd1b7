"""Three modes of an image of which the third is the sum of the others.

The modes of a crystal lie on a reciprocal lattice, so that sums of strong modes are strong, too. Where dose
is short each may be no stronger than the strongest of an image without order; there three that close are
chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from napari_stemprior.inference.mode_strengths import Modes

Floats = NDArray[np.float64]

#: How many of the strongest modes are taken for two of the three.
_STRONGEST = 30
#: Half the side, in modes, of the surroundings that a mode is compared with besides those of its length: the
#: power of noise that was filtered in one direction depends on the direction, too.
_AROUND = 10
#: Sine of the smallest angle between two of the three; nearly parallel ones are harmonics.
_OPEN = 0.3


@dataclass(frozen=True, eq=False)
class Triplet:
    """Three modes that close.

    Parameters
    ----------
    excess : float
        Strength of the two weaker of the three together, less twice `Modes.highest`.
    vectors : (3, 2) array
        Wave vectors (y, x) in 1/Å; the third is the sum of the others.
    """

    excess: float
    vectors: Floats


def strongest_triplet(modes: Modes) -> Triplet | None:
    """Return the triplet of modes that closes and stands out most; None where no three close."""
    if not modes.strength.size:
        return None
    strength, step = _both_halves(modes)
    middle = np.array(strength.shape) // 2
    nearby = maximum_filter(strength, 3)  # where the sum of two modes falls between others
    peaks = np.argwhere((strength == nearby) & (strength > 0)) - middle
    peaks = peaks[(peaks[:, 1] > 0) | ((peaks[:, 1] == 0) & (peaks[:, 0] > 0))]
    order = np.argsort(-strength[tuple((peaks + middle).T)], kind="stable")
    peaks = peaks[order[:_STRONGEST]]
    one, other = (peaks[index] for index in np.triu_indices(len(peaks), 1))
    one, other = np.concatenate([one, one]), np.concatenate([other, -other])
    first, second = one * step, other * step
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    turned = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    chosen = (np.abs(one + other) <= middle).all(axis=1) & (turned > _OPEN * lengths)
    if not chosen.any():
        return None
    three = np.stack([one, other, one + other])[:, chosen]
    places = tuple((three + middle).reshape(-1, 2).T)
    found = (nearby[places] / _usual_around(strength, places)).reshape(3, -1)
    found[:, strength[tuple((three[2] + middle).T)] == 0] = 0
    two_weaker = found.sum(axis=0) - found.max(axis=0)
    best = int(np.argmax(two_weaker))
    return Triplet(float(two_weaker[best]) - 2 * modes.highest, np.asarray(three[:, best] * step, float))


def _both_halves(modes: Modes) -> tuple[Floats, Floats]:
    """Return the strength of all modes in the band around a zero in the middle, and the (2,) steps in 1/Å."""
    strength = np.where(modes.in_band, modes.strength, 0.0)
    most = (len(strength) - 1) // 2
    right = np.concatenate([strength[-most:], strength[: most + 1]])
    step = np.array([modes.down[1, 0], modes.along[0, 1]])
    return np.hstack([right[::-1, :0:-1], right]), step


def _usual_around(strength: Floats, places: tuple[NDArray[np.intp], ...]) -> Floats:
    """Return the mean strength of the modes around some, at least the 1 of all modes of a length."""
    padded = np.pad(np.where(strength > 0, strength, np.log(2)), _AROUND, constant_values=np.log(2))
    around = sliding_window_view(padded, (2 * _AROUND + 1,) * 2)
    numbers, inverse = np.unique(np.ravel_multi_index(places, strength.shape), return_inverse=True)
    found = np.unravel_index(numbers, strength.shape)
    usual = np.median(around[found].reshape(len(numbers), -1), axis=1) / np.log(2)  # exponential distribution
    return np.asarray(np.maximum(usual, 1.0)[inverse])
