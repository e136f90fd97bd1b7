"""The structure bank: the crystals that scenes are made of, as a file of plain arrays.

Reading it needs numpy alone, so that training runs where ASE is not installed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.array_files import load_arrays
from napari_stemprior.atomic_write import replaced
from napari_stemprior.errors import StructureError, TrainingError
from napari_stemprior.structure.elements import SYMBOLS
from napari_stemprior.structure.prior import Column, StructurePrior

#: Fields of a prior that are text or one number.
_PLAIN = ("name", "zone_axis", "period", "source")

#: What every file of `save_bank` holds.
BANK_MARK = b"zone_axis.npy"


def library_bank(*, held_out: bool = False) -> list[StructurePrior]:
    """Return the built-in crystals; needs ASE.

    Parameters
    ----------
    held_out : bool
        Return those that are kept for tests instead of those for training.
    """
    from napari_stemprior.structure.library import built_in, entries

    return [
        replace(built_in(name), unit_cell=None)
        for name, entry in entries().items()
        if bool(entry.get("held_out", False)) == held_out
    ]


def save_bank(bank: list[StructurePrior], path: Path) -> None:
    """Write crystals as one ``.npz`` of plain arrays; their atoms in three dimensions are left out.

    Parameters
    ----------
    bank : list of StructurePrior
    path : pathlib.Path

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    arrays: dict[str, NDArray[np.generic]] = {
        field: np.array([getattr(prior, field) for prior in bank]) for field in _PLAIN
    }
    for i, prior in enumerate(bank):
        arrays[f"{i}.cell"] = prior.cell
        arrays[f"{i}.fractional"] = prior.fractional
        arrays[f"{i}.numbers"], arrays[f"{i}.counts"] = prior.compositions
        arrays[f"{i}.heights"] = prior.heights
        arrays[f"{i}.layers"] = prior.layer_numbers
        arrays[f"{i}.sites"] = np.array([column.site for column in prior.columns])
    with replaced(path) as beside, beside.open("wb") as file:  # savez would add a suffix to a path
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load_bank(path: Path) -> list[StructurePrior]:
    """Read what `save_bank` wrote.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    list of StructurePrior

    Raises
    ------
    TrainingError
        If the file is missing or is no structure bank.
    """
    try:
        data = load_arrays(path)
        return [_prior(data, i) for i in range(len(data["name"]))]
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        OverflowError,
        StructureError,
    ) as error:
        raise TrainingError(
            f"{path}: this is no structure bank; write one with 'stemprior structures'."
        ) from error


def _symbol(z: int) -> str:
    if z < 0:
        raise ValueError("there is no such element")
    return SYMBOLS[z]


def _prior(data: dict[str, NDArray[Any]], i: int) -> StructurePrior:
    columns = tuple(
        Column(
            (float(place[0]), float(place[1])),
            tuple((_symbol(int(z)), float(n)) for z, n in zip(numbers, counts, strict=True) if n > 0),
            float(height),
            int(layer),
            str(site),
        )
        for place, numbers, counts, height, layer, site in zip(
            *(data[f"{i}.{n}"] for n in ("fractional", "numbers", "counts", "heights", "layers", "sites")),
            strict=True,
        )
    )
    return StructurePrior(
        str(data["name"][i]),
        str(data["zone_axis"][i]),
        data[f"{i}.cell"],
        columns,
        float(data["period"][i]),
        str(data["source"][i]),
    )
