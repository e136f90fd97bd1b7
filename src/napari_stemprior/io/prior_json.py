"""A lattice prior as plain JSON values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from napari_stemprior.errors import StructureError
from napari_stemprior.structure import Prior
from napari_stemprior.structure.elements import SYMBOLS
from napari_stemprior.structure.prior import Column, StructurePrior
from napari_stemprior.structure.stack import Stack
from napari_stemprior.structure.unit_cell import UnitCell


def prior_to_dict(prior: Prior, *, atoms_in_space: bool = False) -> dict[str, Any]:
    """Return the prior as values that JSON holds exactly.

    Parameters
    ----------
    prior : StructurePrior or Stack
    atoms_in_space : bool
        Whether the atoms behind a projected prior (`StructurePrior.unit_cell`) are kept.
    """
    crystal = prior.crystal
    if crystal is None:
        return {
            "name": prior.name,
            "layers": [prior_to_dict(layer, atoms_in_space=atoms_in_space) for layer in prior.layers],
            "twists": [float(twist) for twist in prior.twists],
            "shifts": [[float(value) for value in shift] for shift in prior.shifts],
        }
    unit = crystal.unit_cell
    known = {f.name: getattr(unit, f.name).tolist() for f in fields(UnitCell)} if unit is not None else {}
    return {
        **({"unit_cell": known} if atoms_in_space and known else {}),
        "name": crystal.name,
        "zone_axis": crystal.zone_axis,
        "cell": crystal.cell.tolist(),
        "period": float(crystal.period),
        "source": crystal.source,
        "columns": [
            {
                "position": [float(value) for value in column.position],
                "composition": [[symbol, float(count)] for symbol, count in column.composition],
                "height": float(column.height),
                "layer": int(column.layer),
                "site": column.site,
            }
            for column in crystal.columns
        ],
    }


def prior_from_dict(values: Mapping[str, Any]) -> Prior:
    """Return the prior that `prior_to_dict` described.

    Parameters
    ----------
    values : mapping

    Raises
    ------
    StructureError
        If a field is missing or has the wrong form.
    """
    try:
        if "layers" in values:
            return Stack(
                name=str(values["name"]),
                layers=tuple(_lattice(layer) for layer in values["layers"]),
                twists=tuple(float(twist) for twist in values["twists"]),
                shifts=tuple((float(x), float(y)) for x, y in values["shifts"]),
            )
        return _lattice(values)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise StructureError(f"The stored lattice prior is damaged ({error!r}); save it again.") from error


def _lattice(values: Mapping[str, Any]) -> StructurePrior:
    columns = tuple(
        Column(
            position=(float(entry["position"][0]), float(entry["position"][1])),
            composition=tuple((str(symbol), float(count)) for symbol, count in entry["composition"]),
            height=float(entry["height"]),
            layer=int(entry["layer"]),
            site=str(entry["site"]),
        )
        for entry in values["columns"]
    )
    return StructurePrior(
        name=str(values["name"]),
        zone_axis=str(values["zone_axis"]),
        cell=np.array(values["cell"], dtype=np.float64),
        columns=columns,
        period=float(values["period"]),
        source=str(values["source"]),
        unit_cell=_unit_cell(values["unit_cell"]) if "unit_cell" in values else None,
    )


def _unit_cell(values: Mapping[str, Any]) -> UnitCell:
    unit = UnitCell(**{f.name: np.array(values[f.name]) for f in fields(UnitCell)})
    n = len(unit.atomic_numbers)
    shapes = {"lattice": (3, 3), "positions": (n, 3)}
    for f in fields(UnitCell):
        array = getattr(unit, f.name)
        if array.shape != shapes.get(f.name, (n,)) or not np.isfinite(array).all():
            raise ValueError(f"the {f.name} of the unit cell are no numbers of that many atoms")
    if not n or not ((unit.atomic_numbers > 0) & (unit.atomic_numbers < len(SYMBOLS))).all():
        raise ValueError("an atomic number of the unit cell is none")
    return unit
