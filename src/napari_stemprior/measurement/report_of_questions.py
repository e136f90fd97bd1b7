"""What the report says of single questions: tables, sentences for the methods, citations."""

from __future__ import annotations

import numpy as np

from napari_stemprior.measurement.measurements import Measurements

Table = tuple[str, list[str], list[list[str]]]

#: Quantities that are listed of a region, with their factor and unit.
_LISTED = {
    "intensity_cell": (1.0, ""), "intensity_fit": (1.0, ""), "width_angstrom": (1.0, "Å"),
    "ellipticity": (1.0, ""), "dx_angstrom": (1.0, "Å"), "dy_angstrom": (1.0, "Å"), "strain_xx": (100.0, "%"),
    "strain_yy": (100.0, "%"), "strain_xy": (100.0, "%"), "rotation_degrees": (1.0, "°"),
    "neighbour_mean_angstrom": (1.0, "Å"), "off_centre_x_angstrom": (1.0, "Å"),
    "off_centre_y_angstrom": (1.0, "Å"), "octahedral_tilt_degrees": (1.0, "°"),
    "bond_angle_degrees": (1.0, "°"), "atom_count": (1.0, ""),
}  # fmt: skip


def question_tables(found: Measurements) -> list[Table]:
    """Return heading, head and rows of each table."""
    tables: list[Table] = []
    if found.tilts is not None or found.bonds is not None:
        rows = []
        if (t := found.tilts) is not None:
            rows += [
                ["octahedra", f"{t.corner} about {t.centre}, {len(t.atom)}"],
                ["alternating tilt (°)", f"{abs(t.amplitude):.3f} ± {t.amplitude_error:.3f}: {t.state}"],
            ]
        if (b := found.bonds) is not None:
            name = f"{b.end}–{b.middle}–{b.end}"
            rows += [
                [f"bonds {name}", str(len(b.atom))],
                ["mean angle (°)", f"{b.angle.mean():.2f} ± {b.angle.std() / np.sqrt(len(b.angle)):.2f}"],
                ["bend, rms (°)", f"{b.bend:.2f} ± {b.bend_error:.2f}"],
            ]
        tables.append(("Octahedra", ["", ""], rows))
    if found.counts:
        rows = [
            [
                site, str(len(c.mean)), f"{c.first} to {c.first + len(c.mean) - 1}"
                if np.isfinite(c.count).any() else "",
                f"{c.per_atom:.4g} ± {c.per_atom_error:.2g}", f"{100 * np.nanmean(c.chance_of_error):.2g}",
                " ".join(c.reservations),
            ]
            for site, c in found.counts.items()
        ]  # fmt: skip
        head = ["site", "components", "atoms", "cross-section of an atom", "other number (%)", "reservations"]
        tables.append(("Counted atoms", head, rows))
    if found.stacking is not None:
        rows = [[name, f"{100 * share:.1f} %"] for name, share in found.stacking.share.items()]
        if found.stacking.reason:
            rows.append(["", found.stacking.reason])
        tables.append(("Stacking", ["nearest", "share of the places"], rows))
    if found.boundaries:
        rows = [
            [
                f"{i + 1}: {b.kind}",
                f"{b.misorientation:.3f} ± {b.misorientation_error:.3f}",
                f"{b.length:.0f}",
                f"{b.direction:.1f} ± {b.direction_error:.1f}",
                f"{b.shift[0]:.3f}, {b.shift[1]:.3f} ± {b.shift_error:.3f}"
                if np.isfinite(b.shift).all()
                else "",
            ]
            for i, b in enumerate(found.boundaries)
        ]  # fmt: skip
        head = ["", "misorientation (°)", "length (Å)", "direction (°)", "shift x, y (Å)"]
        tables.append(("Boundaries", head, rows))
    if (p := found.planes) is not None:
        rows = [
            [f"{n} to {m}", f"{s:.4f} ± {e:.4f}" if np.isfinite(s) else ""]
            for n, m, s, e in zip(p.number[:-1], p.number[1:], p.spacing, p.spacing_error, strict=True)
        ]
        rows.append(["reference", f"{p.ideal:.4f}"])
        tables.append((f"Planes of {p.site}", ["planes", "spacing (Å)"], rows))
    if found.picked:
        rows = []
        for one in found.picked:
            distances = zip(one.distance, one.distance_error, strict=True)
            angle = f"{one.angle:.2f} ± {one.angle_error:.2f}" if np.isfinite(one.angle) else ""
            rows.append(
                [
                    ", ".join(map(str, one.atom_id)),
                    "; ".join(f"{d:.4f} ± {e:.4f}" for d, e in distances),
                    angle,
                ]
            )
        tables.append(("Picked atoms", ["atoms", "distances (Å)", "angle (°)"], rows))
    if found.statistics is not None:
        rows = []
        for row in found.statistics.to_dict("records"):
            if row["quantity"] in _LISTED and row["count"]:
                factor, unit = _LISTED[str(row["quantity"])]
                numbers = [factor * float(row[key]) for key in ("mean", "error_of_mean", "deviation")]
                values = [f"{v:.4g}" if np.isfinite(v) else "" for v in numbers]
                rows.append(
                    [
                        f"{row['lattice_site']} {row['quantity']}" + (f" ({unit})" if unit else ""),
                        str(row["count"]),
                        *values,
                    ]
                )
        head = ["", "columns", "mean", "error of the mean", "standard deviation"]
        tables.append(("Inside the region", head, rows))
    return tables


def question_methods(found: Measurements, number: dict[str, int]) -> list[str]:
    """Return sentences for the methods; `number` says where a work is cited."""
    text = []
    if found.tilts is not None:
        text.append(
            f"Octahedral tilts are rotations of the projected {found.tilts.corner} corners against the "
            f"lattice of {found.tilts.centre}; along the beam they show where they are in "
            f"phase [{number['glazer']}]."
        )
    if found.counts:
        text.append(
            "Atoms were counted by a Gaussian mixture of cross-sections with a common width, the number of "
            "components "
            f"by the integrated classification likelihood criterion [{number['counting']}]."
        )
    if found.boundaries:
        text.append(
            "Misorientations are differences of the rotations of affine lattices fitted to each crystal."
        )
    if found.planes is not None:
        text.append("Plane positions are means of their atoms along the normal of the reference lattice.")
    return text


def question_citations(found: Measurements) -> dict[str, bool]:
    """Return which works are cited."""
    return {"glazer": found.tilts is not None, "counting": bool(found.counts)}
