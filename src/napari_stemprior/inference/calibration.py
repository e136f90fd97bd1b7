"""From the height of a peak to the probability that a column is there.

A peak of the heat map is as high as the place is sure: on a registered site the place is known and the
height is nearly the probability; without a site the probability is spread over the pixels around and the
peak is lower. What a missing column looks like, the many others of the same site tell: among equals that
stand at 0.88 one at 0.7 is a vacancy. Both are learned by logistic regression on scenes that the network has
not seen (``stemprior calibrate``) and kept beside the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.errors import ModelError

Floats = NDArray[np.float64]

#: Fewer sites of one kind than this tell nothing about what is usual.
MIN_EQUALS = 12
#: Quantiles of the standard normal distribution at 0.7 and 0.9.
_Q70, _Q90 = 0.5244, 1.2816


@dataclass(frozen=True)
class Calibration:
    """Coefficients of the logistic functions; the defaults change nothing.

    Parameters
    ----------
    on_site : tuple of float
        Intercept, then the weights of the peak's log-odds, of its deviation from its equals, of the same
        two of the image alone, and of the site's log-likelihood ratio.
    off_site : tuple of float
        Intercept and weight of the log-odds, with a prior but away from its sites.
    alone : tuple of float
        The same for the answer of the image alone.
    """

    on_site: tuple[float, float, float, float, float, float] = (0.0, 1.0, 0.0, 0.0, 0.0, 0.0)
    off_site: tuple[float, float] = (0.0, 1.0)
    alone: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def from_notes(cls, notes: Mapping[str, object]) -> Calibration:
        """Read from the notes of a network; without any, change nothing.

        Raises
        ------
        ModelError
            If it is damaged.
        """
        saved = notes.get("calibration")
        if not isinstance(saved, Mapping):
            return cls()
        try:
            # networks saved before the likelihood ratio was asked have one weight less
            a, b, c, d, e, f = (*(float(v) for v in saved["on_site"]), 0.0)[:6]
            g, h = (float(v) for v in saved["off_site"])
            i, j = (float(v) for v in saved["alone"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                "The calibration of the network is damaged; run 'stemprior calibrate' on its file."
            ) from error
        if not all(math.isfinite(value) for value in (a, b, c, d, e, f, g, h, i, j)):
            raise ModelError(
                "The calibration of the network is not finite; run 'stemprior calibrate' on its file."
            )
        return cls((a, b, c, d, e, f), (g, h), (i, j))

    def to_notes(self) -> dict[str, object]:
        """Return plain values for the notes of a network."""
        return asdict(self)

    def with_prior(self, features: Floats, on_site: ArrayLike) -> Floats:
        """Return (N,) probabilities of peaks of the answer with a prior.

        Parameters
        ----------
        features : (N, 5) array
            What the weights of `on_site` belong to, in that order.
        on_site : (N,) array-like of bool
        """
        near = self.on_site[0] + features @ np.array(self.on_site[1:])
        away = self.off_site[0] + self.off_site[1] * features[:, 0]
        return _logistic(np.where(on_site, near, away))

    def without(self, height: ArrayLike) -> Floats:
        """Return (N,) probabilities of peaks of the answer without a prior."""
        return _logistic(self.alone[0] + self.alone[1] * log_odds(height))


def log_odds(probability: ArrayLike) -> Floats:
    """Return log(p / (1 - p)), kept finite."""
    p = np.clip(np.asarray(probability, dtype=np.float64), 1e-4, 1 - 1e-4)
    return np.log(p / (1 - p))


def reference_heights(height: Floats, kind: NDArray[np.int64]) -> dict[int, tuple[float, float]]:
    """Say what is usual among sites of one kind.

    Parameters
    ----------
    height : (M,) array
        Of the heat map at every registered site.
    kind : (M,) array of int
        Sites of one kind are equal.

    Returns
    -------
    dict
        For each kind with enough sites the centre and width of its log-odds, from the upper half of the
        distribution, where the vacancies are not.
    """
    usual = {}
    for value in np.unique(kind):
        odds = log_odds(height[kind == value])
        if len(odds) >= MIN_EQUALS:
            q70, q90 = np.quantile(odds, [0.7, 0.9])
            width = max(0.1, float(q90 - q70) / (_Q90 - _Q70))
            usual[int(value)] = (float(q70) - _Q70 * width, width)
    return usual


def deviations(height: Floats, kind: NDArray[np.int64], usual: Mapping[int, tuple[float, float]]) -> Floats:
    """Return (N,) deviations from what is usual, in its widths; 0 where nothing is known."""
    centre = np.array([usual.get(int(k), (np.nan, 1.0))[0] for k in kind])
    width = np.array([usual.get(int(k), (np.nan, 1.0))[1] for k in kind])
    return np.asarray(np.nan_to_num(np.clip((log_odds(height) - centre) / width, -8.0, 2.0)))


def fit_logistic(features: Floats, truth: ArrayLike, steps: int = 60) -> Floats:
    """Fit a logistic regression by Newton's method.

    Parameters
    ----------
    features : (N, K) array
    truth : (N,) array-like of bool

    Returns
    -------
    (K + 1,) array
        Intercept, then one weight a feature.
    """
    x = np.column_stack([np.ones(len(features)), features])
    y = np.asarray(truth, dtype=np.float64)
    weights = np.zeros(x.shape[1])
    for _ in range(steps):
        p = _logistic(x @ weights)
        slope = x.T @ (y - p) - 1e-3 * weights
        curvature = (x * (p * (1 - p))[:, None]).T @ x + 1e-3 * np.eye(x.shape[1])
        step = np.linalg.solve(curvature, slope)
        weights = weights + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-6:
            break
    return np.asarray(weights)


def _logistic(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -40, 40))))
