"""A lattice prior out of a mean unit cell: where its columns are, and which of them look alike.

Nothing tells the elements. Each column gets the element whose contrast goes with its brightness, the
brightest that of molybdenum, so that the network is told ratios; no table names them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.inference.cell_columns import CellColumns
from napari_stemprior.inference.cell_fit import CellFit, complete_cell, fit_cell
from napari_stemprior.registration.unit_cell.mean_cell import MeanCell
from napari_stemprior.structure import HAADF_EXPONENT, StructurePrior
from napari_stemprior.structure.elements import ATOMIC_NUMBERS
from napari_stemprior.structure.prior import Column

Floats = NDArray[np.float64]

#: What such a prior is called.
NAME = "lattice of the image"
#: A column counts if it is this many times as bright as its standard deviation, and has this part of the
#: brightest one's brightness.
_SURE, _FAINT = 3.0, 0.02
#: Misfit from which on columns do not describe the cell: overlapping ones were taken for fewer. Right columns
#: of a recording with another shape of the probe have 5.5.
_MOST_MISFIT = 7.0
#: Columns are of one kind if they differ by less than this many standard deviations or this part.
_ALIKE, _ALIKE_PART = 3.0, 0.12
#: Atomic number of the brightest kind.
_BRIGHTEST = 42
#: Å: depth of what lies below the entrance layer.
_DEPTH = 6.0


def prior_of_cell(mean: MeanCell, candidates: Sequence[CellColumns]) -> StructurePrior | None:
    """Make a prior of the columns of a mean cell; None where none of them is bright enough to be sure of.

    Parameters
    ----------
    mean : MeanCell
    candidates : sequence of CellColumns
        Of these sets of columns that one is taken which explains the mean cell best for its number.

    Returns
    -------
    StructurePrior or None
        Sites of one kind share a letter, the brightest ``A``.
    """
    different: list[CellColumns] = []
    for columns in candidates:
        if not any(columns.is_like(other, mean.cell) for other in different):
            different.append(columns)
    fits = [fit for columns in different if (fit := _sure_columns(mean, columns)) is not None]
    if not fits:
        return None
    best = min(fits, key=lambda fit: fit.criterion)
    brightness, deviation = best.brightness, best.deviation
    order = np.argsort(-brightness, kind="stable")
    kind = _kinds(brightness[order], deviation[order])
    symbols = _symbols([float(brightness[order][kind == k].mean()) for k in range(kind.max() + 1)])
    made, seen = [], [0] * len(symbols)
    for row, k in zip(order, kind, strict=True):
        seen[k] += 1
        x, y = (best.fractional[row] % 1.0).tolist()
        below = bool(best.hidden[row])
        site = f"{_letter(int(k))}{seen[k]}"
        made.append(Column((x, y), ((symbols[k], 1.0),), _DEPTH * below, int(below), site))
    return StructurePrior(NAME, "as seen", mean.cell, tuple(made), source="the image itself")


def _sure_columns(mean: MeanCell, columns: CellColumns) -> CellFit | None:
    """Fit columns to a mean cell and leave those out that noise may have made."""
    fit = complete_cell(mean, columns) if len(columns) else None
    while fit is not None:
        sure = (fit.brightness > _SURE * fit.deviation) & (fit.brightness > _FAINT)
        if sure.all():
            return fit if fit.misfit < _MOST_MISFIT else None
        left = CellColumns(fit.fractional, fit.hidden, np.ones(len(fit.hidden))).where(sure)
        fit = fit_cell(mean, left) if len(left) else None
    return None


def _kinds(brightness: Floats, deviation: Floats) -> NDArray[np.int64]:
    """Number the kinds of (N,) columns, brightest first; one much fainter than the others begins another."""
    kind = np.zeros(len(brightness), np.int64)
    first = 0
    for row in range(1, len(brightness)):
        usual = float(brightness[first:row].mean())
        tolerated = max(_ALIKE * float(deviation[row]), _ALIKE_PART * float(brightness[row]))
        if usual - float(brightness[row]) > tolerated:
            first = row
        kind[row] = kind[row - 1] + (first == row)
    return kind


def _symbols(brightness: list[float]) -> list[str]:
    """Return an element for each kind, each another, whose contrast goes with its brightness."""
    named = {number: symbol for symbol, number in ATOMIC_NUMBERS.items()}
    symbols, last = [], _BRIGHTEST + 1
    for value in brightness:
        last = max(min(round(_BRIGHTEST * value ** (1 / HAADF_EXPONENT)), last - 1), 1)
        symbols.append(named[last])
    return symbols


def _letter(kind: int) -> str:
    """Return A to Z, then AA, AB and so on."""
    text = ""
    kind += 1
    while kind:
        kind, rest = divmod(kind - 1, 26)
        text = chr(ord("A") + rest) + text
    return text
