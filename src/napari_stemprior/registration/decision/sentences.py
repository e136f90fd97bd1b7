"""What the criteria say of a placed lattice, in sentences for a person."""

from __future__ import annotations

from napari_stemprior.registration.decision.criteria import BY_NAME
from napari_stemprior.registration.decision.fit_quality import FitQuality


def objection(quality: FitQuality, name: str, pixel_size: float) -> str:
    """Say in one sentence what speaks most against a lattice.

    Parameters
    ----------
    quality : FitQuality
    name : str
        Of the prior.
    pixel_size : float
        Å/px that is stated.
    """
    votes = quality.votes
    weakest = min(votes, key=lambda criterion: votes[criterion])
    return BY_NAME[weakest].objection.format(**_values(quality, weakest, name, pixel_size))


def reservations(quality: FitQuality, name: str, pixel_size: float) -> tuple[str, ...]:
    """Say what is doubtful about a lattice that fits, the worst first; see `objection` for the parameters."""
    return tuple(
        BY_NAME[doubt].reservation.format(**_values(quality, doubt, name, pixel_size))
        for doubt in quality.doubts
    )


def scale_reservation(name: str, stated: float, found: float) -> str:
    """Say that a lattice tells another pixel size, `found`, than is stated; both in Å/px."""
    return BY_NAME["scale"].reservation.format(name=name, stated=stated, found=found)


def _values(quality: FitQuality, criterion: str, name: str, pixel_size: float) -> dict[str, str | float]:
    value = quality.agreement if criterion == "agreement" else quality.measures[criterion]
    return {
        "name": name,
        "value": value,
        "percent": 100 * value,
        "stated": pixel_size,
        "found": pixel_size / (1 + quality.scale),
    }
