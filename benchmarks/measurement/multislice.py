"""Crystals whose numbers are known, imaged by multislice with frozen phonons; each cell once, and kept.

``python -m benchmarks.measurement.multislice -o out/measurement/scans`` simulates what is missing there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from numpy.typing import NDArray

from benchmarks.measurement.specimens import OFF_CENTRE
from benchmarks.validation.scans import THICK
from napari_stemprior.optics.multislice.engine import scan_series
from napari_stemprior.optics.multislice.periodic_scan import PeriodicScan
from napari_stemprior.progress import drain

Floats = NDArray[np.float64]

#: Å: lattice constants of SrTiO3 and gold at room temperature (Wyckoff, Crystal Structures, 1963).
STO, GOLD = 3.905, 4.0786
#: Å along one direction, from the Debye-Waller factors at room temperature, sqrt(B / 8 π²).
_SHAKEN = {"Sr": 0.089, "Ti": 0.075, "O": 0.095, "Au": 0.085}
PHONONS = 4
#: Repeats along the beam: of SrTiO3, and up to how many atoms a column of gold has.
_DEEP, MOST_ATOMS = 13, 16
#: Gold is imaged with a source of this width (Å) more than the aperture gives.
INSTRUMENT = replace(THICK, source_size=0.7)


def strontium_titanate(off_centre: tuple[float, float] = (0.0, 0.0)) -> Atoms:
    """Return SrTiO3 [001] with Ti (and the oxygen of its column) off the centre by (x, y) in Å."""
    a = STO
    place = np.array(
        [(0, 0, 0), (a / 2, a / 2, a / 2), (a / 2, a / 2, 0), (a / 2, 0, a / 2), (0, a / 2, a / 2)]
    )
    place[1:3, :2] += off_centre
    place[:, 2] += 0.5
    cell = Atoms("SrTiO3", positions=place, cell=[a, a, a], pbc=True)
    return cell * (1, 1, _DEEP)


def gold() -> Atoms:
    """Return gold along [001]: four columns half a cell apart, an atom more with each repeat."""
    return bulk("Au", "fcc", a=GOLD, cubic=True) * (1, 1, MOST_ATOMS)


def scans(folder: Path, names: Sequence[str] = ("perfect", "polar", "gold")) -> dict[str, list[PeriodicScan]]:
    """Return the scans by name, one a depth, of those that are kept or simulated now.

    Parameters
    ----------
    folder : pathlib.Path
        Where they are kept.
    names : sequence of str
        Which of ``"perfect"`` and ``"polar"`` SrTiO3, and ``"gold"`` of one atom a column to 16.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted: dict[str, tuple[Atoms, Sequence[float] | None, float]] = {
        "perfect": (strontium_titanate(), None, STO),
        "polar": (strontium_titanate(OFF_CENTRE), None, STO),
        "gold": (gold(), [GOLD * (i + 1) for i in range(MOST_ATOMS)], GOLD),
    }
    found = {}
    for name in names:
        atoms, depths, period = wanted[name]
        path = folder / f"{name}.npz"
        if not path.exists():
            begin = time.process_time()
            work = scan_series(
                atoms, INSTRUMENT, depths=depths, period=period, phonons=PHONONS, displacement=_SHAKEN
            )
            result = [row[0] for row in drain(work, lambda _: None)]
            np.savez_compressed(path, cell=result[0].cell, intensity=[one.intensity for one in result])
            print(f"{name}: {time.process_time() - begin:.0f} s of CPU", flush=True)
        with np.load(path) as kept:
            cell = (float(kept["cell"][0]), float(kept["cell"][1]))
            found[name] = [PeriodicScan(one, cell) for one in kept["intensity"]]
    return found


def main() -> None:
    """Simulate what is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("out/measurement/scans"))
    scans(parser.parse_args().output)


if __name__ == "__main__":
    main()
