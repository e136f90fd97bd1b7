"""How many atoms each column of a metal holds, from the steps of its scattering cross-section."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from napari_stemprior.errors import MeasurementError

Floats = NDArray[np.float64]

#: Values are sorted into so many bins first where there are more.
_BINS = 1000
_MOST_ROUNDS = 200
#: Columns that counting takes at least (Van Aert et al. count from some 50 on).
LEAST_COLUMNS = 30
#: Numbers of atoms before the faintest component that are tried.
_MOST_BEFORE = 60


@dataclass(frozen=True, eq=False)
class AtomCounts:
    """Atoms in N columns.

    Parameters
    ----------
    count : (N,) array
        Number of atoms; NaN where the intensity is unknown.
    chance_of_error : (N,) array
        That the column belongs to another component, 1 less its posterior.
    mean, share : (K,) arrays
        Cross-section and share of the columns of each component, ascending.
    deviation : float
        Standard deviation that all components have in common, units of the cross-sections.
    first : int
        Atoms in the faintest component.
    per_atom, per_atom_error : float
        Cross-section that an atom adds.
    nonlinearity : float
        Root mean square of the means about ``per_atom * count``, in atoms.
    icl : dict
        Integrated classification likelihood criterion by number of components; the least was taken.
    reservations : tuple of str
        What is doubtful, a sentence each.
    """

    count: Floats
    chance_of_error: Floats
    mean: Floats
    share: Floats
    deviation: float
    first: int
    per_atom: float
    per_atom_error: float
    nonlinearity: float
    icl: dict[int, float]
    reservations: tuple[str, ...]

    def thickness(self, spacing: float) -> Floats:
        """Return (N,) thickness in Å for atoms `spacing` Å apart along the beam."""
        return self.count * spacing


def count_atoms(cross_sections: ArrayLike, most: int = 25, first: int | None = None) -> AtomCounts:
    """Count the atoms of columns of one kind.

    Cross-sections of columns of equally many atoms scatter about a mean with a deviation that all have in
    common. A mixture of such Gaussians is fitted by expectation maximisation, and the number of components
    is that of the least integrated classification likelihood criterion (ICL), which is BIC plus twice the
    entropy of the classification: Van Aert, De Backer, Martinez, den Dekker, Van Dyck, Bals and Van
    Tendeloo, Phys. Rev. B 87 (2013) 064107; Biernacki, Celeux and Govaert, IEEE Trans. Pattern Anal. 22
    (2000) 719. Components are one atom apart. How many atoms the faintest has follows from the means,
    which lie on a line through 0, unless `first` says so.

    Parameters
    ----------
    cross_sections : (N,) array-like
        Integrated intensities, background off; NaN is left out.
    most : int
        Components that are tried at most.
    first : int, optional
        Atoms in the faintest component, where known from a simulation.

    Returns
    -------
    AtomCounts

    Raises
    ------
    MeasurementError
        If there are too few columns or they are all alike.
    """
    values = np.asarray(cross_sections, float).ravel()
    known = np.isfinite(values)
    data = values[known]
    n = len(data)
    if n < LEAST_COLUMNS:
        raise MeasurementError(
            f"Atoms are counted from {LEAST_COLUMNS} or more columns with an intensity, and there are {n}."
        )
    if most < 1 or (first is not None and first < 1):
        raise MeasurementError("The number of components and the first number of atoms are 1 or more.")
    if float(data.std()) <= 1e-9 * max(abs(float(data.mean())), 1e-300):
        raise MeasurementError(
            "All columns have the same intensity, so there are no steps to count atoms by."
        )
    points, count = _binned(data)
    tried: dict[int, tuple[float, Floats, Floats, float]] = {}
    icl: dict[int, float] = {}
    for k in range(1, min(most, n // 8) + 1):
        best = max(
            (_maximised(points, count, start) for start in _starts(points, count, k)), key=lambda r: r[0]
        )
        member = _posterior(points, *best[1:])
        entropy = -float((count[:, None] * member * np.log(np.maximum(member, 1e-300))).sum())
        tried[k] = best
        # k means, k - 1 shares, one deviation
        icl[k] = -2 * best[0] + 2 * entropy + 2 * k * float(np.log(n))
    k = min(icl, key=lambda key: icl[key])
    _, share, mean, deviation = tried[k]
    order = np.argsort(mean)
    share, mean = share[order], mean[order]
    start, per_atom, error, off = _numbered(mean, share * n, deviation, first)
    out, chance = np.full(len(values), np.nan), np.full(len(values), np.nan)
    member = _posterior(data, share, mean, deviation)
    out[known] = start + np.argmax(member, axis=1)
    chance[known] = 1 - member.max(1)
    said = []
    if k == min(most, n // 8) and k > 1:
        said.append("The largest number of components that was tried fits best; there may be more.")
    if k == 1 and first is None:
        said.append("Only one thickness shows, so the number of atoms is not known; give the first number.")
        out[:] = np.nan
    if k > 1 and off > 0.35:
        said.append("The steps are not even; a thickness may be missing between the components.")
    if k > 1 and first is None:
        said.append("The number of atoms of the faintest component is an extrapolation to zero intensity.")
    return AtomCounts(out, chance, mean, share, deviation, start, per_atom, error, off, icl, tuple(said))


def _binned(data: Floats) -> tuple[Floats, Floats]:
    if len(data) <= _BINS:
        return data, np.ones(len(data))
    low, high = data.min(), data.max()
    index = np.minimum(((data - low) / (high - low) * _BINS).astype(int), _BINS - 1)
    count = np.bincount(index, minlength=_BINS).astype(float)
    middle = np.bincount(index, data, _BINS) / np.maximum(count, 1)
    return middle[count > 0], count[count > 0]


def _starts(data: Floats, count: Floats, k: int) -> list[Floats]:
    """Return means to begin with: at quantiles, and evenly spaced at several ends."""
    order = np.argsort(data)
    summed = np.cumsum(count[order]) / count.sum()

    def quantile(q: float) -> float:
        return float(data[order][min(int(np.searchsorted(summed, q)), len(data) - 1)])

    starts = [np.array([quantile((i + 0.5) / k) for i in range(k)])]
    if k > 1:
        starts += [np.linspace(quantile(q), quantile(1 - q), k) for q in (0.005, 0.02, 0.05)]
    return starts


def _log_parts(data: Floats, share: Floats, mean: Floats, deviation: float) -> Floats:
    z = (data[:, None] - mean) / deviation
    return np.asarray(
        np.log(np.maximum(share, 1e-300)) - 0.5 * z * z - np.log(deviation * np.sqrt(2 * np.pi))
    )


def _posterior(data: Floats, share: Floats, mean: Floats, deviation: float) -> Floats:
    log = _log_parts(data, share, mean, deviation)
    return np.asarray(np.exp(log - logsumexp(log, axis=1, keepdims=True)))


def _maximised(data: Floats, count: Floats, mean: Floats) -> tuple[float, Floats, Floats, float]:
    """Return log-likelihood, shares, means and the common deviation after expectation maximisation."""
    n, k = float(count.sum()), len(mean)
    share = np.full(k, 1 / k)
    total = float((count * data).sum() / n)
    spread = float(np.sqrt((count * (data - total) ** 2).sum() / n))
    deviation, floor = max(spread / (2 * k), 1e-3 * spread), 1e-3 * spread
    last = likelihood = -np.inf
    for _ in range(_MOST_ROUNDS):
        log = _log_parts(data, share, mean, deviation)
        whole = logsumexp(log, axis=1)
        likelihood = float((count * whole).sum())
        member = np.exp(log - whole[:, None]) * count[:, None]
        sums = np.maximum(member.sum(0), 1e-9)
        share, mean = sums / n, (member * data[:, None]).sum(0) / sums
        deviation = max(float(np.sqrt((member * (data[:, None] - mean) ** 2).sum() / n)), floor)
        if likelihood - last < 1e-6 * n:
            break
        last = likelihood
    return likelihood, share, mean, deviation


def _numbered(
    mean: Floats, members: Floats, deviation: float, first: int | None
) -> tuple[int, float, float, float]:
    """Return the atoms of the first component, the cross-section of an atom, its error, the misfit."""
    k = len(mean)
    weight = np.maximum(members, 1e-9) / max(deviation, 1e-300) ** 2

    def misfit(start: int) -> tuple[float, float]:
        number = start + np.arange(k)
        slope = float((weight * number * mean).sum() / (weight * number**2).sum())
        return float((weight * (mean - slope * number) ** 2).sum()), slope

    candidates = [first] if first is not None else range(1, _MOST_BEFORE + 1) if k > 1 else [1]
    start = min(candidates, key=lambda s: misfit(s)[0])
    _, slope = misfit(start)
    number = start + np.arange(k)
    error = float((weight * number**2).sum() ** -0.5)
    off = float(np.sqrt(((mean - slope * number) ** 2).mean()) / max(abs(slope), 1e-300))
    return start, slope, error, off
