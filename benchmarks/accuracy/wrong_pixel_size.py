"""Micrographs of known atoms and the right prior, whose stated pixel size is wrong.

``python -m benchmarks.accuracy.wrong_pixel_size FOLDER`` takes the folder of `recorded_elsewhere`. Where the
lattice of the prior is refused its columns are laid on the cell that the image shows
(`inference.stretched_prior`); F1 without that stands beside it. An atom on an oxygen column counts neither
way, as nothing names it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.accuracy.recorded_elsewhere import judge
from benchmarks.accuracy.unnamed_crystal import without_oxygen
from benchmarks.pictures.marks import VACANT
from napari_stemprior.errors import PixelSizeError
from napari_stemprior.inference import Segmenter
from napari_stemprior.structure import load_prior

#: Stated pixel sizes over the true one.
FACTORS = (0.75, 0.87, 1.0, 1.15, 1.33)


def main() -> None:
    """Segment and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="small", help="shipped name or .safetensors file")
    parser.add_argument("--factors", type=float, nargs="+", default=FACTORS)
    parser.add_argument("--only", default="", help="part of the name of the images to take")
    options = parser.parse_args()
    truths = json.loads((options.folder / "truth.json").read_text(encoding="utf-8"))
    before, after = (Segmenter(options.model, unplaced=used) for used in (False, True))
    print(
        "| stated over true | images | lattice accepted | on the cell of the image | F1 | F1 without that "
        "| vacancies filled | without that | of |\n|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    for factor in options.factors:
        rows = []
        for name, truth in truths.items():
            if options.only not in name:
                continue
            file = options.folder / truth["prior"]
            prior = load_prior(str(file) if file.exists() else truth["prior"])
            image = tifffile.imread(options.folder / f"{name}.tif").astype(np.float32)
            row: list[float] = []
            for segmenter in (before, after):
                try:
                    segmenter.set_image(image, float(truth["px"]) * factor)
                except PixelSizeError:
                    break
                found = segmenter.segment(prior)
                result = judge(without_oxygen(found, truth), image, name, truth)
                row += [result.f1, result.filled]
            else:
                lattice = found.provenance["image_lattice"] or {}
                row += [found.provenance["prior_fits"], "prior" in lattice, len(result.marks[VACANT])]
                rows.append(row)
        if rows:
            f1_before, filled_before, f1, filled, fits, on_cell, vacant = np.array(rows, float).T
            print(
                f"| {factor:g} | {len(rows)} | {fits.sum():.0f} | {on_cell.sum():.0f} | {f1.mean():.3f} "
                f"| {f1_before.mean():.3f} | {filled.sum():.0f} | {filled_before.sum():.0f} "
                f"| {vacant.sum():.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
