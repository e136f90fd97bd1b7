"""Multislice scans of what is no crystal: amorphous films, without and with heavy atoms on them.

``python -m benchmarks.validation.amorphous`` simulates those that are missing in
``benchmarks/validation/data``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from benchmarks.validation.scans import DATA
from napari_stemprior.optics.instrument import PRESETS
from napari_stemprior.optics.multislice.engine import scan_series
from napari_stemprior.optics.multislice.periodic_scan import PeriodicScan
from napari_stemprior.progress import drain

#: Å on a side of the cell, and the thickness of a film. Thicker ones are several films on one another.
SIDE, THICKNESS = 20.0, 10.0
#: Å that the heavy atoms keep from each other on the surface; a bond of platinum is 2.77 Å.
_APART, _BOND = 4.5, 2.77
#: Å of the wave's grid: of 60 kV it still carries 200 mrad, the outer angle of the detector.
_SAMPLING = 0.08
INSTRUMENT = replace(PRESETS["60 kV HAADF"], source_size=0.8)


def film(elements: dict[str, float], density: float, distance: float, seed: int) -> Atoms:
    """Place atoms one after the other where none is too near; periodic across the beam.

    Parameters
    ----------
    elements : dict of str to float
        Share of each.
    density : float
        Atoms per Å³.
    distance : float
        Å that any two keep.
    seed : int
    """
    rng = np.random.default_rng(seed)
    count = round(density * SIDE**2 * THICKNESS)
    places: NDArray[np.float64] = np.empty((0, 3))
    while len(places) < count:
        place = rng.uniform(0, 1, 3) * (SIDE, SIDE, THICKNESS)
        delta = places - place
        delta[:, :2] -= SIDE * np.round(delta[:, :2] / SIDE)
        if not len(places) or (delta**2).sum(1).min() > distance**2:
            places = np.vstack([places, place])
    kinds = rng.choice(list(elements), count, p=list(elements.values()))
    return Atoms(list(kinds), positions=places, cell=(SIDE, SIDE, THICKNESS), pbc=True)


def with_atoms(support: Atoms, element: str, singles: int, cluster: int, seed: int) -> Atoms:
    """Put single atoms and one cluster of touching ones on the side where the beam enters."""
    rng = np.random.default_rng(seed)
    places: list[NDArray[np.float64]] = [rng.uniform(0, SIDE, 2)]
    while len(places) < cluster:
        bearing = rng.uniform(0, 2 * np.pi)
        step = _BOND * np.array([np.cos(bearing), np.sin(bearing)])
        place = places[int(rng.integers(len(places)))] + step
        if min(_across(place, other) for other in places) > 0.95 * _BOND:
            places.append(place)
    while len(places) < cluster + singles:
        place = rng.uniform(0, SIDE, 2)
        if min(_across(place, other) for other in places) > _APART:
            places.append(place)
    height = support.positions[:, 2].max() + 2.0
    heavy = Atoms(f"{element}{len(places)}", positions=[(*np.mod(p, SIDE), height) for p in places])
    whole = support + heavy
    whole.set_cell((SIDE, SIDE, height + 2.0))
    whole.pbc = True
    return whole


def _across(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    delta = one - other
    return float(np.linalg.norm(delta - SIDE * np.round(delta / SIDE)))


def _carbon(seed: int) -> Atoms:
    return film({"C": 1.0}, 0.09, 1.3, seed)  # 1.8 g/cm³


def _silica(seed: int) -> Atoms:
    return film({"Si": 1 / 3, "O": 2 / 3}, 0.066, 1.5, seed)  # 2.2 g/cm³


#: What is simulated, and the element of the atoms that a segmentation should find.
FILMS: dict[str, tuple[Callable[[], Atoms], str]] = {
    "platinum_on_carbon": (lambda: with_atoms(_carbon(33), "Pt", 6, 3, 33), "Pt"),
    "carbon_film": (lambda: _carbon(31), ""),
    "silica_film": (lambda: _silica(32), ""),
    "silver_on_carbon": (lambda: with_atoms(_carbon(34), "Ag", 5, 3, 34), "Ag"),
}


def load_film(name: str) -> tuple[PeriodicScan, NDArray[np.float64]]:
    """Read a scan, source size applied, and the (N, 2) places (x, y) in Å of the heavy atoms in its cell."""
    with np.load(DATA / f"{name}.npz") as file:
        cell = (float(file["cell"][0]), float(file["cell"][1]))
        image = PeriodicScan(file["intensity"].astype(float), cell)
        return image.blurred(INSTRUMENT.source_size), np.asarray(file["atom_xy"], float)


def simulate(name: str) -> None:
    """Simulate a scan and write it beside the others."""
    build, element = FILMS[name]
    atoms, start = build(), time.perf_counter()
    ((image,),) = drain(scan_series(atoms, INSTRUMENT, seed=1, sampling=_SAMPLING))
    heavy = np.array(atoms.get_chemical_symbols()) == element
    DATA.mkdir(exist_ok=True)
    partial = DATA / f".{name}.npz"
    np.savez_compressed(
        partial,
        intensity=image.intensity.astype(np.float32),
        cell=np.array(image.cell),
        atom_xy=atoms.positions[heavy, :2],
    )
    partial.replace(DATA / f"{name}.npz")
    print(f"{name}: {image.intensity.shape} positions, {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    for wanted in FILMS:
        if not (DATA / f"{wanted}.npz").exists():
            simulate(wanted)
