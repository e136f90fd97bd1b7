"""How well a placed lattice fits: one number from 0 to 1, above 0.5 for a fit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from napari_stemprior.registration.brightness import Brightness
from napari_stemprior.registration.criteria import BY_NAME, credit
from napari_stemprior.registration.reciprocal import EXPONENTS, Nodes
from napari_stemprior.registration.spectrum import Spectrum
from napari_stemprior.structure import HAADF_EXPONENT, StructurePrior
from napari_stemprior.structure.periodic import image_distance

#: Extra Gaussian widths in Å that the image's columns may have over the expected; the best is taken,
#: since neither the probe nor the defocus is known.
_EXTRA_WIDTHS = (0.0, 0.15, 0.25, 0.35, 0.45, 0.55, 0.7)
#: Variance, in units of the median of all nodes, from which a node counts less in the agreement.
_NOISY_NODE = 2.0
#: Unusual exponents of the scattering with Z cost this much likeness per squared difference from 1.7.
_UNUSUAL = 0.25


@dataclass(frozen=True)
class Evidence:
    """What speaks for a placement.

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
    explained : float
        Share of the fringes in the image (by amplitude) that lie on nodes of the lattice;
        NaN where the image shows no fringe, which speaks neither for nor against.
    breadth : float
        Share of the expected amplitude in another direction than the strongest node that is really seen.
    together : float
        Whether the nodes are strong in the same places; two grains that lend one node each give about 0.7.
    beyond : float
        Share of the power that is certainly at simple fractions of the lattice, where it has no nodes.
    scale : float
        Relative difference of the lattice's scale from the given pixel size.
    strain : float
        Relative difference of the two principal stretches.
    brightness : Brightness
        Of the columns; says nothing against a placement that is refused without it.
    log_likelihood : float
        See `brightness.log_likelihood`; NaN for a placement that is refused without it.
    """

    agreement: float
    likeness: float
    significance: float
    explained: float
    breadth: float
    together: float
    beyond: float
    scale: float
    strain: float
    extent: float
    brightness: Brightness = field(default_factory=Brightness)
    log_likelihood: float = float("nan")

    @property
    def measures(self) -> dict[str, float]:
        """What the criteria ask for, by name of the criterion; see `criteria.CRITERIA`."""
        return {
            "significance": self.significance - 1.6 * chance_significance(self.extent),
            # at little signal a right lattice agrees less by chance
            "agreement": self.agreement + 1.5 / max(self.significance, 1.0),
            "beyond": self.beyond,
            "explained": 1.0 if np.isnan(self.explained) else self.explained,
            "breadth": self.breadth,
            "together": self.together,
            "scale": abs(float(np.log1p(self.scale))),
            "strain": self.strain,
            "brightness": self.brightness.misfit,
            "between": self.brightness.between,
            "contrast": self.brightness.contrast,
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


def evidence(
    nodes: Nodes,
    measured: NDArray[np.complex128],
    variance: NDArray[np.float64],
    fraction: NDArray[np.float64],
    linear: NDArray[np.float64],
    explained: float,
    beyond: float,
    together: float,
    extent: float,
) -> Evidence:
    """Gather what speaks for a placement.

    Parameters
    ----------
    nodes : Nodes
    measured : (n,) complex array
        Amplitudes at the nodes.
    variance : (n,) array
        Their variance from noise alone.
    fraction : (2,) array
        Origin in fractions of the cell.
    linear : (2, 2) array
        From (x, y) in Å of the prior to (y, x) in Å of the image.
    explained : float
        From `explained_power`.
    beyond : float
        From `superlattice_share`.
    together : float
        From `coherence`.
    extent : float
        Side in Å of a square of the image's area.
    """
    turned = measured * np.exp(2j * np.pi * (nodes.hk @ fraction))
    significance = float(
        (np.conj(nodes.factor) * turned / variance).real.sum()
        / np.sqrt(0.5 * (np.abs(nodes.factor) ** 2 / variance).sum())
    )
    # a node that row offsets have made far noisier than the others says little
    weight = np.minimum(_NOISY_NODE * float(np.median(variance)) / variance, 1.0)
    power = float((weight * np.abs(turned) ** 2).sum())
    # noise alone adds its variance to the power of every node
    norm = float(np.sqrt(max(power - float((weight * variance).sum()), 0.25 * power))) + 1e-30
    damping = np.exp(-2 * np.pi**2 * np.square(_EXTRA_WIDTHS)[:, None] * nodes.radius**2)
    factors = (nodes.variants[:, None] * damping[None]).reshape(-1, len(turned))
    root = np.sqrt(weight)
    values = (np.conj(factors * root) * turned * root).real.sum(1)
    values = values / np.linalg.norm(factors * root, axis=1) / norm
    agreement, template = float(values.max()), factors[int(values.argmax())]
    by_exponent = values.reshape(len(nodes.variants), -1).max(1)
    unusual = _UNUSUAL * (np.array(EXPONENTS) - HAADF_EXPONENT) ** 2
    likeness = float((np.clip(by_exponent, 0, 1) ** 2 - unusual).max())
    stretch = np.linalg.svd(linear, compute_uv=False)
    return Evidence(
        agreement,
        likeness,
        significance,
        explained,
        _breadth(nodes, template, turned, variance),
        together,
        beyond,
        float(np.sqrt(stretch[0] * stretch[1]) - 1),
        float(stretch[0] / stretch[1] - 1),
        extent,
    )


def _breadth(
    nodes: Nodes,
    template: NDArray[np.complex128],
    turned: NDArray[np.complex128],
    variance: NDArray[np.float64],
) -> float:
    """Compare the measured amplitude across the strongest node with the expected."""
    seen = np.maximum((np.conj(template) * turned).real / (np.abs(template) + 1e-30), 0)
    seen = np.where(seen**2 > 6 * variance, seen, 0)
    expected = np.abs(template)
    if seen.max() <= 0:
        return 0.0

    def second(amplitude: NDArray[np.float64]) -> float:
        unit = nodes.g / nodes.radius[:, None]
        tensor = np.einsum("n,na,nb->ab", amplitude, unit, unit)
        low, high = np.linalg.eigvalsh(tensor)
        return float(low / high)

    return second(seen) / max(second(expected), 1e-6)


def coherence(
    straight: NDArray[np.complex128], measured: NDArray[np.complex128], variance: NDArray[np.float64]
) -> float:
    """Tell whether nodes are strong in the same places, from 0 to 1.

    Parameters
    ----------
    straight : (n, gy, gx) complex array
        Fringes with the displacement taken out.
    measured : (n,) complex array
        Their sums.
    variance : (n,) array
        Variance of a fringe from noise alone.
    """
    unit = measured / (np.linalg.norm(measured) + 1e-30)
    along = np.maximum(np.einsum("n,nyx->yx", np.conj(unit), straight).real, 0)
    power = (np.abs(straight) ** 2).sum() - straight[0].size * variance.sum()
    common = (along**2).sum() - 0.5 * along.size * float((np.abs(unit) ** 2 * variance).sum())
    return float(np.sqrt(np.clip(common / max(power, 1e-30), 0, 1)))


#: The most that a fit with a reservation scores.
RESERVED_SCORE = 0.6
#: Power over the background from which a peak of the spectrum is not noise: of some 5,000 independent
#: samples, exponential noise exceeds it in one image of 200.
PEAK_RATIO = 14.0
#: What jitter of the rows smears along the slow axis has less than this share of a reflection's amplitude.
_SMEARED = 0.35
#: Amplitude over the noise that is given to every lattice beforehand: one weak peak alone refutes none.
_DOUBT = 1.0


@dataclass(frozen=True, eq=False)
class Peaks:
    """The peaks of a spectrum, one of each Friedel pair.

    Parameters
    ----------
    k : (n, 2) array
        Wave vectors (y, x) in cycles per Å.
    strength : (n,) array
        Amplitudes over the noise.
    length : float
        Length in Å over which the spectrum is coherent.
    """

    k: NDArray[np.float64]
    strength: NDArray[np.float64]
    length: float

    def on(self, linear: NDArray[np.float64], prior: StructurePrior) -> NDArray[np.bool_]:
        """Tell which peaks lie on nodes of a lattice."""
        indices = self.k @ linear @ prior.cell.T
        reciprocal = np.asarray(np.linalg.inv(linear @ prior.cell.T), np.float64)
        return image_distance(indices, reciprocal) < 1.6 / self.length

    def from_scan(self, on: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell which peaks the scan may have made: on the slow-scan axis, or smeared from a stronger node."""
        apart = 1.6 / self.length
        on_axis = np.abs(self.k[:, 1]) < apart
        beside = np.abs(self.k[:, 1][:, None] - self.k[on, 1][None]) < apart
        beside |= np.abs(self.k[:, 1][:, None] + self.k[on, 1][None]) < apart  # of the Friedel mate
        smeared = (beside & (_SMEARED * self.strength[on][None] > self.strength[:, None])).any(axis=1)
        return np.asarray(~on & (on_axis | smeared))

    def without(self, linear: NDArray[np.float64], prior: StructurePrior) -> Peaks:
        """Return the peaks that a lattice does not explain."""
        rest = ~self.on(linear, prior)
        return Peaks(self.k[rest], self.strength[rest], self.length)


def find_peaks(whole: Spectrum) -> Peaks:
    """List the peaks that noise does not make, strongest first."""
    ratio = whole.ratio
    centre = ratio.shape[0] // 2
    reach = max(1, round(1.0 / whole.length / whole.step))
    peaks = (ratio == maximum_filter(ratio, 2 * reach + 1)) & (ratio > PEAK_RATIO)
    places = np.argwhere(peaks)
    places = places[: len(places) // 2]  # the other half are the Friedel mates
    strength = np.sqrt(ratio[places[:, 0], places[:, 1]]).astype(float)
    order = np.argsort(-strength)[:60]
    return Peaks((places[order] - centre) * whole.step, strength[order], whole.length)


def explained_power(peaks: Peaks, linear: NDArray[np.float64], prior: StructurePrior) -> float:
    """Share of the amplitude of a spectrum's peaks that a lattice, or the scan, explains; NaN without peaks.

    A peak counts by how far its amplitude exceeds that of noise. Jitter of the rows smears every reflection
    along the slow-scan axis, and row offsets lie on that axis: such peaks speak neither for nor against.
    """
    if not len(peaks.k):
        return float("nan")
    on = peaks.on(linear, prior)
    weight = peaks.strength - np.sqrt(PEAK_RATIO)
    counted = on | ~peaks.from_scan(on)
    return float((weight[on].sum() + _DOUBT) / (weight[counted].sum() + _DOUBT))
