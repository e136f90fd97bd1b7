"""Columns that others have marked on real micrographs: how many of them we find, and what we find besides.

``python -m benchmarks.accuracy.marked_by_others FILE... --prior NAME --pixel-size Å/px`` takes atom lattices
that Atomap has saved (HDF5: the image, and refined columns of each sublattice). Such files with columns that
their authors have checked come with the TEMUL toolkit 0.1.5rc0.post2 (GPL-3.0) on the Python package index,
under ``publication_examples``. A column is found if one of ours lies within 0.75 Å, one to one; besides are
columns of ours in the hull of the marked ones. Columns of a kind that the image does not show, which nobody
can mark, do not count.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from napari_stemprior.atoms.inferred import inferred
from napari_stemprior.atoms.matching import GATE_MAX, match
from napari_stemprior.inference import Segmenter
from napari_stemprior.structure import built_in

#: What Atomap calls the image; of a copy that was filtered it keeps the original.
_IMAGES = ("image_data0", "image_data")


def read(path: Path) -> tuple[NDArray[np.float32], list[NDArray[np.float64]]]:
    """Return the image of an atom lattice and the (N, 2) columns (y, x) of each sublattice, pixels."""
    with h5py.File(path) as file:
        image = next(file[name][()] for name in _IMAGES if name in file)
        marked = [group["atom_positions"][()] for group in file.values() if isinstance(group, h5py.Group)]
    return image.astype(np.float32), [xy[np.isfinite(xy).all(axis=1), ::-1] for xy in marked]


def main() -> None:
    """Segment and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--prior", required=True, help="a built-in crystal")
    parser.add_argument("--pixel-size", type=float, required=True, help="Å/px")
    parser.add_argument("--model", default="small", help="shipped name or .safetensors file")
    options = parser.parse_args()
    size, segmenter = options.pixel_size, Segmenter(options.model)
    print("| file | prior | marked | found, % of each sublattice | besides | median distance, Å |")
    print("|---|---|---:|---:|---:|---:|")
    for path in options.files:
        image, sublattices = read(path)
        segmenter.set_image(image, size)
        marked = np.vstack(sublattices)
        number = np.repeat(np.arange(len(sublattices)), [len(one) for one in sublattices])
        hull = Delaunay(marked)
        for prior in (built_in(options.prior), None):
            table = segmenter.segment(prior)
            yx = table.where(~inferred(table.rows)).yx
            pairs = match(yx, marked, size, gate=GATE_MAX)
            found = np.isin(np.arange(len(marked)), pairs.truth)
            shares = ", ".join(f"{100 * found[number == one].mean():.1f}" for one in np.unique(number))
            besides = int((hull.find_simplex(yx[pairs.spurious]) >= 0).sum())
            distance = float(np.median(pairs.distance))
            told = options.prior if prior else "none"
            print(
                f"| {path.name} | {told} | {len(marked)} | {shares} | {besides} | {distance:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
