"""Sentences about a prior, and about how well and how its lattice lies on an image."""

from __future__ import annotations

from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.registration.second_lattice import turn_between
from napari_stemprior.structure import Prior

#: A pixel size that differs from the image's by more than this part is worth a word.
_STRETCH = 0.02
#: Two lattices that are turned by less than this (degrees) are the same one, found twice.
_SAME_ANGLE = 1.0
#: A second lattice is worth a word from this score on.
_SURE = 0.8


def facts_of(prior: Prior) -> str:
    """Say in a line what a `StructurePrior` or `Stack` is."""
    crystal = prior.crystal
    if crystal is None:
        parts = [
            layer.name + (f" at {twist:g}°" if number else "")
            for number, (layer, twist) in enumerate(zip(prior.layers, prior.twists, strict=True))
        ]
        return " above ".join(parts) + ". Each layer is fitted by itself, and its atoms carry its number."
    a, b = ((crystal.cell**2).sum(axis=1)) ** 0.5
    beam = "along z of the file" if prior.zone_axis == "as is" else prior.zone_axis
    columns = "column" if len(prior.columns) == 1 else "columns"
    return (
        f"Beam {beam} · cell {a:.3f} × {b:.3f} Å · {len(prior.columns)} {columns}, "
        f"nearest {prior.neighbour_distance:.2f} Å apart"
    )


def second_lattice(fit: LatticeFit) -> Pose | None:
    """Return a pose that fits beside the first one and is turned to it, if there is any."""
    for rival in fit.rivals:
        turned = turn_between(fit.pose.affine, rival.affine, fit.layers[0])
        if rival.score >= _SURE and turned > _SAME_ANGLE:
            return rival
    return None


def fit_sentence(fit: LatticeFit, pixel_size: float | None = None) -> str:
    """Say in words how well and how a lattice lies."""
    if fit.by_hand:
        return f"Set by hand: rotated {fit.pose.angle:.1f}°. Press <b>Refine the fit</b> to judge it."
    below = ""
    if fit.only_layer is not None:
        below = f" ({fit.layers[0].name} alone: the layers of {fit.prior.name} do not fit together)"
    elif len(fit.poses) > 1 and fit.is_fit:
        others = ", ".join(
            f"{layer.name} {pose.angle - fit.pose.angle:+.2f}°"
            for layer, pose in zip(fit.layers[1:], fit.poses[1:], strict=True)
        )
        below = f", below it {others}"
    return fit_text(fit.pose, pixel_size, below, fit.reservations)


def fit_text(
    pose: Pose, pixel_size: float | None = None, more: str = "", reservations: tuple[str, ...] = ()
) -> str:
    """Say in words how well and how a lattice lies, and the pixel size (Å/px) of the fit where it differs."""
    reservations = reservations or pose.reservations
    judgement = "Fits" if pose.is_fit else "<b>Does not fit</b>"
    if pose.is_fit and reservations:
        judgement = f"<b>Fits with a reservation</b>: {' '.join(reservations)}<br>Fit"
    mirrored = ", mirrored" if pose.mirrored else ""
    text = f"{judgement}: score {pose.score:.2f} of 1, rotated {pose.angle:.1f}°{mirrored}{more}"
    stretch = 0.0 if pixel_size is None else pose.pixel_size / pixel_size - 1
    if pose.is_fit and abs(stretch) > _STRETCH:
        sign = "more" if stretch > 0 else "less"
        text += (
            f". The fit gives <nobr>{pose.pixel_size:.4f} Å/px</nobr>, {100 * abs(stretch):.1f} % {sign} "
            "than in step 1; check the calibration."
        )
    return text
