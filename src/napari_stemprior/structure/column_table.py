"""The columns of a prior as a table."""

from __future__ import annotations

from dataclasses import dataclass

from napari_stemprior.structure.stack import Prior


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
    strongest = max(float(layer.z_weights.max()) for layer in prior.layers)
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
        for layer in prior.layers
        for column, xy in zip(layer.columns, layer.positions, strict=True)
    ]


def column_table(prior: Prior) -> str:
    """Describe a prior as text: its cells, its source and one line a column.

    Parameters
    ----------
    prior : StructurePrior or Stack
    """
    head = [f"{prior.name}, beam along {prior.zone_axis}", *prior.cell_lines]
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
