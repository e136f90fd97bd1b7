"""What rivals with an environment of their own exchange with the benchmark: images in, positions out.

``python -m benchmarks.rivals.known_images -o out/rivals`` writes ``images.npz`` (the validation micrographs)
and ``bank.npz`` (the crystals that scenes are made of). A rival answers with a ``.npz`` of one (N, 2) array
of pixel positions (y, x) for each image, under the same names, which ``benchmarks.accuracy.accuracy --rival
NAME=FILE`` scores.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.validation.validation_set import DOSES, Item, items
from napari_stemprior.atoms import AtomTable
from napari_stemprior.training.structure_bank import library_bank, save_bank


def key(item: Item, dose: float, seed: int) -> str:
    """Return the name of one micrograph."""
    return f"{item.name}|{dose:g}|{seed}"


def answer(file: Path, item: Item, dose: float, seed: int) -> AtomTable:
    """Read a rival's positions for one micrograph."""
    with np.load(file, allow_pickle=False) as data:
        return AtomTable.from_positions(data[key(item, dose, seed)], item.pixel_size)


def main() -> None:
    """Write the images and the bank."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="noise seeds a view")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/rivals"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    images: dict[str, NDArray[np.float32]] = {}
    for item in items():
        for dose in DOSES:
            for seed in range(options.seeds):
                name = key(item, dose, seed)
                images[name] = item.micrograph(dose, seed)
                images[f"{name}|pixel_size"] = np.float32([item.pixel_size])
    np.savez_compressed(options.output / "images.npz", **images)
    save_bank(library_bank(), options.output / "bank.npz")
    print(f"{len(images) // 2} micrographs written to {options.output / 'images.npz'}")


if __name__ == "__main__":
    main()
