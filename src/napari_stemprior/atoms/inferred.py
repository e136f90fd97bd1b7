"""Atoms that stand on a lattice alone: columns of a kind that leaves no trace in the image.

Oxygen beside strontium may be too faint to be seen at all. Its columns follow from the lattice, not from the
image, so there is nothing in the image to judge one of them by: they are believed or left out together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemprior.atoms.table import UNKNOWN_ELEMENT

#: Evidence of an atom of a kind that the image does not show. Any other atom has more, however little.
NO_TRACE = 0.0


def inferred(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which rows of an atom table follow from the lattice alone and are still open.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of an atom table. What a person has accepted, moved or rejected is no longer inferred.
    """
    open_rows = rows["status"].isin(("ok", "review")).to_numpy(bool)
    alone = (rows["source"] == "lattice").to_numpy(bool)
    return np.asarray(open_rows & alone & (rows["evidence"].to_numpy(float) == NO_TRACE))


def inferred_kinds(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Count the inferred rows of each element, site and layer, as plain values for the provenance."""
    kinds = (
        rows[inferred(rows)].groupby(["element", "site", "layer"], sort=True).size().reset_index(name="count")
    )
    return [
        {"element": str(element), "site": str(site), "layer": int(layer), "count": int(count)}
        for element, site, layer, count in kinds.itertuples(index=False)
    ]


def inferred_sentence(rows: pd.DataFrame) -> str:
    """Say how many atoms follow from the lattice alone; empty where none does.

    That lattice is the prior's, or the one that the image itself shows, which names no elements.
    """
    counts = rows["element"][inferred(rows)].value_counts().sort_index()
    if counts.empty:
        return ""
    one = int(counts.sum()) == 1
    verb = "stands" if one else "stand"
    if list(counts.index) == [UNKNOWN_ELEMENT]:
        named, lattice = f"{counts.iloc[0]} column{'' if one else 's'}", "lattice"
    else:
        named, lattice = ", ".join(f"{count} {element}" for element, count in counts.items()), "prior"
    return f"{named} {verb} on the {lattice} alone: the image shows no trace of such columns."
