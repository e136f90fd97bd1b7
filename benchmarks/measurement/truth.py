"""Measurements against truth at four doses: bias, error, coverage; and their times. One command.

``python -m benchmarks.measurement.truth -o out/measurement`` writes ``measurement.md`` and
``measurement.csv``.
The atoms are found again by the fit of the columns, which starts 0.1 Å off their true places; that every atom
has been found is taken for granted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.measurement.specimens import (
    PIXEL_SIZE,
    SIDE,
    SINGLE,
    STEP,
    Specimen,
    displacement,
    specimen,
)
from napari_stemprior.atoms import AtomTable
from napari_stemprior.kept_memory import keep_freed_memory
from napari_stemprior.measurement.clustering import pair_correlation
from napari_stemprior.measurement.column_fit import ColumnFit, fit_columns
from napari_stemprior.measurement.column_tails import wide_image
from napari_stemprior.measurement.defects import concentrations, find_defects
from napari_stemprior.measurement.displacements import displacements
from napari_stemprior.measurement.intensities import cell_intensities
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.measurement.mixture import fit_mixture
from napari_stemprior.measurement.neighbours import neighbour_distances
from napari_stemprior.measurement.polarisation import polarisation
from napari_stemprior.measurement.reference_lattice import reference_lattice
from napari_stemprior.measurement.scan_errors import scan_errors, without_scan_errors
from napari_stemprior.measurement.strain import local_strain
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import built_in

Floats = NDArray[np.float64]

#: Electrons per Å².
DOSES = (1e3, 3e3, 1e4, 1e5)
#: Å from the edge within which nothing is compared, and from an interface.
_EDGE, _WALL = 4.0, 10.0
#: Repeats of the small specimens.
_SEEDS = 10
#: Atoms of the timings.
MANY = 100_000
#: Å: standard deviation of their columns.
_WIDTH = 0.45


def _row(quantity: str, unit: str, dose: float, off: Floats, error: Floats) -> dict[str, object]:
    """Return bias, error and coverage of deviations from the truth."""
    off, error = (np.asarray(a, float).ravel() for a in np.broadcast_arrays(off, error))
    known = np.isfinite(off) & np.isfinite(error)
    off, error = off[known], error[known]
    return {
        "quantity": quantity, "unit": unit, "dose": dose, "n": len(off), "bias": off.mean(),
        "rmse": np.sqrt((off**2).mean()), "stated": np.sqrt((error**2).mean()),
        "coverage": (np.abs(off) <= 1.96 * error).mean(),
    }  # fmt: skip


def _found(case: Specimen, image: Floats, rng: np.random.Generator) -> tuple[AtomTable, ColumnFit, Floats]:
    """Fit the columns from places near the true ones; those that could not be fitted keep those places."""
    start = case.yx + rng.normal(size=case.yx.shape) * 0.1 / PIXEL_SIZE
    fit = fit_columns(image, AtomTable.from_positions(start, PIXEL_SIZE))
    yx = np.where(np.isfinite(fit.yx), fit.yx, start)
    elements = [case.prior.columns[i].element for i in case.column]
    return AtomTable.from_positions(yx, PIXEL_SIZE, element=elements), fit, fit.position_error


def _lattice(case: Specimen, dose: float, seed: int) -> list[dict[str, object]]:
    rng = np.random.default_rng([seed, int(dose)])
    atoms, fit, sigma = _found(case, case.recorded(dose, rng), rng)
    lattice = LatticeFit(case.prior, (case.pose,))
    indices = index_atoms(atoms, lattice)
    # the truth is what the true atoms measure, in the same axes and against the same reference
    true_atoms = AtomTable.from_positions(case.yx, PIXEL_SIZE)
    half = [(0, 0), (SIDE, SIDE / 2 - _WALL / PIXEL_SIZE)] if case.name == "strain" else None
    reference = reference_lattice(atoms, indices, half)
    moved = displacements(atoms, indices, reference, sigma)
    xy = case.yx[:, ::-1] * PIXEL_SIZE
    inner = ((xy > _EDGE) & (xy < SIDE * PIXEL_SIZE - _EDGE)).all(1) & (fit.reason == "")
    wall = np.abs(xy[:, 0] - SIDE * PIXEL_SIZE / 2) < _WALL
    rows = []
    if case.name == "perfect":
        # oxygen columns hardly show in HAADF; the rest is what a person would measure
        for label, of in (("Sr", case.column == 0), ("Ti/O", case.column == 1)):
            own = inner & of
            off = (atoms.yx - case.yx)[own] * PIXEL_SIZE
            rows.append(_row(f"position, {label}", "Å", dose, off, moved.position_error[own, None]))
            rows.append(_row(f"displacement, {label}", "Å", dose, moved.xy[own], moved.error[own, None]))
        distances = neighbour_distances(atoms, indices, moved.position_error, fit)
        true = neighbour_distances(true_atoms, index_atoms(true_atoms, lattice), np.full(len(atoms), 1e-9))
        own = inner & (case.column == 0)
        rows.append(
            _row(
                "neighbour distance, Sr",
                "Å",
                dose,
                (distances.mean - true.mean)[own],
                distances.mean_error[own],
            )
        )
        clean = fit_columns(case.image, AtomTable.from_positions(case.yx, PIXEL_SIZE))
        cells = cell_intensities(case.recorded(dose, rng), atoms, fit.noise)
        ideal = cell_intensities(case.image, true_atoms)
        for name, unit, off, error in (
            (
                "fitted volume, Sr",
                "%",
                (fit.volume / clean.volume - 1) * 100,
                fit.volume_error / clean.volume * 100,
            ),
            (
                "cell intensity, Sr",
                "%",
                (cells.value - ideal.value) / ideal.value * 100,
                cells.error / ideal.value * 100,
            ),
            ("width, Sr", "Å", fit.width - clean.width, fit.width_error),
        ):
            rows.append(_row(name, unit, dose, off[own], error[own]))
    if case.name in ("perfect", "strain"):
        strain = local_strain(indices, moved)
        right = xy[:, 0] > SIDE * PIXEL_SIZE / 2
        own = inner & ~wall & (case.column <= 1)
        step = np.where(right, 1.0, 0.0) if case.name == "strain" else np.zeros(len(right))
        for name, truth, scale, unit in (
            ("xx", STEP[0], 100, "%"), ("yy", 0.0, 100, "%"), ("xy", STEP[1] / 2, 100, "%"),
            ("rotation", np.rad2deg(STEP[1] / 2), 1, "°"),
        ):  # fmt: skip
            off = (getattr(strain, name) - truth * step) * scale
            error = getattr(strain, f"{name}_error") * scale
            label = {"rotation": "rotation"}.get(name, f"ε{name}")
            rows.append(_row(f"{label}, {case.name}", unit, dose, off[own], error[own]))
    if case.name == "polar":
        polar = polarisation(atoms, indices, moved.position_error, centre="Ti", cage="Sr")
        truth = displacement("polar", case.column[polar.atom], xy[polar.atom])
        own = (inner & ~wall)[polar.atom]
        rows.append(
            _row(
                f"off-centring, Ti in Sr ({polar.state})",
                "Å",
                dose,
                (polar.xy - truth)[own],
                polar.error[own, None],
            )
        )
    return rows


def _vacancies(dose: float, seeds: int) -> dict[str, object]:
    off, covered, stated, reasons = [], [], [], 0
    for seed in range(seeds):
        case = specimen("vacancies", seed)
        rng = np.random.default_rng([seed, int(dose), 1])
        image = case.recorded(dose, rng)
        atoms, fit, _ = _found(case, image, rng)
        cells = cell_intensities(image, atoms, fit.noise)
        found = find_defects(atoms, LatticeFit(case.prior, (case.pose,)), (SIDE, SIDE), cells.value)
        (share,) = [c for c in concentrations(found) if c.kind == "partial vacancy"]
        if share.reason:
            reasons += 1
            continue
        off.append(share.share.value - SINGLE)
        covered.append(share.share.low <= SINGLE <= share.share.high)
        stated.append((share.share.high - share.share.low) / 3.92)
    if not off:
        return {"quantity": "S2 columns with one S", "unit": "%", "dose": dose, "n": 0, "bias": np.nan,
                "rmse": np.nan, "stated": np.nan, "coverage": np.nan}  # fmt: skip
    return {
        "quantity": "S2 columns with one S", "unit": "%", "dose": dose, "n": len(off),
        "bias": 100 * np.mean(off), "rmse": 100 * np.sqrt(np.mean(np.square(off))),
        "stated": 100 * np.mean(stated), "coverage": np.mean(covered),
    }  # fmt: skip


def timings(count: int = MANY) -> pd.DataFrame:
    """Return the seconds of each measurement of so many atoms, of the processors and by the clock."""
    keep_freed_memory()  # as the command does
    prior, size = built_in("SrTiO3 [001]"), 0.2
    pose = Pose.from_angle(10, size, (3, 4), score=0.9)
    side = int(np.sqrt(count * prior.area / len(prior.columns)) / size)
    yx, column = pose.columns(prior, (side, side))
    rng = np.random.default_rng(0)
    atoms = AtomTable.from_positions(
        yx + rng.normal(size=yx.shape) * 0.02 / size, size, element=[prior.columns[i].element for i in column]
    )
    bright = np.array([{"Sr": 1.0, "Ti": 0.7}.get(prior.columns[i].element, 0.1) for i in column])
    clean = 0.02 + 0.1 * wide_image((side, side), yx, bright, _WIDTH / size)
    image = rng.poisson(clean * 1e4 * size**2) / (1e4 * size**2)
    noise = rng.poisson(20.0, (side, side)).astype(float)
    fit = LatticeFit(prior, (pose,))
    indices = index_atoms(atoms, fit)
    reference = reference_lattice(atoms, indices)
    moved = displacements(atoms, indices, reference)
    scan = scan_errors(atoms, indices, moved)
    keep = rng.random(len(atoms)) > 0.02
    bright = rng.normal(1, 0.1, len(atoms))
    found = find_defects(atoms.where(keep), fit, (side, side), bright[keep])
    places = found.of("vacancy")[["y_angstrom", "x_angstrom"]].to_numpy(float)
    tasks: list[tuple[str, Callable[[], object]]] = [
        ("lattice indices", lambda: index_atoms(atoms, fit)),
        ("reference", lambda: reference_lattice(atoms, indices)),
        ("displacements", lambda: displacements(atoms, indices, reference)),
        ("strain and rotation", lambda: local_strain(indices, moved)),
        ("neighbour distances", lambda: neighbour_distances(atoms, indices, moved.position_error)),
        ("off-centring", lambda: polarisation(atoms, indices, moved.position_error, centre="Ti", cage="Sr")),
        ("scan errors", lambda: scan_errors(atoms, indices, moved)),
        ("scan errors taken out", lambda: without_scan_errors(atoms, indices, moved, scan)),
        ("defects", lambda: find_defects(atoms.where(keep), fit, (side, side), bright[keep])),
        ("pair correlation", lambda: pair_correlation(places, found.examined.yx * size)),
        ("mixture of intensities", lambda: fit_mixture(bright)),
        ("Voronoi intensities", lambda: cell_intensities(image, atoms)),
        ("fit of the columns", lambda: fit_columns(image, atoms)),
        ("fit of the columns, where there is noise alone", lambda: fit_columns(noise, atoms)),
    ]
    rows = []
    for name, task in tasks:
        start, clock = time.process_time(), time.perf_counter()
        task()
        seconds = {"seconds": time.process_time() - start, "clock": time.perf_counter() - clock}
        rows.append({"measurement": name} | seconds)
    return pd.DataFrame(rows)


def report(rows: pd.DataFrame, seconds: pd.DataFrame) -> str:
    """Return the tables as Markdown."""
    lines = (
        []
        if rows.empty
        else [
            "| quantity | dose (e/Å²) | n | bias | RMSE | stated | coverage of 95 % |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
    )
    for row in rows.itertuples():
        numbers = [f"{v:.2g} {row.unit}" if np.isfinite(v) else "–" for v in (row.bias, row.rmse, row.stated)]
        share = f"{100 * row.coverage:.1f} %" if np.isfinite(row.coverage) else "–"
        lines.append(f"| {row.quantity} | {row.dose:,.0f} | {row.n} | {' | '.join(numbers)} | {share} |")
    lines += ["", f"| {MANY:,} atoms | s of CPU | s by the clock |", "|---|---:|---:|"]
    lines += [f"| {row.measurement} | {row.seconds:.2f} | {row.clock:.2f} |" for row in seconds.itertuples()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("out/measurement"))
    parser.add_argument("--seeds", type=int, default=_SEEDS, help="repeats of the specimen with vacancies")
    parser.add_argument("--quick", action="store_true", help="one dose, one repeat, no times")
    parser.add_argument("--times", action="store_true", help="print the times alone")
    options = parser.parse_args()
    if options.times:
        print(report(pd.DataFrame(), timings()))
        return
    doses = DOSES[2:3] if options.quick else DOSES
    rows: list[dict[str, object]] = []
    for name in ("perfect", "strain", "polar"):
        case = specimen(name)
        for dose in doses:
            rows += _lattice(case, dose, 0)
    rows += [_vacancies(dose, 1 if options.quick else options.seeds) for dose in doses]
    table = pd.DataFrame(rows)
    table = table.sort_values(
        "quantity", key=lambda c: c.map({q: i for i, q in enumerate(dict.fromkeys(c))}), kind="stable"
    )
    seconds = pd.DataFrame(columns=["measurement", "seconds", "clock"]) if options.quick else timings()
    options.output.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.output / "measurement.csv", index=False)
    text = report(table, seconds)
    (options.output / "measurement.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
