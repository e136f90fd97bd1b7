"""What was measured, in a few short lines, and why something is missing."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_stemprior.measurement.measurements import Measurements
    from napari_stemprior.measurement.picked_atoms import PickedAtoms

#: Defects of so many kinds are named.
_KINDS = 5


def measured_text(found: Measurements) -> str:
    """Return it as rich text.

    Parameters
    ----------
    found : Measurements
    """
    lines = [f"{int(found.indices.known.sum())} of {len(found.atoms)} atoms on sites."]
    s = found.summary()
    error = s["position_error_angstrom_median"]
    if np.isfinite(error):
        lines.append(f"Positions: ± {error:.3f} Å (median).")
    if (strain := s.get("strain")) is not None:
        parts = [
            f"{label} {100 * strain[key]['deviation']:.2g} %"
            for key, label in (("xx", "εxx"), ("yy", "εyy"), ("xy", "εxy"))
        ]
        lines.append(
            f"Strain scatters by {', '.join(parts)}; "
            f"the error of one is {100 * strain['xx']['median_error']:.2g} %."
        )
    if (p := found.polarisation) is not None:
        lines.append(
            f"Off-centring of {p.centre} in {p.cage}: mean ({p.mean[0]:.3f}, {p.mean[1]:.3f}) ± "
            f"{p.mean_error:.3f} Å; the field is <b>{p.state}</b>."
        )
    if (t := found.tilts) is not None:
        lines.append(f"Tilts: {abs(t.amplitude):.2g} ± {t.amplitude_error:.2g}°, {t.state}.")
    if (b := found.bonds) is not None:
        lines.append(f"Bonds bend by {b.bend:.2g} ± {b.bend_error:.2g}°.")
    lines += _defects(found)
    for layer in found.layers[1:]:
        moire = "" if not np.isfinite(layer.moire).any() else f", moiré {np.nanmin(layer.moire):.1f} Å"
        lines.append(f"Layer {layer.layer}: twist {layer.twist:.2f} ± {layer.twist_error:.2f}°{moire}.")
    for site, c in found.counts.items():
        lines.append(f"{site}: {len(c.mean)} steps of the intensity, from {c.first} atoms on.")
    for one in found.boundaries:
        lines.append(f"{one.kind.capitalize()}: {one.misorientation:.2f} ± {one.misorientation_error:.2f}°.")
    if (planes := found.planes) is not None:
        spacing = float(np.nanmean(planes.spacing)) if len(planes.spacing) else float("nan")
        lines.append(f"Planes of {planes.site}: {spacing:.4f} Å, reference {planes.ideal:.4f} Å.")
    lines += [_picked(one) for one in found.picked]
    if (scan := found.scan_errors) is not None:
        jitter = 100 * scan.jitter
        lines.append(f"Rows of the scan: {jitter[0]:.2g} pm along x, {jitter[1]:.2g} pm along y.")
    text = "<br>".join(lines)
    if found.reasons:
        text += "<br>" + "<br>".join(
            f"<b>Not measured: {escape(name.replace('_', ' '))}.</b> {escape(reason)}"
            for name, reason in found.reasons.items()
        )
    return text


def _defects(found: Measurements) -> list[str]:
    if found.defects is None:
        return []
    counts = found.defects.table["kind"].value_counts()
    named = ", ".join(f"{int(n)} × {kind}" for kind, n in counts.head(_KINDS).items())
    return [f"Defects on {found.defects.area:.0f} nm²: {named or 'none'}."]


def _picked(one: PickedAtoms) -> str:
    steps = ", ".join(f"{d:.3f} ± {e:.3f} Å" for d, e in zip(one.distance, one.distance_error, strict=True))
    angle = f", angle {one.angle:.1f} ± {one.angle_error:.1f}°" if np.isfinite(one.angle) else ""
    return f"Atoms {', '.join(map(str, one.atom_id))}: {steps}{angle}."
