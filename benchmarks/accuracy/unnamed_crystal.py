"""Micrographs of known atoms whose crystal is not told: with the lattice that they show, and without.

``python -m benchmarks.accuracy.unnamed_crystal FOLDER`` takes the folder of `recorded_elsewhere`. An atom on
an oxygen column counts neither way, for nothing tells that it is oxygen.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from scipy.spatial import cKDTree

from benchmarks.accuracy.recorded_elsewhere import judge, seen_columns
from benchmarks.pictures.marks import VACANT
from napari_stemprior.atoms import AtomTable
from napari_stemprior.inference import Segmenter

_OXYGEN = 8
#: Å: an atom within this distance of an oxygen column, and of no other, is taken for the oxygen.
_ON_OXYGEN = 0.5
#: Å: columns nearer than this look like one, see `recorded_elsewhere`.
_ONE_COLUMN = 0.3


def without_oxygen(found: AtomTable, truth: dict[str, Any]) -> AtomTable:
    """Return a table without the atoms that stand on oxygen."""
    atoms, size = np.array(truth["atoms"], float), float(truth["px"])
    oxygen = atoms[atoms[:, 2] == _OXYGEN][:, 1::-1]
    if not len(oxygen) or not len(found):
        return found
    others = seen_columns(atoms, _ONE_COLUMN / size)
    on_oxygen = cKDTree(oxygen).query(found.yx)[0] * size < _ON_OXYGEN
    on_others = cKDTree(others).query(found.yx)[0] * size < _ON_OXYGEN
    return found.where(~on_oxygen | on_others)


def main() -> None:
    """Segment and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="small", help="shipped name or .safetensors file")
    options = parser.parse_args()
    truths = json.loads((options.folder / "truth.json").read_text(encoding="utf-8"))
    segmenters = [Segmenter(options.model, image_lattice=used) for used in (False, True)]
    print(
        "| image | F1, every column on its own | vacancies filled | F1, with the lattice of the image "
        "| vacancies filled | of | lattice |\n|---|---:|---:|---:|---:|---:|---|"
    )
    sums = []
    for name, truth in truths.items():
        image = tifffile.imread(options.folder / f"{name}.tif").astype(np.float32)
        row: list[float] = []
        for segmenter in segmenters:
            segmenter.set_image(image, float(truth["px"]))
            found = segmenter.segment(None)
            result = judge(without_oxygen(found, truth), image, name, truth)
            row += [result.f1, result.filled]
        lattice = found.provenance["image_lattice"]
        told = f"{lattice['cell']}, {lattice['columns']} columns" if lattice else "none"
        vacant = len(result.marks[VACANT])
        print(
            f"| {name} | {row[0]:.3f} | {row[1]:.0f} | {row[2]:.3f} | {row[3]:.0f} | {vacant} | {told} |",
            flush=True,
        )
        sums.append([*row, vacant])
    total = np.array(sums)
    print(
        f"| **all** | {total[:, 0].mean():.3f} | {total[:, 1].sum():.0f} | {total[:, 2].mean():.3f} "
        f"| {total[:, 3].sum():.0f} | {total[:, 4].sum():.0f} | |"
    )


if __name__ == "__main__":
    main()
