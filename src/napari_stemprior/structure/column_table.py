"""The columns of a prior as a table."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_stemprior.structure.prior import StructurePrior
from napari_stemprior.structure.stack import Prior, Stack, layers_of


@dataclass(frozen=True)
class ColumnRow:
    """One column of a prior.

    Parameters
    ----------
    site : str
    composition : str
        Such as ``"S2"`` or ``"In0.53Ga0.47"``: atoms in one repeat along the beam.
    layer : int
        0 is the entrance side.
    x, y : float
        Å in the cell of its layer.
    height : float
        Å below the entrance surface; 0 in a crystal that repeats along the beam.
    z_weight : float
        Expected HAADF signal relative to the strongest column of the prior.
    """

    site: str
    composition: str
    layer: int
    x: float
    y: float
    height: float
    z_weight: float


def column_rows(prior: Prior) -> list[ColumnRow]:
    """List the columns of a prior, layer by layer.

    Parameters
    ----------
    prior : StructurePrior or Stack
    """
    strongest = max(float(layer.z_weights.max()) for layer in layers_of(prior))
    return [
        ColumnRow(
            column.site,
            column.formula,
            column.layer,
            round(float(xy[0]), 6) + 0.0,
            round(float(xy[1]), 6) + 0.0,
            column.height,
            column.z_weight / strongest,
        )
        for layer in layers_of(prior)
        for column, xy in zip(layer.columns, layer.positions, strict=True)
    ]


def column_table(prior: Prior) -> str:
    """Describe a prior as text: its cells, its source and one line a column.

    Parameters
    ----------
    prior : StructurePrior or Stack
    """
    head = [f"{prior.name}, beam along {prior.zone_axis}"]
    if isinstance(prior, Stack):
        for number, layer in enumerate(prior.layers):
            x, y = prior.shifts[number]
            head.append(
                f"layer {number}: {layer.name}, cell {cell_text(layer)}, "
                f"twist {prior.twists[number]:g}°, shift {x:g}, {y:g} Å"
            )
    else:
        repeat = f", repeat along the beam {prior.period:.3f} Å" if prior.period else ""
        head.append(f"cell {cell_text(prior)}{repeat}")
    if prior.source:
        head.append(f"source: {prior.source}")
    rows = [("SITE", "ATOMS", "LAYER", "X (Å)", "Y (Å)", "HEIGHT (Å)", "SIGNAL")]
    rows += [
        (
            row.site,
            row.composition,
            str(row.layer),
            f"{row.x:.3f}",
            f"{row.y:.3f}",
            f"{row.height:.2f}",
            f"{row.z_weight:.3f}",
        )
        for row in column_rows(prior)
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            text.ljust(width) if i < 2 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*head, "", *lines])


def cell_text(prior: StructurePrior) -> str:
    """Write lengths and angle of a projected cell, such as ``3.161 x 3.161 Å, 120.0°``."""
    a, b = (math.hypot(*vector) for vector in prior.cell)
    angle = math.degrees(math.acos(float(prior.cell[0] @ prior.cell[1]) / (a * b)))
    return f"{a:.3f} x {b:.3f} Å, {angle:.1f}°"
