"""Crystals as arrays: a bank made from the library, and random ones.

Training needs numpy alone, so that it runs where neither ASE nor spglib is installed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.atomic_write import replaced
from napari_stemprior.structure.periodic import nearest_distance

Floats = NDArray[np.float64]
#: Elements that random crystals are made of: those that people image, light to heavy.
_ATOMIC_NUMBERS = np.setdiff1d(np.arange(3, 84), [4, 10, 18, 21, 36, 37, 43, 54, *range(59, 72), 76, 80, 81])
#: Smallest projected distance between columns that random crystals have, Å.
_MIN_DISTANCE = 1.0


@dataclass(frozen=True, eq=False)
class Crystal:
    """A projected cell.

    Parameters
    ----------
    name : str
    cell : (2, 2) array
        In-plane vectors as rows (x, y), Å.
    fractional : (N, 2) array
    numbers : (N, 3) array
        Atomic numbers in each column, heaviest contribution first, 0 where there are fewer.
    counts : (N, 3) array
        How many of each.
    heights : (N,) array
        Å below the entrance surface.
    layers : (N,) array of int
    """

    name: str
    cell: Floats
    fractional: Floats
    numbers: Floats
    counts: Floats
    heights: Floats
    layers: NDArray[np.int64]

    def weights(self, exponent: float = 1.7) -> Floats:
        """(N,) HAADF intensity of the columns for a Z exponent, in units of one atom of Z = 42."""
        return np.asarray((self.counts * (self.numbers / 42.0) ** exponent).sum(axis=1))

    def scaled(self, factor: float) -> Crystal:
        """Return the crystal with its cell stretched."""
        return replace(self, cell=self.cell * factor)

    def repeated(self, first: int, second: int) -> Crystal:
        """Return the same crystal described by a larger cell."""
        ij = np.stack(np.meshgrid(np.arange(first), np.arange(second), indexing="ij"), -1).reshape(-1, 1, 2)
        copies = first * second
        return replace(
            self,
            cell=self.cell * np.array([[first], [second]]),
            fractional=((ij + self.fractional[None]) / np.array([first, second])).reshape(-1, 2),
            numbers=np.tile(self.numbers, (copies, 1)),
            counts=np.tile(self.counts, (copies, 1)),
            heights=np.tile(self.heights, copies),
            layers=np.tile(self.layers, copies),
        )


def library_crystals(*, held_out: bool = False) -> list[Crystal]:
    """Return the built-in crystals as arrays; needs the structure room and so ASE.

    Parameters
    ----------
    held_out : bool
        Return those that are kept for tests instead of those for training.
    """
    from napari_stemprior.structure import built_in
    from napari_stemprior.structure.library import entries

    return [
        crystal_from_prior(built_in(name))
        for name, entry in entries().items()
        if bool(entry.get("held_out", False)) == held_out
    ]


def crystal_from_prior(prior: object) -> Crystal:
    """Turn a `StructurePrior` into arrays."""
    from ase.data import atomic_numbers

    from napari_stemprior.structure import StructurePrior

    assert isinstance(prior, StructurePrior)
    numbers = np.zeros((len(prior.columns), 3))
    counts = np.zeros((len(prior.columns), 3))
    for row, column in enumerate(prior.columns):
        for place, (symbol, count) in enumerate(column.composition[:3]):
            numbers[row, place] = atomic_numbers[symbol]
            counts[row, place] = count
    heights = np.array([column.height for column in prior.columns])
    return Crystal(
        prior.name, prior.cell.copy(), prior.fractional.copy(), numbers, counts, heights, prior.layers.copy()
    )


def save_bank(crystals: list[Crystal], path: Path) -> None:
    """Write crystals as one ``.npz`` of plain arrays.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    arrays: dict[str, NDArray[np.generic]] = {"names": np.array([c.name for c in crystals])}
    for i, c in enumerate(crystals):
        for name in ("cell", "fractional", "numbers", "counts", "heights", "layers"):
            arrays[f"{i}.{name}"] = getattr(c, name)
    with replaced(path) as beside, beside.open("wb") as file:  # savez would add a suffix to a path
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load_bank(path: Path) -> list[Crystal]:
    """Read what `save_bank` wrote."""
    with np.load(path, allow_pickle=False) as data:
        keys = ("cell", "fractional", "numbers", "counts", "heights", "layers")
        return [Crystal(str(n), *(data[f"{i}.{key}"] for key in keys)) for i, n in enumerate(data["names"])]


def random_crystal(rng: np.random.Generator) -> Crystal:
    """Draw a crystal that does not exist, with one to eight columns in a cell of any shape."""
    kind = rng.choice(["hexagonal", "square", "rectangular", "oblique"], p=[0.35, 0.15, 0.25, 0.25])
    a = rng.uniform(2.2, 6.5) if rng.random() < 0.8 else rng.uniform(5.0, 10.0)
    b = a if kind in ("hexagonal", "square") else float(np.clip(a * rng.uniform(0.6, 1.7), 2.0, 11.0))
    angle = {"hexagonal": 120.0, "square": 90.0, "rectangular": 90.0}.get(str(kind), rng.uniform(65, 115))
    t = np.deg2rad(angle)
    cell = np.array([[a, 0.0], [b * np.cos(t), b * np.sin(t)]])
    wanted = int(rng.choice([1, 2, 3, 4, 5, 6, 8], p=[0.18, 0.27, 0.18, 0.15, 0.08, 0.08, 0.06]))
    density = rng.uniform(1.2, 2.6)  # typical distance of this crystal
    places: list[Floats] = []
    for _ in range(60):
        place = np.array([1 / 3, 2 / 3]) * rng.integers(0, 3) if rng.random() < 0.3 else rng.random(2)
        if rng.random() < 0.25:
            place = rng.integers(0, 4, 2) / 4
        if all(nearest_distance(place - q, cell) > max(_MIN_DISTANCE, 0.7 * density) for q in places):
            places.append(np.mod(place, 1.0))
        if len(places) == wanted:
            break
    n = len(places)
    kinds = rng.choice(_ATOMIC_NUMBERS, size=max(1, min(n, int(rng.integers(1, 4)))))
    pick = np.concatenate([np.arange(len(kinds)), rng.integers(0, len(kinds), max(0, n - len(kinds)))])[:n]
    numbers = np.zeros((n, 3))
    counts = np.zeros((n, 3))
    numbers[:, 0] = kinds[pick]
    counts[:, 0] = rng.choice([1, 1, 1, 2, 2, 3], size=len(kinds))[pick]
    mixed = rng.random(n) < 0.1
    numbers[mixed, 1] = np.minimum(rng.choice(_ATOMIC_NUMBERS, size=int(mixed.sum())), numbers[mixed, 0])
    counts[mixed, 1] = 1
    # a layer has heights, a crystal that repeats along the beam has none
    heights = rng.uniform(0, 3, n) if rng.random() < 0.5 else np.zeros(n)
    return Crystal("random", cell, np.array(places), numbers, counts, heights, np.zeros(n, dtype=np.int64))
