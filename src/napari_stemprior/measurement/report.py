"""One self-contained HTML page about the measurements of an image."""

from __future__ import annotations

import base64
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemprior.measurement.column_table import MEANINGS
from napari_stemprior.measurement.measurements import Measurements
from napari_stemprior.measurement.report_of_questions import (
    question_citations,
    question_methods,
    question_tables,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Left in every page, so that a later run knows its own work.
MARK = '<meta name="generator" content="napari-stemprior measure">'
_STYLE = """
body{font-family:Helvetica,Arial,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0;font-size:.9em}
td,th{border-bottom:1px solid #ccc;padding:.25em .8em;text-align:right}
td:first-child,th:first-child{text-align:left}img{max-width:100%}figure{margin:1.5em 0}
figcaption{font-size:.9em;color:#444}h2{margin-top:2em;border-bottom:2px solid #ddd}.none{color:#888}
@media print{body{max-width:none}figure{break-inside:avoid}}
"""
#: What is cited where it was used.
_CITATIONS = {
    "prior": "Guo, Lin and Chen, J. South China Univ. Technol. 53(11) (2025), doi "
    "10.12141/j.issn.1000-565X.250032",
    "gpa": "Hÿtch, Snoeck and Kilaas, Ultramicroscopy 74 (1998) 131",
    "cells": "E, MacArthur, Pennycook, Okunishi, D'Alfonso, Lugg, Allen and Nellist, Ultramicroscopy 133 "
    "(2013) 109",
    "bic": "Schwarz, Annals of Statistics 6 (1978) 461",
    "wilson": "Wilson, J. Am. Stat. Assoc. 22 (1927) 209",
    "moire": "Hermann, J. Phys.: Condens. Matter 24 (2012) 314210",
    "glazer": "Glazer, Acta Cryst. B 28 (1972) 3384",
    "counting": "Van Aert, De Backer, Martinez, den Dekker, Van Dyck, Bals and Van Tendeloo, Phys. Rev. B 87 "
    "(2013) 064107",
}


def html_report(
    found: Measurements,
    name: str,
    figures: dict[str, tuple[Figure, str]],
    provenance: dict[str, Any],
) -> str:
    """Write the page.

    Parameters
    ----------
    found : Measurements
    name : str
        Of the image.
    figures : dict
        From `draw_figures`; empty for a page without.
    provenance : dict
        What else was set, plain values.

    Returns
    -------
    str
        HTML with the figures in it.
    """
    summary = found.summary()
    parts = [
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">{MARK}<title>{escape(name)}'
        f": measurements</title><style>{_STYLE}</style></head><body><h1>{escape(name)}</h1>",
        "<h2>Calibration, prior and fit</h2>",
        _table(["", ""], _fit_rows(found, summary)),
    ]
    if found.strain is not None:
        rows = [
            [label, _number(s["mean"] * f), _number(s["deviation"] * f), _number(s["median_error"] * f)]
            for label, key, f in (
                ("εxx (%)", "xx", 100), ("εyy (%)", "yy", 100), ("εxy (%)", "xy", 100),
                ("rotation (°)", "rotation", 1),
            )
            for s in [summary["strain"][key]]
        ]  # fmt: skip
        parts += [
            "<h2>Strain</h2>",
            _table(["", "mean", "standard deviation", "standard error of one (median)"], rows),
        ]
    if found.polarisation is not None:
        p = summary["polarisation"]
        rows = [
            ["centre in cage", f"{p['centre']} in {p['cage']}"],
            ["state", p["state"]],
            [
                "mean arrow x, y (Å)",
                f"{p['mean_angstrom'][0]:.4f}, {p['mean_angstrom'][1]:.4f} ± {p['mean_error_angstrom']:.4f}",
            ],
            ["domains", str(p["domains"])],
        ]
        parts += ["<h2>Off-centring</h2>", _table(["", ""], rows)]
    if found.defects is not None:
        rows = [
            [
                f"{one.kind} {one.site}", str(one.share.count), str(one.share.of),
                one.reason or _interval(100 * one.share.value, 100 * one.share.low, 100 * one.share.high),
                "" if one.reason else _interval(one.density, one.density_low, one.density_high),
            ]
            for one in found.concentrations
        ]  # fmt: skip
        parts += [
            "<h2>Point defects</h2>",
            _table(
                [
                    "kind and site",
                    "found",
                    "sites",
                    "% of the sites (95 % interval)",
                    "per nm² (95 % interval)",
                ],
                rows,
            ),
        ]
    if found.layers:
        rows = [
            [
                str(one.layer), f"{one.twist:.3f} ± {one.twist_error:.3f}",
                f"{one.shift[0]:.3f}, {one.shift[1]:.3f} ± {one.shift_error:.3f}",
                ", ".join(f"{100 * v:.2f}" for v in one.strain),
                ", ".join(_number(v) for v in one.moire) or one.reason,
            ]
            for one in found.layers
        ]  # fmt: skip
        parts += [
            "<h2>Layers</h2>",
            _table(["layer", "twist (°)", "shift x, y (Å)", "strain xx, yy, xy (%)", "moiré (Å)"], rows),
        ]
    parts += [
        part for head, top, rows in question_tables(found) for part in (f"<h2>{head}</h2>", _table(top, rows))
    ]
    if figures:
        parts.append("<h2>Figures</h2>")
        parts += [_figure(key, figure, caption) for key, (figure, caption) in figures.items()]
    if found.reasons:
        parts += ["<h2>Not measured</h2>", _table(["", "why"], [[k, v] for k, v in found.reasons.items()])]
    parts += ["<h2>Methods</h2>", f"<p>{escape(methods(found))}</p>", "<ol>"]
    parts += [f"<li>{escape(_CITATIONS[key])}</li>" for key in _cited(found)]
    parts += [
        "</ol><h2>Columns of the table</h2>",
        _table(["column", "meaning"], [[c, MEANINGS[c]] for c in map(str, found.columns)]),
        "<h2>Provenance</h2>",
        _table(["", ""], [[str(k), str(v)] for k, v in provenance.items()]),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def methods(found: Measurements) -> str:
    """Return a paragraph for the methods section of a paper, of what was done."""
    prior = found.fit.prior
    text = [
        f"Atom columns were measured against the lattice of {prior.name}, placed on the image by "
        "napari-stemprior "
        f"[1]. {int(found.indices.known.sum())} of {len(found.atoms)} columns were indexed by the "
        "shortest chain of "
        f"lattice steps. The reference is the {found.reference.description} "
        f"({int(found.reference.used.sum())} "
        "columns, least squares)."
    ]
    number = {key: place + 1 for place, key in enumerate(_cited(found))}
    if found.column_fit is not None:
        text.append(
            "Columns were fitted by elliptical Gaussians with a background, weighted by the noise of the "
            "pixels; "
            "position errors come from that fit and were raised where the scatter about the local "
            "lattice is larger."
        )
    else:
        text.append("Position errors are the scatter about the local lattice.")
    if found.strain is not None:
        text.append(
            "Strain is the stretch, less 1, of affine fits over each column and its eight nearest "
            "neighbours of the "
            "same site."
        )
        if found.field_strain is not None:
            text.append(f"It is compared with geometric phase analysis [{number['gpa']}].")
    if found.scan_errors_removed:
        text.append(
            "Shifts common to the rows of the scan that change within 10 Å were taken out, as far as "
            "position errors "
            "do not explain them."
        )
    if found.cells is not None:
        text.append(f"Intensities are integrated over Voronoi cells [{number['cells']}], background off.")
    if found.mixtures:
        text.append(f"Their mixtures have the number of components of the least BIC [{number['bic']}].")
    if found.polarisation is not None:
        p = found.polarisation
        text.append(
            f"Off-centring is that of {p.centre} against the mean of its {p.cage} neighbours; domains "
            "are told apart "
            "only where neighbouring arrows agree beyond chance (p < 0.001)."
        )
    if found.defects is not None:
        text.append(
            "A site without a column within 0.6 Å is a vacancy. Concentrations carry 95 % intervals of "
            "Wilson "
            f"[{number['wilson']}]."
        )
    if found.layers:
        text.append(
            f"Moiré lattices follow from differences of reciprocal lattice vectors [{number['moire']}]."
        )
    text += question_methods(found, number)
    text.append("All errors are standard errors.")
    return " ".join(text)


def _cited(found: Measurements) -> list[str]:
    used = {
        "prior": True,
        "gpa": found.strain is not None and found.field_strain is not None,
        "cells": found.cells is not None,
        "bic": bool(found.mixtures),
        "wilson": found.defects is not None,
        "moire": bool(found.layers),
        **question_citations(found),
    }
    return [key for key, wanted in used.items() if wanted]


def _fit_rows(found: Measurements, summary: dict[str, Any]) -> list[list[str]]:
    rows = [
        ["prior", found.fit.prior.name],
        ["pixel size (Å)", f"{found.atoms.pixel_size:.5g}"],
        ["score of the fit", f"{found.fit.pose.score:.3f}"],
        ["columns, on sites", f"{summary['atoms']}, {summary['atoms_on_sites']}"],
        ["reference", f"{found.reference.description}, {summary['reference']['atoms']} columns"],
    ]
    for vectors in summary["reference"]["cells_angstrom"]:
        a, b = (float(np.hypot(*vector)) for vector in vectors)
        angle = float(np.rad2deg(np.arccos(np.dot(*map(np.asarray, vectors)) / (a * b))))
        rows.append(["measured cell", f"{a:.4f} × {b:.4f} Å, {angle:.2f}°"])
    rows.append(["position error (Å, median)", _number(summary["position_error_angstrom_median"])])
    rows += [["reservation", sentence] for sentence in found.fit.reservations]
    return rows


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else ""


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.3g} ({low:.3g} to {high:.3g})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    top = "" if not any(head) else "<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{top}{body}</table>"


def _figure(key: str, figure: Figure, caption: str) -> str:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<figure id="{escape(key)}"><img alt="{escape(key)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
