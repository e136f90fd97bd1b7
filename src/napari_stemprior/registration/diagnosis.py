"""What the criteria say of a placed lattice, in sentences for a person."""

from __future__ import annotations

from napari_stemprior.registration.criteria import BY_NAME
from napari_stemprior.registration.score import Evidence


def objection(proof: Evidence, name: str, pixel_size: float) -> str:
    """Say in one sentence what speaks most against a lattice.

    Parameters
    ----------
    proof : Evidence
    name : str
        Of the prior.
    pixel_size : float
        Å/px that is stated.
    """
    votes = proof.votes
    weakest = min(votes, key=lambda criterion: votes[criterion])
    return BY_NAME[weakest].objection.format(**_values(proof, weakest, name, pixel_size))


def reservations(proof: Evidence, name: str, pixel_size: float) -> tuple[str, ...]:
    """Say what is doubtful about a lattice that fits, the worst first; see `objection` for the parameters."""
    return tuple(
        BY_NAME[doubt].reservation.format(**_values(proof, doubt, name, pixel_size)) for doubt in proof.doubts
    )


def _values(proof: Evidence, criterion: str, name: str, pixel_size: float) -> dict[str, str | float]:
    value = proof.agreement if criterion == "agreement" else proof.measures[criterion]
    return {
        "name": name,
        "value": value,
        "percent": 100 * value,
        "stated": pixel_size,
        "found": pixel_size / (1 + proof.scale),
    }
