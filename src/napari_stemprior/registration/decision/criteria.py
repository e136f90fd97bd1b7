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
from scipy.special import expit

#: Nats that the geometry can earn at most, and how many it earns each time its significance exceeds the
#: needed one by the needed one. Real micrographs of right crystals had shortfalls of up to 2.5 nats (a column
#: between the sites of 0.23 of the brightest; a calibration 12 % off with another doubt beside); of 1,400
#: wrong crystals drawn with two recordings at 300 and 3000 e/Å² nearly all had more than 5
#: (the registration benchmark).
MOST_CREDIT = 3.0
_CREDIT_PER_EXCESS = 1.5


@dataclass(frozen=True)
class Criterion:
    """One thing that must hold.

    Parameters
    ----------
    name : str
        Of the measure, see `fit_quality.FitQuality`.
    sign : int
        +1 where the measure must exceed the threshold, -1 where it must stay below.
    threshold : float
    width : float
        Of the vote: how far beyond the threshold it goes from 0.5 to 0.73.
    nat : float
        Shortfall that counts as one nat against the lattice.
    condition : str
        When it holds, for the documentation; `{threshold}` is the threshold.
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
    condition: str
    objection: str
    reservation: str
    source: str

    def vote(self, value: float) -> float:
        """Return what a measure says, from 0 (against) to 1."""
        return float(expit(self._margin(value) / self.width))

    def shortfall(self, value: float) -> float:
        """Return the nats that a measure says against the lattice; 0 where the criterion holds."""
        return max(0.0, -self._margin(value) / self.nat)

    def _margin(self, value: float) -> float:
        return self.sign * (value - self.threshold)


CRITERIA: tuple[Criterion, ...] = (
    Criterion(
        name="significance",
        sign=1,
        threshold=1.8,
        width=1.0,
        nat=0.2,
        condition=(
            "the structure factors stand out of the noise by {threshold:g} standard deviations more than "
            "1.6 times what noise alone reaches; by up to 1 less where the lattice is as the prior and the "
            "pixel size say"
        ),
        objection=(
            "The lattice of {name} does not stand out of the noise; it may be another crystal, or the "
            "dose too low."
        ),
        reservation="The lattice of {name} hardly stands out of the noise.",
        source=(
            "standard deviations above 1.6 times what noise and amorphous films reach on average, see "
            "chance_significance and undistorted_credit"
        ),
    ),
    Criterion(
        name="agreement",
        sign=1,
        threshold=0.88,
        width=0.015,
        nat=0.03,
        condition=(
            "measured and expected structure factors, phases included, correlate by at least "
            "{threshold:g}; intensities may go with Z to any power from 1.25 to 1.95, noise is allowed "
            "for"
        ),
        objection=(
            "There is a lattice like that of {name}, but its columns are elsewhere or of another "
            "brightness; it may be another crystal."
        ),
        reservation=(
            "The columns of {name} agree with the image only by {value:.2f} of 1; it may be another crystal."
        ),
        source=(
            "right priors: 0.93 and more in multislice and real micrographs; 85 % of wrong crystals are "
            "below 0.8"
        ),
    ),
    Criterion(
        name="superlattice",
        sign=-1,
        threshold=0.07,
        width=0.012,
        nat=0.03,
        condition=(
            "at most {threshold:g} of the power is at halves and thirds of the lattice, or where its "
            "structure factors vanish"
        ),
        objection="The image repeats over a larger cell than that of {name}; it may be another crystal.",
        reservation=(
            "The image repeats over a larger cell than that of {name} ({percent:.0f} % of the power); "
            "there may be order that the prior does not know."
        ),
        source="right lattices have below 1 %, lattices that are too small (Al on SrTiO3) above 15 %",
    ),
    Criterion(
        name="explained_power",
        sign=1,
        threshold=0.38,
        width=0.02,
        nat=0.06,
        condition=(
            "at least {threshold:g} of the fringes lie on the lattice; peaks that row jitter or row "
            "offsets make do not count"
        ),
        objection=(
            "Most fringes of the image do not belong to the lattice of {name}; there may be another "
            "crystal, or a second lattice over most of the image."
        ),
        reservation=(
            "Only {percent:.0f} % of the fringes of the image belong to the lattice of {name}; a part of "
            "the field may show something else."
        ),
        source=(
            "right lattices, one of two grains included, have 0.42 and more (320 micrographs of two "
            "recordings, 300 and 3000 e/Å²); Fe [110] on Fe [100], which shares every second fringe, 0.36"
        ),
    ),
    Criterion(
        name="isotropy",
        sign=1,
        threshold=0.25,
        width=0.06,
        nat=0.06,
        condition=(
            "the lattice is seen in both directions: at least {threshold:g} of the expected across the "
            "strongest"
        ),
        objection=(
            "The lattice of {name} is seen in one direction only; the image may show another crystal, or "
            "be tilted or astigmatic."
        ),
        reservation="The lattice of {name} is seen much better in one direction than in the other.",
        source="0 for a lattice that lends one direction of fringes, 0.5 to 1.2 for right ones at any dose",
    ),
    Criterion(
        name="coherence",
        sign=1,
        threshold=0.9,
        width=0.015,
        nat=0.03,
        condition="its fringes lie in the same places of the image: at least {threshold:g}",
        objection=(
            "The fringes of {name} lie in different places of the image: two lattices lend it one each."
        ),
        reservation="The fringes of {name} do not all lie in the same places of the image.",
        source="two grains that lend one reflection each give about 0.7, right lattices 0.98 and more",
    ),
    Criterion(
        name="scale",
        sign=-1,
        threshold=0.066,
        width=0.002,
        nat=0.05,
        condition="the logarithm of the scale is within {threshold:g} of the stated pixel size",
        objection=(
            "The lattice would be that of {name} at {found:.4g} Å/px rather than {stated:.4g}; check the "
            "pixel size, or it is another crystal."
        ),
        reservation=(
            "The lattice of {name} says {found:.4g} Å/px where {stated:.4g} is stated; check the "
            "calibration, or it is another crystal."
        ),
        source=(
            "log of the ratio; the calibrations of five real micrographs were off by 5.7, 9, 10, 10 and 12 %"
        ),
    ),
    Criterion(
        name="strain",
        sign=-1,
        threshold=0.14,
        width=0.006,
        nat=0.02,
        condition="the two principal stretches differ by less than {threshold:g}",
        objection=(
            "The lattice of {name} would have to be stretched by {percent:.0f} %; it may be another "
            "crystal or zone axis."
        ),
        reservation=(
            "The lattice of {name} is stretched by {percent:.0f} % in one direction; check the scan, or "
            "it is another crystal."
        ),
        source="drift and shear of up to 3 % are usual, and a real micrograph of gold has 12 %",
    ),
    Criterion(
        name="intensities",
        sign=-1,
        threshold=0.2,
        width=0.015,
        nat=0.07,
        condition=(
            "the columns are as bright as Z to some power from 1.25 to 1.95 makes them, within "
            "{threshold:g} rms of all"
        ),
        objection=(
            "There is a lattice like that of {name}, but its columns are of another brightness than its "
            "atoms would make them; it may be another crystal."
        ),
        reservation=(
            "The columns of {name} are {percent:.0f} % brighter or darker than their atoms would make "
            "them; check thickness, detector and composition."
        ),
        source=(
            "multislice departs by 0.08 from Z to a power, micrographs of SrTiO3 by 0.13 to 0.24; other "
            "crystals of one lattice by 0.25 at least"
        ),
    ),
    Criterion(
        name="interstitial",
        sign=-1,
        threshold=0.15,
        width=0.01,
        nat=0.05,
        condition="no column where the prior has none is brighter than {threshold:g} of its brightest",
        objection="There is a bright column where {name} has none; it may be another crystal.",
        reservation=(
            "Where {name} has no column there is one of {percent:.0f} % of the brightest; there may be "
            "another layer."
        ),
        source=(
            "SrTiO3 shows 0.10, a native layered crystal 0.23; 1T-TiSe2 taken for a 2H crystal 0.18 at least"
        ),
    ),
    Criterion(
        name="contrast",
        sign=1,
        threshold=0.65,
        width=0.02,
        nat=0.12,
        condition=(
            "columns that a translation carries onto one another differ by at least {threshold:g} of the "
            "least that Z allows"
        ),
        objection="Columns of {name} that should differ are equally bright; it may be another crystal.",
        reservation="Columns of {name} that should differ hardly do.",
        source="micrographs of SrTiO3 reach 0.75; equal columns give 0",
    ),
)
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


def criteria_table() -> str:
    """Return the criteria as the Markdown table of `docs/registration.md`."""
    head = ("criterion", "holds where", "width", "one nat", "where the numbers come from")
    rows = [head, ("---", "---", "---:", "---:", "---")] + [
        (c.name, c.condition.format(threshold=c.threshold), f"{c.width:g}", f"{c.nat:g}", c.source)
        for c in CRITERIA
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    print(criteria_table())
