"""Shares and their confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from napari_stemprior.errors import MeasurementError


@dataclass(frozen=True)
class Share:
    """A share of counted things with its confidence interval.

    Parameters
    ----------
    count, of : int
    value, low, high : float
        From 0 to 1; NaN where nothing was counted.
    """

    count: int
    of: int
    value: float
    low: float
    high: float


def wilson(count: int, of: int, confidence: float = 0.95) -> Share:
    """Return a share with the interval of Wilson, J. Am. Stat. Assoc. 22 (1927) 209.

    Its mean coverage is the stated one.
    """
    _check(count, of, confidence)
    if not of:
        return Share(count, of, float("nan"), float("nan"), float("nan"))
    z = float(norm.isf((1 - confidence) / 2))
    p = count / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    low = 0.0 if count == 0 else float(max(middle - half, 0.0))
    return Share(count, of, p, low, 1.0 if count == of else float(min(middle + half, 1.0)))


def corrected(share: Share, power: float = 1.0, false_alarms: float = 0.0) -> Share:
    """Correct a share for a test that misses some and takes others wrongly (Rogan and Gladen, 1978).

    Parameters
    ----------
    share : Share
    power : float
        Share of the true ones that the test finds.
    false_alarms : float
        Share of the others that it takes for true ones.

    Raises
    ------
    MeasurementError
        If the test is no better than chance.
    """
    if not power > false_alarms >= 0 or power > 1:
        raise MeasurementError(
            "A test that finds no more true than false ones says nothing about their number; give a power "
            "above the rate of false alarms."
        )
    low, value, high = (
        float(np.clip((part - false_alarms) / (power - false_alarms), 0, 1))
        for part in (share.low, share.value, share.high)
    )
    return Share(share.count, share.of, value, low, high)


def _check(count: int, of: int, confidence: float) -> None:
    if not 0 <= count <= of:
        raise ValueError(f"{count} of {of} is no share")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} does not lie between 0 and 1")
