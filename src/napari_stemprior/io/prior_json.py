"""A lattice prior as plain JSON values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.prior import Column, StructurePrior


def prior_to_dict(prior: StructurePrior) -> dict[str, Any]:
    """Return the prior as values that JSON holds exactly.

    Parameters
    ----------
    prior : StructurePrior
    """
    return {
        "name": prior.name,
        "zone_axis": prior.zone_axis,
        "cell": prior.cell.tolist(),
        "period": float(prior.period),
        "source": prior.source,
        "columns": [
            {
                "position": [float(value) for value in column.position],
                "composition": [[symbol, float(count)] for symbol, count in column.composition],
                "height": float(column.height),
                "layer": int(column.layer),
                "site": column.site,
            }
            for column in prior.columns
        ],
    }


def prior_from_dict(values: Mapping[str, Any]) -> StructurePrior:
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
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StructureError(f"The stored lattice prior is damaged ({error!r}); save it again.") from error
