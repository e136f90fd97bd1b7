"""Positions, shapes and strain beside those of other programs, on the same image, in one run.

``python -m benchmarks.measurement.rivals --environments out/rival_environments -o out/measurement`` prints a
table; each environment is a folder with a Python of its own, see benchmarks/README.md. One that is not there
is left out.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.measurement.specimens import PIXEL_SIZE, SIDE, STEP, Specimen, specimen
from napari_stemprior.atoms import AtomTable
from napari_stemprior.measurement.column_fit import fit_columns
from napari_stemprior.measurement.displacements import displacements
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.measurement.reference_lattice import reference_lattice
from napari_stemprior.measurement.strain import local_strain
from napari_stemprior.registration import LatticeFit

Floats = NDArray[np.float64]
Row = tuple[str, str, str, float, float, float, float]

#: Pixels of a side of the part that is measured, around the step of strain, and Å from its edges left out.
_PART, _EDGE = 400, 5.0
#: Å next to the step where a map of finite resolution must be wrong.
_WALL = 10.0
_DOSE = 1e4


def compared(environments: Path, dose: float = _DOSE) -> list[Row]:
    """Return rows of quantity, unit, program, n, bias, error, and seconds of the processor.

    Parameters
    ----------
    environments : pathlib.Path
    dose : float
        e/Å².
    """
    case = specimen("strain")
    rng = np.random.default_rng(0)
    low = (SIDE - _PART) // 2
    image = case.recorded(dose, rng)[low : low + _PART, low : low + _PART]
    yx = case.yx - low
    on = ((yx > 1) & (yx < _PART - 2)).all(1)
    yx, column = yx[on], case.column[on]
    start = yx + np.clip(rng.normal(size=yx.shape) * 0.1, -0.25, 0.25) / PIXEL_SIZE
    begun = time.process_time()
    fit = fit_columns(image, AtomTable.from_positions(start, PIXEL_SIZE))
    fitted = time.process_time() - begun
    ours = np.where(np.isfinite(fit.yx), fit.yx, start)
    bright = column < 2
    inner = ((yx * PIXEL_SIZE > _EDGE) & (yx * PIXEL_SIZE < _PART * PIXEL_SIZE - _EDGE)).all(1)
    strains, seconds = _our_strain(case, ours + low, column, fit.position_error)
    clean = fit_columns(
        np.asarray(case.image[low : low + _PART, low : low + _PART], float),
        AtomTable.from_positions(yx, PIXEL_SIZE),
    )
    rows: list[Row] = []
    rows += _positions("napari-stemprior", ours, yx, column, inner, fitted)
    own = inner & (column == 0)
    rows.append(_row("width, Sr", "Å", "napari-stemprior", (fit.width - clean.width)[own], fitted))
    reciprocal = np.linalg.inv(_vectors(case)).T
    given = {
        "image": image, "yx": start[bright], "true_yx": yx[bright], "our_yx": ours[bright],
        "group": column[bright],
        "pixel_size": PIXEL_SIZE, "peaks": reciprocal[:, ::-1],
    }  # fmt: skip
    left = own & (yx[:, 1] * PIXEL_SIZE < _PART * PIXEL_SIZE / 2 - _WALL)
    vectors = _local_vectors(ours, column == 0, _vectors(case))
    known = np.isfinite(vectors).all((1, 2))
    given |= {"vectors": vectors[known], "reference": np.mean(vectors[known & left], axis=0)}
    rows += _strain_rows("napari-stemprior", strains, yx, own, fitted + seconds)
    if (other := _run(environments, "atomap", given)) is not None:
        theirs = np.full(yx.shape, np.nan)
        theirs[bright] = other["yx"]
        rows += _positions("Atomap", theirs, yx, column, inner, float(other["seconds"]))
        sigma = np.full(len(yx), np.nan)
        sigma[bright] = other["sigma"] * PIXEL_SIZE
        rows.append(_row("width, Sr", "Å", "Atomap", (sigma - clean.width)[own], float(other["seconds"])))
        true = other["spacing_true"]
        for program, name, took in (
            ("napari-stemprior", "ours", fitted), ("Atomap", "theirs", float(other["seconds"]))
        ):  # fmt: skip
            rows.append(_spacing(program, other[f"spacing_{name}"], true, took))
    if (other := _run(environments, "singleorigin", given)) is not None:
        theirs, sigma = np.full(yx.shape, np.nan), np.full(len(yx), np.nan)
        theirs[bright], sigma[bright] = other["yx"], other["sigma"] * PIXEL_SIZE
        took = float(other["seconds"])
        rows += _positions("SingleOrigin", theirs, yx, column, inner, took)
        rows.append(_row("width, Sr", "Å", "SingleOrigin", (sigma - clean.width)[own], took))
    if (other := _run(environments, "temul", given, "atomap")) is not None:
        true, took = other["strain_true"], float(other["seconds"])
        for program, name, seconds_of in (
            ("napari-stemprior", "ours", fitted), ("TEMUL", "theirs", took)
        ):  # fmt: skip
            off = _off_truth(other[f"strain_{name}"], true)
            rows.append(_row("strain across planes, Sr", "%", program, off, seconds_of))
    for program, name in (("py4DSTEM", "py4dstem"), ("pyxem", "pyxem")):
        if (other := _run(environments, name, given)) is not None:
            maps = {key: np.full(len(yx), np.nan) for key in ("exx", "eyy", "exy")}
            for key, values in maps.items():
                values[known] = other[key]
            rows += _strain_rows(program, maps, yx, own, fitted + float(other["seconds"]))
    if (other := _run(environments, "kemstem", given)) is not None:
        at = np.rint(yx).astype(int)
        maps = {name: other[name][at[:, 0], at[:, 1]] for name in ("exx", "eyy", "exy")}
        strained = {name: values - np.median(values[left]) for name, values in maps.items()}
        rows += _strain_rows("kemstem", strained, yx, own, float(other["seconds"]))
    return sorted(rows, key=lambda row: row[0])


def _vectors(case: Specimen) -> Floats:
    prior, pose = case.prior, case.pose
    ends = pose.to_pixels(np.concatenate([np.zeros((1, 2)), prior.cell]))[:, ::-1] * PIXEL_SIZE
    return np.asarray(ends[1:] - ends[0])


def _our_strain(
    case: Specimen, yx: Floats, column: NDArray[np.int64], sigma: Floats
) -> tuple[dict[str, Floats], float]:
    prior, pose = case.prior, case.pose
    begun = time.process_time()
    atoms = AtomTable.from_positions(yx, PIXEL_SIZE, element=[prior.columns[i].element for i in column])
    indices = index_atoms(atoms, LatticeFit(prior, (pose,)))
    reference = reference_lattice(atoms, indices, [(0, 0), (SIDE, SIDE / 2 - _WALL / PIXEL_SIZE)])
    strain = local_strain(indices, displacements(atoms, indices, reference, sigma))
    return {"exx": strain.xx, "eyy": strain.yy, "exy": strain.xy}, time.process_time() - begun


def _local_vectors(yx: Floats, own: NDArray[np.bool_], vectors: Floats) -> Floats:
    """Return (N, 2, 2) lattice vectors (x, y) in Å at the atoms of a sublattice, from their neighbours."""
    xy = yx[:, ::-1] * PIXEL_SIZE
    tree = cKDTree(xy[own])
    out = np.full((len(xy), 2, 2), np.nan)
    for number, vector in enumerate(vectors):
        ends = []
        for sign in (1, -1):
            distance, index = tree.query(xy[own] + sign * vector)
            at = np.asarray(xy[own][index])
            at[np.asarray(distance) > 0.8] = np.nan
            ends.append(at)
        out[own, number] = (ends[0] - ends[1]) / 2
    return out


def _run(
    environments: Path, name: str, given: dict[str, object], environment: str = ""
) -> dict[str, NDArray[np.float64]] | None:
    python = environments / (environment or name) / "bin" / "python"
    if not python.exists():
        print(f"{name}: no environment {python.parent.parent}, left out")
        return None
    with tempfile.TemporaryDirectory() as folder:
        there, back = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(there, **given)  # type: ignore[arg-type]
        script = Path(__file__).with_name("rival_programs.py")
        done = subprocess.run(
            [python, script, name, there, back], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"{name} failed: {done.stderr.strip().splitlines()[-1]}")
            return None
        with np.load(back) as data:
            return dict(data)


def _row(quantity: str, unit: str, program: str, off: Floats, seconds: float) -> Row:
    off = off[np.isfinite(off)].ravel()
    return quantity, unit, program, len(off), float(off.mean()), float(np.sqrt((off**2).mean())), seconds


def _positions(
    program: str,
    found: Floats,
    true: Floats,
    column: NDArray[np.int64],
    inner: NDArray[np.bool_],
    seconds: float,
) -> list[Row]:
    return [
        _row(f"position, {name}", "Å", program, (found - true)[inner & (column == i)] * PIXEL_SIZE, seconds)
        for i, name in enumerate(("Sr", "Ti/O"))
    ]


def _strain_rows(
    program: str, found: dict[str, Floats], yx: Floats, own: NDArray[np.bool_], seconds: float
) -> list[Row]:
    x = yx[:, 1] * PIXEL_SIZE - _PART * PIXEL_SIZE / 2
    far = own & (np.abs(x) > _WALL / 2)
    truth = {"exx": STEP[0], "eyy": 0.0, "exy": STEP[1] / 2}
    label = {"exx": "εxx", "eyy": "εyy", "exy": "εxy"}
    return [
        _row(label[name], "%", program, 100 * (values - np.where(x > 0, truth[name], 0.0))[far], seconds)
        for name, values in found.items()
    ]


def _spacing(program: str, found: Floats, true: Floats, seconds: float) -> Row:
    """Compare distances between neighbouring planes at the same places."""
    off = _off_truth(found, true) * PIXEL_SIZE
    return _row("distance to the next plane, Sr", "Å", program, off, seconds)


def _off_truth(found: Floats, true: Floats) -> Floats:
    """Return how far values are off the true ones at the same places, of rows x, y, value."""
    distance, index = cKDTree(true[:, :2]).query(found[:, :2])
    same = np.asarray(distance) < 0.5 / PIXEL_SIZE
    return np.asarray(found[same, 2] - true[np.asarray(index)[same], 2])


def report(rows: list[Row]) -> str:
    """Return the table as Markdown."""
    lines = ["| quantity | program | n | bias | RMSE | s of CPU |", "|---|---|---:|---:|---:|---:|"]
    lines += [
        f"| {quantity} | {program} | {n:.0f} | {bias:.2g} {unit} | {error:.2g} {unit} | {seconds:.2f} |"
        for quantity, unit, program, n, bias, error, seconds in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--environments", type=Path, default=Path("out/rival_environments"))
    parser.add_argument("--dose", type=float, default=_DOSE, help="e/Å² (default 10⁴)")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/measurement"))
    options = parser.parse_args()
    text = report(compared(options.environments, options.dose))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "rivals.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
