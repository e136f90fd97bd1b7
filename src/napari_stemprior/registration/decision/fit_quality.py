"""How well a placed lattice fits: one number from 0 to 1, above 0.5 for a fit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.registration.decision.criteria import BY_NAME, credit
from napari_stemprior.registration.decision.intensities import ColumnIntensities
from napari_stemprior.registration.decision.null import chance_significance, undistorted_credit
from napari_stemprior.registration.fourier.reflections import EXPONENTS, Reflections
from napari_stemprior.structure import HAADF_EXPONENT

#: The most that a fit with a reservation scores.
RESERVED_SCORE = 0.6
#: Extra Gaussian widths in Å that the image's columns may have over the expected; the best is taken,
#: since neither the probe nor the defocus is known.
_EXTRA_WIDTHS = (0.0, 0.15, 0.25, 0.35, 0.45, 0.55, 0.7)
#: Variance, in units of the median of all reflections, from which a reflection counts less in the agreement.
_NOISY_REFLECTION = 2.0
#: Unusual exponents of the scattering with Z cost this much likeness per squared difference from 1.7.
_UNUSUAL = 0.25


@dataclass(frozen=True)
class FitQuality:
    """What speaks for and against a candidate.

    Parameters
    ----------
    agreement : float
        Correlation of the measured with the expected structure factors, phases included, noise allowed for.
    likeness : float
        Its square, less what an unusual dependence of the intensity on Z takes away: for the ranking.
    significance : float
        Their product in standard deviations of noise.
    extent : float
        Side in Å of a square of the image's area; see `chance_significance`.
    explained_power : float
        Share of the fringes in the image (by amplitude) that lie on reflections of the lattice;
        NaN where the image shows no fringe, which speaks neither for nor against.
    isotropy : float
        How evenly the lattice is seen in all directions, relative to the expected: 0 where one direction of
        fringes is all there is, about 1 for a right lattice.
    coherence : float
        Whether the reflections are strong in the same places; two grains that lend one reflection each give
        about 0.7.
    superlattice : float
        Share of the power that is certainly at simple fractions of the lattice, where it has no reflections.
    scale : float
        Relative difference of the lattice's scale from the given pixel size.
    strain : float
        Relative difference of the two principal stretches.
    intensities : ColumnIntensities
        Of the columns; says nothing against a candidate that is refused without it.
    log_likelihood : float
        See `intensities.log_likelihood`; NaN for a candidate that is refused without it.
    """

    agreement: float
    likeness: float
    significance: float
    explained_power: float
    isotropy: float
    coherence: float
    superlattice: float
    scale: float
    strain: float
    extent: float
    intensities: ColumnIntensities = field(default_factory=ColumnIntensities)
    log_likelihood: float = float("nan")

    @property
    def measures(self) -> dict[str, float]:
        """What the criteria ask for, by name of the criterion; see `criteria.CRITERIA`."""
        return {
            "significance": self.significance
            - 1.6 * chance_significance(self.extent)
            + undistorted_credit(self.scale, self.strain),
            # at little signal a right lattice agrees less by chance
            "agreement": self.agreement + 1.5 / max(self.significance, 1.0),
            "superlattice": self.superlattice,
            "explained_power": 1.0 if np.isnan(self.explained_power) else self.explained_power,
            "isotropy": self.isotropy,
            "coherence": self.coherence,
            "scale": abs(float(np.log1p(self.scale))),
            "strain": self.strain,
            "intensities": self.intensities.misfit,
            "interstitial": self.intensities.interstitial,
            "contrast": self.intensities.contrast,
        }

    @property
    def votes(self) -> dict[str, float]:
        """What each measure says, from 0 (against) to 1, by name of the criterion."""
        return {name: BY_NAME[name].vote(value) for name, value in self.measures.items()}

    @property
    def balance(self) -> float:
        """Nats for the lattice less those against it; see `criteria`."""
        against = sum(BY_NAME[name].shortfall(value) for name, value in self.measures.items())
        return credit(self.significance, chance_significance(self.extent)) - against

    @property
    def is_clean(self) -> bool:
        """Whether it fits without any reservation."""
        return self._clean_score > 0.5

    @property
    def doubts(self) -> tuple[str, ...]:
        """Names of the criteria that do not hold, the worst first; of a clean fit none."""
        if self.is_clean:
            return ()
        votes = self.votes
        failed = sorted((vote, name) for name, vote in votes.items() if vote < 0.5)
        return tuple(name for _, name in failed) or (min(votes, key=lambda name: votes[name]),)

    @property
    def score(self) -> float:
        """From 0 to 1; above 0.5 is a fit, and up to `RESERVED_SCORE` one with a reservation."""
        clean = self._clean_score
        balance = self.balance
        if clean > 0.5 or balance <= 0 or self.votes["significance"] <= 0.5:
            return clean
        return 0.5 + (RESERVED_SCORE - 0.5) * float(1 - np.exp(-balance))

    @property
    def _clean_score(self) -> float:
        # one strong objection is enough; agreement and ease rank what passes
        effort = (self.scale**2 + (self.strain / 2) ** 2) / 0.15**2
        ease = (0.6 + 0.4 * np.clip(self.agreement, 0, 1)) / (1 + effort)
        return float(min(self.votes.values()) * ease)


def fit_quality(
    reflections: Reflections,
    measured: NDArray[np.complex128],
    variance: NDArray[np.float64],
    fraction: NDArray[np.float64],
    linear: NDArray[np.float64],
    explained_power: float,
    superlattice: float,
    coherence: float,
    extent: float,
) -> FitQuality:
    """Gather what speaks for a candidate.

    Parameters
    ----------
    reflections : Reflections
    measured : (n,) complex array
        Amplitudes at the reflections.
    variance : (n,) array
        Their variance from noise alone.
    fraction : (2,) array
        Origin in fractions of the cell.
    linear : (2, 2) array
        From (x, y) in Å of the prior to (y, x) in Å of the image.
    explained_power : float
        From `explained_power`.
    superlattice : float
        From `superlattice_share`.
    coherence : float
        From `coherence`.
    extent : float
        Side in Å of a square of the image's area.
    """
    turned = measured * np.exp(2j * np.pi * (reflections.hk @ fraction))
    significance = float(
        (np.conj(reflections.factor) * turned / variance).real.sum()
        / np.sqrt(0.5 * (np.abs(reflections.factor) ** 2 / variance).sum())
    )
    # a reflection that row offsets have made far noisier than the others says little
    weight = np.minimum(_NOISY_REFLECTION * float(np.median(variance)) / variance, 1.0)
    power = float((weight * np.abs(turned) ** 2).sum())
    # noise alone adds its variance to the power of every reflection
    norm = float(np.sqrt(max(power - float((weight * variance).sum()), 0.25 * power))) + 1e-30
    damping = np.exp(-2 * np.pi**2 * np.square(_EXTRA_WIDTHS)[:, None] * reflections.radius**2)
    factors = (reflections.variants[:, None] * damping[None]).reshape(-1, len(turned))
    root = np.sqrt(weight)
    values = (np.conj(factors * root) * turned * root).real.sum(1)
    values = values / np.linalg.norm(factors * root, axis=1) / norm
    agreement, template = float(values.max()), factors[int(values.argmax())]
    by_exponent = values.reshape(len(reflections.variants), -1).max(1)
    unusual = _UNUSUAL * (np.array(EXPONENTS) - HAADF_EXPONENT) ** 2
    likeness = float((np.clip(by_exponent, 0, 1) ** 2 - unusual).max())
    stretch = np.linalg.svd(linear, compute_uv=False)
    return FitQuality(
        agreement,
        likeness,
        significance,
        explained_power,
        _isotropy(reflections, template, turned, variance),
        coherence,
        superlattice,
        float(np.sqrt(stretch[0] * stretch[1]) - 1),
        float(stretch[0] / stretch[1] - 1),
        extent,
    )


def _isotropy(
    reflections: Reflections,
    template: NDArray[np.complex128],
    turned: NDArray[np.complex128],
    variance: NDArray[np.float64],
) -> float:
    """Compare the measured amplitude across the strongest reflection with the expected."""
    shown = np.maximum((np.conj(template) * turned).real / (np.abs(template) + 1e-30), 0)
    shown = np.where(shown**2 > 6 * variance, shown, 0)
    expected = np.abs(template)
    if shown.max() <= 0:
        return 0.0

    def second(amplitude: NDArray[np.float64]) -> float:
        unit = reflections.g / reflections.radius[:, None]
        tensor = np.einsum("n,na,nb->ab", amplitude, unit, unit)
        low, high = np.linalg.eigvalsh(tensor)
        return float(low / high)

    return second(shown) / max(second(expected), 1e-6)
