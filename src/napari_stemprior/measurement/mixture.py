"""How many kinds of columns a histogram of intensities shows: Gaussian mixtures chosen by BIC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from napari_stemprior.errors import MeasurementError

Floats = NDArray[np.float64]

#: More values than this are sorted into as many bins first.
_BINS = 2000
_MOST_ROUNDS = 500
#: No component is narrower than this share of the spread of all values.
_NARROWEST = 0.01
_LEAST_VALUES = 10


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of K Gaussians.

    Parameters
    ----------
    share, mean, deviation : (K,) arrays
        Ascending in the mean.
    bic : dict
        Bayesian information criterion by number of components; the smallest was taken.
    """

    share: Floats
    mean: Floats
    deviation: Floats
    bic: dict[int, float]

    def __len__(self) -> int:
        return len(self.mean)

    def posterior(self, values: ArrayLike) -> Floats:
        """Return (N, K) chances that (N,) values belong to each component; NaN for a value that is NaN."""
        log = _log_parts(np.asarray(values, float), self.share, self.mean, self.deviation)
        return np.asarray(np.exp(log - logsumexp(log, axis=1, keepdims=True)))

    def classify(self, values: ArrayLike) -> NDArray[np.int64]:
        """Return (N,) the likeliest component of each value; -1 for a value that is NaN."""
        values = np.asarray(values, float)
        known = np.isfinite(values)
        out = np.full(values.shape, -1, np.int64)
        out[known] = np.argmax(_log_parts(values[known], self.share, self.mean, self.deviation), axis=1)
        return out

    @property
    def error_rate(self) -> Floats:
        """(K,) share of the members of each component that fall into another class."""
        grid = np.linspace(
            float((self.mean - 6 * self.deviation).min()), float((self.mean + 6 * self.deviation).max()), 8001
        )
        parts = np.exp(_log_parts(grid, np.ones(len(self)), self.mean, self.deviation))
        taken = self.classify(grid)
        step = grid[1] - grid[0]
        return np.array([parts[taken != i, i].sum() * step for i in range(len(self))])


def fit_mixture(values: ArrayLike, most: int = 5, components: int | None = None) -> Mixture:
    """Fit Gaussian mixtures by expectation maximisation and take the one of the smallest BIC.

    Schwarz, Annals of Statistics 6 (1978) 461; Dempster, Laird and Rubin, J. Royal Stat. Soc. B 39 (1977) 1.

    Parameters
    ----------
    values : (N,) array-like
        NaN is left out.
    most : int
        Components that are tried at most.
    components : int, optional
        Fit this number.

    Returns
    -------
    Mixture

    Raises
    ------
    MeasurementError
        If there are too few values.
    """
    data = np.asarray(values, float).ravel()
    data = data[np.isfinite(data)]
    if len(data) < _LEAST_VALUES:
        raise MeasurementError(
            f"A histogram of {len(data)} intensities shows no kinds of columns; {_LEAST_VALUES} or more do."
        )
    count = np.ones(len(data))
    n = len(data)
    spread = float(data.std())
    if spread == 0:
        return Mixture(np.ones(1), data[:1].copy(), np.zeros(1), {1: float("-inf")})
    floor = (_NARROWEST * spread) ** 2
    if n > _BINS:
        low, high = data.min(), data.max()
        index = np.minimum(((data - low) / (high - low) * _BINS).astype(int), _BINS - 1)
        count = np.bincount(index, minlength=_BINS).astype(float)
        data = np.bincount(index, data, _BINS) / np.maximum(count, 1)
        data, count = data[count > 0], count[count > 0]
    tried = {}
    bic: dict[int, float] = {}
    for k in [components] if components else range(1, min(most, n // 5) + 1):
        best = max(
            (_maximised(data, count, start, floor) for start in _starts(data, count, k)), key=lambda r: r[0]
        )
        tried[k] = best
        bic[k] = (3 * k - 1) * float(np.log(n)) - 2 * best[0]
    k = min(bic, key=lambda key: bic[key])
    _, share, mean, variance = tried[k]
    order = np.argsort(mean)
    return Mixture(share[order], mean[order], np.sqrt(variance[order]), bic)


def _starts(data: Floats, count: Floats, k: int) -> list[Floats]:
    """Return means to begin with: at quantiles, and evenly spaced."""
    order = np.argsort(data)
    summed = np.cumsum(count[order]) / count.sum()
    at = np.searchsorted(summed, (np.arange(k) + 0.5) / k)
    low, high = (data[order][min(int(np.searchsorted(summed, q)), len(data) - 1)] for q in (0.01, 0.99))
    even = low + (high - low) * (np.arange(k) + 0.5) / k
    return [data[order][np.minimum(at, len(data) - 1)], even] if k > 1 else [even]


def _maximised(
    data: Floats, count: Floats, mean: Floats, floor: float
) -> tuple[float, Floats, Floats, Floats]:
    """Return the log-likelihood and shares, means and variances after expectation maximisation."""
    n, k = count.sum(), len(mean)
    nearest = np.argmin(np.abs(data[:, None] - mean), axis=1)
    total = float((count * data).sum() / n)
    variance = np.full(k, float((count * (data - total) ** 2).sum() / n) / k**2)
    share = np.maximum(np.bincount(nearest, count, k), 1) / n
    share = share / share.sum()
    last = -np.inf
    for _ in range(_MOST_ROUNDS):
        # a row for each component: sums over few columns take numpy several times as long
        log = np.ascontiguousarray(_log_parts(data, share, mean, np.sqrt(variance)).T)
        top = log.max(axis=0)
        part = np.exp(log - top)
        whole = part.sum(axis=0)
        likelihood = float(count @ (top + np.log(whole)))  # by a fifth of the time of scipy's logsumexp
        member = part * (count / whole)
        sums = np.maximum(member.sum(axis=1), 1e-12)
        share, mean = sums / n, member @ data / sums
        variance = np.maximum((member * (data - mean[:, None]) ** 2).sum(axis=1) / sums, floor)
        if likelihood - last < 1e-7 * n:
            break
        last = likelihood
    return likelihood, share, mean, variance


def _log_parts(data: Floats, share: Floats, mean: Floats, deviation: Floats) -> Floats:
    deviation = np.maximum(deviation, 1e-300)
    z = (data[:, None] - mean) / deviation
    return np.asarray(
        np.log(np.maximum(share, 1e-300)) - 0.5 * z * z - np.log(deviation) - 0.5 * np.log(2 * np.pi)
    )
