"""What an image without any lattice reaches by chance."""

from __future__ import annotations

import numpy as np


def chance_significance(extent: float) -> float:
    """Significance that pure noise reaches on average, in standard deviations.

    The best of many lattices is taken and its displacement follows the phases of the noise, the more
    so the larger the image. Measured on Poisson noise and amorphous films of 28, 44, 100, 175 and 350 Å
    with seven priors: 2.9, 4.1, 5.6, 6.8 and 10.3, with standard deviations of some 15 %.

    Parameters
    ----------
    extent : float
        Side in Å of a square of the image's area.
    """
    return float(0.56 * np.sqrt(extent))


#: Standard deviations that a lattice earns which is as the prior and the pixel size say, ...
_UNDISTORTED = 1.0
#: ... and relative scale and strain at which it has lost 0.4 of them.
_SCALE, _STRAIN = 0.02, 0.03


def undistorted_credit(scale: float, strain: float) -> float:
    """Return by how much less a lattice has to stand out of the noise because it is hardly distorted.

    Chance scales and strains its lattices anyhow: of 8,200 candidates on films, vacuum and noise with six
    priors 3 % lie within the widths, and of the 66 that all other criteria let pass none. Their number falls
    by a factor of e each half a standard deviation, so the odds of 30 to 1 are worth 1.7; 1.0 is taken, for
    calibrations may be off. Right lattices of graphene at 150 to 300 e/Å² have at most 0.01 and 0.018
    (`benchmarks.validation.no_crystal` and the validation set).

    Parameters
    ----------
    scale : float
        Relative difference of the lattice's scale from the stated pixel size.
    strain : float
        Relative difference of the two principal stretches.

    Returns
    -------
    float
        Standard deviations.
    """
    return float(_UNDISTORTED * np.exp(-0.5 * ((scale / _SCALE) ** 2 + (strain / _STRAIN) ** 2)))
