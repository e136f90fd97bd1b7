"""Public CIFs as we read them, beside independent readers: composition and density, or a reason to refuse.

``python -m benchmarks.structures.public_cifs FOLDER... -o out/structures`` reads every CIF below the folders
(the test files of any packages at hand) and compares with pymatgen, where it is installed, and with the
small-structure reader of gemmi, which shares the parser with ours and nothing behind it. Contents are
compared as atoms of each element in a cubic nanometre, so that a primitive and a centred cell agree.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from ase.data import atomic_masses

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.cif import read_cif
from napari_stemprior.structure.elements import ATOMIC_NUMBERS, SYMBOLS
from napari_stemprior.structure.file_checks import check_atoms
from napari_stemprior.structure.projection import site_contents

#: Contents agree within this part, and this many atoms in a cubic nanometre.
_RELATIVE, _ABSOLUTE = 0.01, 0.02
#: Grams in a cubic centimetre, of one atomic mass unit in a cubic ångström.
_DENSITY = 1.66053907

Contents = Mapping[int, float]


@dataclass(frozen=True)
class Reading:
    """What one reader makes of a file.

    Parameters
    ----------
    contents : mapping of int to float
        Atoms of each atomic number in a cell.
    volume : float
        Of the cell, Å³.
    said : str
        Remarks, or why there is nothing.
    """

    contents: Contents
    volume: float
    said: str = ""

    @property
    def density(self) -> float:
        """g/cm³."""
        return _DENSITY * sum(n * atomic_masses[z] for z, n in self.contents.items()) / self.volume

    @property
    def formula(self) -> str:
        """Such as ``Mo2 S4``."""
        return " ".join(
            f"{SYMBOLS[z]}{round(n, 3):g}" for z, n in sorted(self.contents.items(), reverse=True)
        )


@dataclass(frozen=True)
class Row:
    """One file: what we make of it and whom that agrees with."""

    path: Path
    verdict: str
    ours: Reading | None
    others: Mapping[str, Reading]
    reason: str


def read_ours(path: Path) -> Reading:
    """Read as ``stemprior`` does.

    Raises
    ------
    StructureError
        If the file is refused.
    """
    crystal = read_cif(path)
    check_atoms(crystal.atoms, path)
    counts: Counter[int] = Counter()
    for site in site_contents(crystal.atoms):
        for z, part in site:
            counts[z] += part
    return Reading(dict(counts), float(crystal.atoms.get_volume()), " ".join(crystal.remarks))


def read_with_gemmi(path: Path) -> Reading:
    """Read the first block with atoms with gemmi's own reader of small structures."""
    document = gemmi.cif.read(str(path))
    block = next(b for b in document if b.find_values("_atom_site_fract_x"))
    small = gemmi.make_small_structure_from_block(block)
    counts: Counter[int] = Counter()
    for site in small.get_all_unit_cell_sites():
        counts[_number(site.element.name)] += site.occ
    return Reading(dict(counts), float(small.cell.volume))


def read_with_pymatgen(path: Path) -> Reading:
    """Read the first structure with pymatgen."""
    from pymatgen.io.cif import CifParser

    parser = CifParser(path, occupancy_tolerance=1.05)
    structure = parser.parse_structures(primitive=False, on_error="raise", check_occu=True)[0]
    counts: Counter[int] = Counter()
    for site in structure:
        for species, part in site.species.items():
            counts[_number(species.symbol)] += part
    return Reading(dict(counts), float(structure.volume))


def _number(symbol: str) -> int:
    return 1 if symbol == "D" else ATOMIC_NUMBERS[symbol]


def agree(one: Reading, other: Reading) -> bool:
    """Tell whether two readings hold the same atoms in the same volume."""
    for z in {*one.contents, *other.contents}:
        a = 1000 * one.contents.get(z, 0.0) / one.volume
        b = 1000 * other.contents.get(z, 0.0) / other.volume
        if abs(a - b) > _RELATIVE * max(a, b) + _ABSOLUTE:
            return False
    return True


def compared(path: Path, readers: Mapping[str, Callable[[Path], Reading]]) -> Row:
    """Read one file with every reader."""
    others, failures = {}, []
    for name, reader in readers.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                others[name] = reader(path)
        except Exception as error:
            failures.append(f"{name}: {type(error).__name__}")
    try:
        ours = read_ours(path)
    except StructureError as error:
        return Row(path, "refused", None, others, str(error).removeprefix(f"{path}: "))
    same = [name for name, other in others.items() if agree(ours, other)]
    if same:
        return Row(path, "as " + " and ".join(same), ours, others, ours.said)
    verdict = "differs" if others else "no other reads it"
    return Row(path, verdict, ours, others, ours.said or "; ".join(failures))


def files_below(folders: Iterable[Path]) -> list[Path]:
    """List the CIFs below folders, each content once."""
    seen: set[bytes] = set()
    files = []
    for folder in folders:
        found = [folder] if folder.is_file() else sorted(folder.rglob("*"))
        for path in found:
            if path.is_file() and path.name.lower().endswith((".cif", ".mcif")):
                digest = hashlib.sha256(path.read_bytes()).digest()
                if digest not in seen:
                    seen.add(digest)
                    files.append(path)
    return files


def table(rows: list[Row]) -> str:
    """Count the verdicts, and list every file that is not read as another reads it."""
    counts = Counter(row.verdict for row in rows)
    lines = ["| verdict | files |", "|---|---|", *(f"| {v} | {n} |" for v, n in counts.most_common())]
    lines += ["", "| file | ours | others | reason or remark |", "|---|---|---|---|"]
    for row in rows:
        if row.verdict.startswith("as ") and not row.reason:
            continue
        ours = "refused" if row.ours is None else f"{row.ours.formula}, {row.ours.density:.3f} g/cm³"
        others = "; ".join(f"{n} {r.formula}, {r.density:.3f}" for n, r in row.others.items()) or "none"
        if row.verdict.startswith("as "):
            others = row.verdict
        lines.append(
            f"| {row.path.name} | {ours} | {others} | {row.reason.replace(str(row.path) + ': ', '')} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Compare, print the table and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="table.md and files.csv go here")
    options = parser.parse_args()
    readers: dict[str, Callable[[Path], Reading]] = {"gemmi": read_with_gemmi}
    try:
        import pymatgen  # noqa: F401

        readers = {"pymatgen": read_with_pymatgen, **readers}
    except ImportError:
        print("pymatgen is not installed; gemmi alone is asked", file=sys.stderr)
    start = time.perf_counter()
    rows = [compared(path, readers) for path in files_below(options.folders)]
    text = table(rows)
    print(text)
    print(f"\n{len(rows)} files in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "table.md").write_text(text + "\n", encoding="utf-8")
        with (options.output / "files.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "verdict", "contents", "density_g_cm3", "reason"])
            for row in rows:
                density = "" if row.ours is None else f"{row.ours.density:.4f}"
                contents = "" if row.ours is None else row.ours.formula
                writer.writerow([row.path.name, row.verdict, contents, density, row.reason])


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
