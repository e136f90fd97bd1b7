"""Multislice scans of one cell each, simulated once and kept: everything else is drawn from them.

``python -m benchmarks.validation.scans`` simulates those that are missing in ``benchmarks/validation/data``;
with names, these anew.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from ase import Atoms

from benchmarks.validation.specimens import (
    Columns,
    along,
    along_110,
    bilayer,
    columns_of,
    prior_of,
    rectangular,
    rhenium_disulfide,
    with_vacancies,
)
from napari_stemprior.optics.instrument import PRESETS, Instrument
from napari_stemprior.optics.multislice.engine import scan
from napari_stemprior.optics.multislice.periodic_scan import PeriodicScan
from napari_stemprior.progress import Progress, drain
from napari_stemprior.structure import StructurePrior, built_in

DATA = Path(__file__).parent / "data"

#: 150 mrad is the highest angle at which the wave's grid of 0.05 Å still carries the beam.
THICK = Instrument("200 kV HAADF", 200, 21, 70, 150, source_size=0.6)
LAYER = replace(PRESETS["60 kV HAADF"], source_size=0.7)
ANNULAR = replace(PRESETS["60 kV MAADF"], source_size=0.6)


@dataclass(frozen=True)
class Specimen:
    """What is simulated and how.

    Parameters
    ----------
    build : callable
        Returns the atoms in a rectangular cell and, if any, the missing columns.
    prior : str
        Built-in prior, or the name of the prior made from the atoms themselves.
    instrument : Instrument
    phonons : int
    displacement : dict
        Å, from the Debye-Waller factors at room temperature, sqrt(B / 8 π²).
    perfect : str
        The specimen without the vacancies, of which a prior from the atoms is made; this one by default.
    """

    build: Callable[[], tuple[Atoms, Columns | None]]
    prior: str
    instrument: Instrument = LAYER
    phonons: int = 0
    displacement: dict[str, float] = field(default_factory=dict)
    perfect: str = ""

    @property
    def prior_object(self) -> StructurePrior:
        """The prior of the perfect crystal."""
        if " on " not in self.prior:
            return built_in(self.prior)
        whole = SPECIMENS[self.perfect] if self.perfect else self
        return prior_of(whole.build()[0], self.prior, "stacked for this benchmark")


def _vacant(name: str, repeat: tuple[int, int, int], seed: int, single: float) -> tuple[Atoms, Columns]:
    return with_vacancies(rectangular(name) * repeat, 0.05, np.random.default_rng(seed), single=single)


def _twisted() -> Atoms:
    return bilayer("WSe2", "WSe2", twisted=True, shift=(0.4, 0.9))


def _vacant_below() -> tuple[Atoms, Columns]:
    """Empty 8 % of the columns of the lower layer, mainly of selenium."""
    rng = np.random.default_rng(15)
    return with_vacancies(_twisted() * (3, 2, 1), 0.08, rng, layer=1, seldom={"W": 0.25})


SPECIMENS: dict[str, Specimen] = {
    "wse2": Specimen(lambda: (rectangular("WSe2"), None), "WSe2"),
    "graphene": Specimen(lambda: (rectangular("graphene"), None), "graphene", ANNULAR),
    "mose2_on_ws2": Specimen(
        lambda: (bilayer("MoSe2", "WS2", twisted=False, shift=(0.8, 0.5)), None), "MoSe2 on WS2"
    ),
    "wse2_twisted": Specimen(lambda: (_twisted(), None), "WSe2 on WSe2"),
    "wse2_twisted_vacancies": Specimen(_vacant_below, "WSe2 on WSe2", perfect="wse2_twisted"),
    "mos2_twisted": Specimen(
        lambda: (bilayer("MoS2", "MoS2", twisted=True, shift=(0.5, 0.3)), None), "MoS2 on MoS2"
    ),
    "gaas_110": Specimen(
        lambda: (along_110("GaAs [110]", 59.0), None), "GaAs [110]", THICK, 3, {"Ga": 0.091, "As": 0.085}
    ),
    "srtio3_110": Specimen(
        lambda: (along_110("SrTiO3 [110]", 55.0), None),
        "SrTiO3 [110]",
        THICK,
        3,
        {"Sr": 0.089, "Ti": 0.075, "O": 0.095},
    ),
    "tio2_001": Specimen(
        lambda: (along("TiO2 rutile [001]", (1, 0, 0), (0, 1, 0), (0, 0, 1), 60.0), None),
        "TiO2 rutile [001]",
        THICK,
        3,
        {"Ti": 0.075, "O": 0.08},
    ),
    "licoo2_1120": Specimen(
        lambda: (along("LiCoO2 [11-20]", (0, 0, 1), (1, -1, 0), (1, 1, 0), 50.0), None),
        "LiCoO2 [11-20]",
        THICK,
        3,
        {"Li": 0.11, "Co": 0.065, "O": 0.08},
    ),
    "wte2": Specimen(lambda: (rectangular("1T'-WTe2"), None), "1T'-WTe2"),
    "res2": Specimen(lambda: (rhenium_disulfide(), None), "ReS2"),
    "wte2_vacancies": Specimen(lambda: _vacant("1T'-WTe2", (8, 4, 1), 14, 0.0), "1T'-WTe2"),
    "wse2_vacancies": Specimen(lambda: _vacant("WSe2", (8, 5, 1), 11, 0.05), "WSe2"),
    "ws2_vacancies": Specimen(lambda: _vacant("WS2", (10, 6, 1), 12, 0.06), "WS2"),
    "graphene_vacancies": Specimen(lambda: _vacant("graphene", (9, 5, 1), 13, 0.0), "graphene", ANNULAR),
}


@dataclass(frozen=True)
class KnownScan:
    """A scan together with its atoms."""

    scan: PeriodicScan
    columns: Columns
    vacancies: Columns | None


def load(name: str) -> KnownScan:
    """Read a scan, source size applied."""
    with np.load(DATA / f"{name}.npz") as file:
        cell = (float(file["cell"][0]), float(file["cell"][1]))
        parts = [
            Columns(file[f"{p}_xy"], file[f"{p}_element"], file[f"{p}_site"], file[f"{p}_layer"], cell)
            for p in ("column", "vacancy")
        ]
        image = PeriodicScan(file["intensity"].astype(float), cell)
    blurred = image.blurred(SPECIMENS[name].instrument.source_size)
    return KnownScan(blurred, parts[0], parts[1] if len(parts[1].xy) else None)


def simulate(name: str) -> None:
    """Simulate a scan and write it beside the others."""
    specimen = SPECIMENS[name]
    atoms, missing = specimen.build()
    start = time.perf_counter()

    def tell(progress: Progress) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{name}: {progress.done}/{progress.total} ")

    work = scan(
        atoms, specimen.instrument, phonons=specimen.phonons, displacement=specimen.displacement, seed=1
    )
    image = drain(work, tell)
    arrays = {"intensity": image.intensity.astype(np.float32), "cell": np.array(image.cell)}
    none = Columns(np.empty((0, 2)), np.empty(0, str), np.empty(0, str), np.empty(0, np.int64), image.cell)
    for prefix, columns in (("column", columns_of(atoms)), ("vacancy", missing or none)):
        for key in ("xy", "element", "site", "layer"):
            arrays[f"{prefix}_{key}"] = getattr(columns, key)
    DATA.mkdir(exist_ok=True)
    partial = DATA / f".{name}.npz"
    np.savez_compressed(partial, **arrays)
    partial.replace(DATA / f"{name}.npz")
    print(f"{name}: {image.intensity.shape} positions, {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"simulate again: {', '.join(SPECIMENS)}")
    named = parser.parse_args().names
    for unknown in set(named) - set(SPECIMENS):
        parser.error(f"there is no specimen {unknown}")
    for wanted in named or [n for n in SPECIMENS if not (DATA / f"{n}.npz").exists()]:
        simulate(wanted)
