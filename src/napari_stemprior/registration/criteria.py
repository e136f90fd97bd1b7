"""What must hold for a lattice to fit, and what may be doubtful where the rest is beyond doubt.

Every criterion turns a measure of a placed lattice into a vote from 0 to 1. Where all votes are in favour the
lattice *fits*. Where one fails, its shortfall counts as so many nats of likelihood against the lattice. What
the image has in excess of chance counts for it, up to a limit, since no amount of signal tells two crystals
of one lattice apart. If more speaks for it, the lattice *fits with a reservation*: the prior is used and the
doubt is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: Nats that the geometry can earn at most, and how many it earns each time its significance exceeds the
#: needed one by the needed one. Real micrographs of right crystals had shortfalls of up to 2.5 nats (a column
#: between the sites of 0.23 of the brightest; a calibration 12 % off with another doubt beside); of 1,400
#: wrong crystals drawn with two recordings at 300 and 3000 e/Å² nearly all had more than 5
#: (`benchmarks/registration/registration.py`).
MOST_CREDIT = 3.0
_CREDIT_PER_EXCESS = 1.5


@dataclass(frozen=True)
class Criterion:
    """One thing that must hold.

    Parameters
    ----------
    name : str
        Of the measure, see `score.Evidence`.
    sign : int
        +1 where the measure must exceed the threshold, -1 where it must stay below.
    threshold : float
    width : float
        Of the vote: how far beyond the threshold it goes from 0.5 to 0.73.
    nat : float
        Shortfall that counts as one nat against the lattice.
    objection, reservation : str
        Sentence where the lattice is refused for it, and where it is used all the same. `{name}` is the
        prior's, `{value}` the measure, `{percent}` a hundred times it, `{stated}` and `{found}` are pixel
        sizes in Å/px.
    source : str
        Where threshold and widths come from.
    """

    name: str
    sign: int
    threshold: float
    width: float
    nat: float
    objection: str
    reservation: str
    source: str

    def vote(self, value: float) -> float:
        """Return what a measure says, from 0 (against) to 1."""
        return float(1 / (1 + np.exp(-np.clip(self._margin(value) / self.width, -50, 50))))

    def shortfall(self, value: float) -> float:
        """Return the nats that a measure says against the lattice; 0 where the criterion holds."""
        return max(0.0, -self._margin(value) / self.nat)

    def _margin(self, value: float) -> float:
        return self.sign * (value - self.threshold)


_OTHER = "it may be another crystal"

CRITERIA: tuple[Criterion, ...] = (
    Criterion(
        "significance", 1, 1.8, 1.0, 0.2,
        "The lattice of {name} does not stand out of the noise; it may be another crystal, or the dose "
        "too low.",
        "The lattice of {name} hardly stands out of the noise.",
        "standard deviations above 1.6 times what noise and amorphous films reach on average, see "
        "chance_significance",
    ),
    Criterion(
        "agreement", 1, 0.88, 0.015, 0.03,
        "There is a lattice like that of {name}, but its columns are elsewhere or of another brightness; "
        "it may be another crystal.",
        "The columns of {name} agree with the image only by {value:.2f} of 1; " + _OTHER + ".",
        "right priors: 0.93 and more in multislice and real micrographs; 85 % of wrong crystals are below "
        "0.8",
    ),
    Criterion(
        "beyond", -1, 0.07, 0.012, 0.03,
        "The image repeats over a larger cell than that of {name}; it may be another crystal.",
        "The image repeats over a larger cell than that of {name} ({percent:.0f} % of the power); there "
        "may be order "
        "that the prior does not know.",
        "right lattices have below 1 %, lattices that are too small (Al on SrTiO3) above 15 %",
    ),
    Criterion(
        "explained", 1, 0.38, 0.02, 0.06,
        "Most fringes of the image do not belong to the lattice of {name}; "
        "there may be another crystal, or a second lattice over most of the image.",
        "Only {percent:.0f} % of the fringes of the image belong to the lattice of {name}; a part of the "
        "field may "
        "show something else.",
        "right lattices, one of two grains included, have 0.42 and more (320 micrographs of two recordings, "
        "300 and 3000 e/Å²); Fe [110] on Fe [100], which shares every second fringe, 0.36",
    ),
    Criterion(
        "breadth", 1, 0.25, 0.06, 0.06,
        "The lattice of {name} is seen in one direction only; "
        "the image may show another crystal, or be tilted or astigmatic.",
        "The lattice of {name} is seen much better in one direction than in the other.",
        "0 for a lattice that lends one direction of fringes, 0.5 to 1.2 for right ones at any dose",
    ),
    Criterion(
        "together", 1, 0.9, 0.015, 0.03,
        "The fringes of {name} lie in different places of the image: two lattices lend it one each.",
        "The fringes of {name} do not all lie in the same places of the image.",
        "two grains that lend one node each give about 0.7, right lattices 0.98 and more",
    ),
    Criterion(
        "scale", -1, 0.066, 0.002, 0.05,
        "The lattice would be that of {name} at {found:.4g} Å/px rather than {stated:.4g}; "
        "check the pixel size, or it is another crystal.",
        "The lattice of {name} says {found:.4g} Å/px where {stated:.4g} is stated; check the calibration, "
        "or it is "
        "another crystal.",
        "log of the ratio; the calibrations of five real micrographs were off by 5.7, 9, 10, 10 and 12 %",
    ),
    Criterion(
        "strain", -1, 0.14, 0.006, 0.02,
        "The lattice of {name} would have to be stretched by {percent:.0f} %; "
        "it may be another crystal or zone axis.",
        "The lattice of {name} is stretched by {percent:.0f} % in one direction; check the scan, or it is "
        "another "
        "crystal.",
        "drift and shear of up to 3 % are usual, and a real micrograph of gold has 12 %",
    ),
    Criterion(
        "brightness", -1, 0.2, 0.015, 0.07,
        "There is a lattice like that of {name}, but its columns are of another brightness "
        "than its atoms would make them; it may be another crystal.",
        "The columns of {name} are {percent:.0f} % brighter or darker than their atoms would make them; "
        "check "
        "thickness, detector and composition.",
        "multislice departs by 0.08 from Z to a power, micrographs of SrTiO3 by 0.13 to 0.24; other "
        "crystals of one "
        "lattice by 0.25 at least",
    ),
    Criterion(
        "between", -1, 0.15, 0.01, 0.05,
        "There is a bright column where {name} has none; it may be another crystal.",
        "Where {name} has no column there is one of {percent:.0f} % of the brightest; there may be "
        "another layer.",
        "SrTiO3 shows 0.10, a native layered crystal 0.23; 1T-TiSe2 taken for a 2H crystal 0.18 at least",
    ),
    Criterion(
        "contrast", 1, 0.65, 0.02, 0.12,
        "Columns of {name} that should differ are equally bright; it may be another crystal.",
        "Columns of {name} that should differ hardly do.",
        "micrographs of SrTiO3 reach 0.75; equal columns give 0",
    ),
)  # fmt: skip
BY_NAME = {criterion.name: criterion for criterion in CRITERIA}


def credit(significance: float, chance: float) -> float:
    """Return the nats that speak for a lattice because it stands out of the noise.

    Parameters
    ----------
    significance : float
        Standard deviations of noise.
    chance : float
        What noise alone reaches on average.
    """
    needed = 1.6 * chance + BY_NAME["significance"].threshold
    return float(np.clip(_CREDIT_PER_EXCESS * (significance / needed - 1), 0.0, MOST_CREDIT))
