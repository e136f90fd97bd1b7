"""Make the simulated micrographs of ``sample_data`` from the multislice scans.

``python -m benchmarks.validation.make_samples [FOLDER]``; the same bytes every time.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from ase import Atoms
from ase.io import write
from numpy.typing import NDArray

from benchmarks.validation.scans import SPECIMENS, load
from benchmarks.validation.specimens import Columns
from benchmarks.validation.validation_set import View, noisy, on_image

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"


@dataclass(frozen=True)
class Sample:
    """One micrograph to make.

    Parameters
    ----------
    name : str
        Of the files, without suffix.
    specimen : str
        In `SPECIMENS`.
    prior : str
        Built-in name, or the name of the structure file that is written beside it.
    dose : float
        e/Å².
    view : View
    """

    name: str
    specimen: str
    prior: str
    dose: float
    view: View


PLAN = (
    Sample(
        "simulated_WS2_vacancies_1000e",
        "ws2_vacancies",
        "WS2",
        1e3,
        View(0.14, (384, 384), 24.0, (5.0, 9.0)),
    ),
    Sample(
        "simulated_MoS2_twisted_bilayer_10000e",
        "mos2_twisted",
        "MoS2_twisted_bilayer.extxyz",
        1e4,
        View(0.12, (448, 448), -13.0, (2.0, 3.0)),
    ),
)


def make(sample: Sample, folder: Path) -> None:
    """Write the micrograph, its atoms, its vacancies and, if it is not built in, its structure."""
    known = load(sample.specimen)
    rng = np.random.default_rng(list(sample.name.encode()))
    image = sample.view.draw(known).astype(np.float32)
    counts = noisy(image, sample.view.pixel_size, sample.dose, rng)
    size = sample.view.pixel_size
    instrument = SPECIMENS[sample.specimen].instrument
    tifffile.imwrite(
        folder / f"{sample.name}.tif",
        counts.astype(np.uint16),
        description=json.dumps(
            {
                "pixel_size_angstrom": size,
                "prior": sample.prior,
                "dose": sample.dose,
                "instrument": instrument.name,
                "simulated": "abTEM multislice, counted electrons",
            }
        ),
        resolution=(1e8 / size, 1e8 / size),  # pixels per cm
        resolutionunit="CENTIMETER",
        compression="deflate",
        metadata=None,
        software="napari-stemprior benchmarks/make_samples.py",  # its place at first: bytes stay the same
        datetime=False,
    )
    _write(
        folder / f"{sample.name}_atoms.csv", *sample.view.columns(known.columns), known.columns, sample.view
    )
    if known.vacancies is not None:
        _write(
            folder / f"{sample.name}_vacancies.csv",
            *sample.view.columns(known.vacancies),
            known.vacancies,
            sample.view,
        )
    if sample.prior.endswith(".extxyz"):
        atoms, _ = SPECIMENS[sample.specimen].build()
        plain = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=True)
        plain.pbc = (True, True, False)
        write(folder / sample.prior, plain, format="extxyz")


def _write(
    path: Path, yx: NDArray[np.float64], index: NDArray[np.int64], columns: Columns, view: View
) -> None:
    """Write the columns that lie on the image."""
    inside = np.flatnonzero(on_image(yx, view.shape))
    inside = inside[np.lexsort((yx[inside, 1].round(3), yx[inside, 0].round(3)))]
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["y_px", "x_px", "element", "site", "layer"])
        for i in inside:
            k = index[i]
            table.writerow(
                [
                    f"{yx[i, 0]:.3f}",
                    f"{yx[i, 1]:.3f}",
                    columns.element[k],
                    columns.site[k],
                    int(columns.layer[k]),
                ]
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=SAMPLES, help="default: sample_data")
    target = parser.parse_args().folder
    target.mkdir(parents=True, exist_ok=True)
    for each in PLAN:
        make(each, target)
        print(f"{target / each.name}.tif")
