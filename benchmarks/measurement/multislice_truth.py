"""Measurements against multislice with frozen phonons: bias, error and coverage at four doses. One command.

``python -m benchmarks.measurement.multislice_truth -o out/measurement`` writes ``multislice.md``; scans
that are missing are simulated first. SrTiO3 [001], 51 Å thick, without and with Ti off centre, and a field
of gold [001] whose columns hold 3 to 12 atoms. A column's place is where the image of its cell, free of
noise, has it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.measurement.multislice import GOLD, INSTRUMENT, scans
from benchmarks.measurement.truth import DOSES, _row
from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.atom_counting import count_atoms
from napari_stemprior.measurement.column_fit import fit_columns
from napari_stemprior.measurement.displacements import displacements
from napari_stemprior.measurement.intensities import cell_intensities
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.measurement.polarisation import polarisation
from napari_stemprior.measurement.reference_lattice import reference_lattice
from napari_stemprior.measurement.strain import local_strain
from napari_stemprior.optics.multislice.periodic_scan import PeriodicScan
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import built_in

Floats = NDArray[np.float64]

_PIXEL, _SIDE, _EDGE = 0.1, 700, 4.0
_ANGLE, _ORIGIN = 12.0, (5.0, 7.0)
#: Atoms of a column of gold.
_FEWEST, _MOST = 3, 12


def _image(pose: Pose, scan: PeriodicScan) -> Floats:
    """Return the image of a periodic scan, laid on pixels by a pose."""
    yx = np.stack(np.meshgrid(np.arange(_SIDE), np.arange(_SIDE), indexing="ij"), -1).reshape(-1, 2)
    return scan.at(pose.to_angstrom(yx.astype(float))).reshape(_SIDE, _SIDE)


def _counted(image: Floats, dose: float, rng: np.random.Generator) -> Floats:
    per_pixel = dose * _PIXEL**2
    return np.asarray(rng.poisson(np.maximum(image, 0) * per_pixel) / per_pixel)


def titanate(name: str, scan: PeriodicScan, dose: float) -> list[dict[str, object]]:
    """Return the rows of SrTiO3 at a dose."""
    rng = np.random.default_rng(int(dose))
    prior = built_in("SrTiO3 [001]")
    pose = Pose.from_angle(_ANGLE, _PIXEL, _ORIGIN, score=0.9)
    clean = _image(pose, scan)
    yx, column = pose.columns(prior, (_SIDE, _SIDE))
    table = AtomTable.from_positions(yx, _PIXEL)
    ideal = fit_columns(clean, table)
    image = _counted(clean, dose, rng)
    start = yx + np.clip(rng.normal(size=yx.shape) * 0.1, -0.25, 0.25) / _PIXEL
    fit = fit_columns(image, AtomTable.from_positions(start, _PIXEL))
    placed = np.where(np.isfinite(fit.yx), fit.yx, start)
    atoms = AtomTable.from_positions(placed, _PIXEL, element=[prior.columns[i].element for i in column])
    indices = index_atoms(atoms, LatticeFit(prior, (pose,)))
    reference = reference_lattice(atoms, indices)
    moved = displacements(atoms, indices, reference, fit.position_error)
    inner = ((yx * _PIXEL > _EDGE) & (yx * _PIXEL < _SIDE * _PIXEL - _EDGE)).all(1) & (fit.reason == "")
    rows = []
    if name == "perfect":
        for label, of in (("Sr", 0), ("Ti/O", 1)):
            own = inner & (column == of)
            off = (placed - ideal.yx)[own] * _PIXEL
            rows.append(_row(f"position, {label}", "Å", dose, off, moved.position_error[own, None]))
        own = inner & (column == 0)
        for what, unit, off, error in (
            (
                "fitted volume, Sr",
                "%",
                100 * (fit.volume / ideal.volume - 1),
                100 * fit.volume_error / ideal.volume,
            ),
            ("width, Sr", "Å", fit.width - ideal.width, fit.width_error),
        ):
            rows.append(_row(what, unit, dose, off[own], error[own]))
        strain = local_strain(indices, moved)
        bright = inner & (column < 2)
        for what in ("xx", "yy", "xy"):
            values, error = getattr(strain, what), getattr(strain, f"{what}_error")
            rows.append(_row(f"ε{what}", "%", dose, 100 * values[bright], 100 * error[bright]))
    polar = polarisation(atoms, indices, moved.position_error, centre="Ti", cage="Sr")
    # what the image without noise shows: frozen atoms are off their sites, by some 0.01 Å in the mean of a
    # column
    known = np.where(np.isfinite(ideal.yx), ideal.yx, yx)
    exact = polarisation(
        AtomTable.from_positions(known, _PIXEL), indices, np.full(len(yx), 1e-3), centre="Ti", cage="Sr"
    )
    both = np.isin(polar.atom, exact.atom)
    truth = np.full(polar.xy.shape, np.nan)
    truth[both] = exact.xy[np.searchsorted(exact.atom, polar.atom[both])]
    own = inner[polar.atom]
    rows.append(
        _row(
            f"off-centring, Ti in Sr, {name} ({polar.state})",
            "Å",
            dose,
            (polar.xy - truth)[own],
            polar.error[own, None],
        )
    )
    return rows


def gold(found: list[PeriodicScan], dose: float) -> str:
    """Count the atoms of gold columns at a dose; return a row of Markdown."""
    rng = np.random.default_rng(int(dose))
    vectors = np.eye(2) * GOLD / 2
    count = int(_SIDE * _PIXEL / 2) + 4
    cells = np.array([(i, j) for i in range(-count, count) for j in range(-count, count)])
    xy = cells @ vectors
    t = np.deg2rad(_ANGLE)
    turn = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    yx = (xy @ turn.T / _PIXEL)[:, ::-1] + _SIDE / 2
    on = ((yx > -15) & (yx < _SIDE + 15)).all(1)
    xy, yx = xy[on], yx[on]
    number = np.clip(
        np.rint(_FEWEST + (_MOST - _FEWEST) * yx[:, 1] / _SIDE + rng.normal(size=len(yx))), _FEWEST, _MOST
    )
    grid = (
        np.stack(np.meshgrid(np.arange(_SIDE), np.arange(_SIDE), indexing="ij"), -1)
        .reshape(-1, 2)
        .astype(float)
    )
    nearest = np.asarray(cKDTree(yx).query(grid)[1])
    place = ((grid - _SIDE / 2)[:, ::-1] * _PIXEL) @ turn
    image = np.zeros(len(grid))
    for atoms in range(_FEWEST, _MOST + 1):
        own = number[nearest] == atoms
        image[own] = found[atoms - 1].at(place[own] + GOLD * 50)
    inside = ((yx > 1) & (yx < _SIDE - 2)).all(1)
    table = AtomTable.from_positions(yx[inside], _PIXEL, element=["Au"] * int(inside.sum()))
    picture = _counted(image.reshape(_SIDE, _SIDE), dose, rng)
    cells_found = cell_intensities(picture, table)
    truth = number[inside]
    try:
        counted = count_atoms(cells_found.value)
    except MeasurementError as error:
        return f"| {dose:,.0f} | – | – | – | {error} |"
    known = np.isfinite(counted.count)
    if not known.any():
        return f"| {dose:,.0f} | 1 | – | – | {counted.reservations[0]} |"
    off = counted.count[known] - truth[known]
    return (
        f"| {dose:,.0f} | {len(counted.mean)} of {_MOST - _FEWEST + 1} | {100 * (off == 0).mean():.0f} % | "
        f"{100 * (np.abs(off) <= 1).mean():.0f} % | {100 * np.nanmean(counted.chance_of_error):.1f} % |"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("out/measurement"))
    parser.add_argument(
        "--scans", type=Path, default=Path("out/measurement/scans"), help="where scans are kept"
    )
    parser.add_argument("--only", choices=("titanate", "gold"), help="one of the specimens")
    options = parser.parse_args()
    names = {"titanate": ("perfect", "polar"), "gold": ("gold",)}.get(
        options.only, ("perfect", "polar", "gold")
    )
    found = {
        name: [scan.blurred(INSTRUMENT.source_size) for scan in depths]
        for name, depths in scans(options.scans, names).items()
    }
    lines = []
    rows = [
        r for name in names if name != "gold" for dose in DOSES for r in titanate(name, found[name][0], dose)
    ]
    if rows:
        lines += ["| quantity | dose (e/Å²) | n | bias | RMSE | stated | coverage of 95 % |",
                  "|---|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    order = {quantity: i for i, quantity in enumerate(dict.fromkeys(str(r["quantity"]) for r in rows))}
    for row in sorted(rows, key=lambda r: order[str(r["quantity"])]):
        bias, error, stated = (f"{row[key]:.2g} {row['unit']}" for key in ("bias", "rmse", "stated"))
        lines.append(
            f"| {row['quantity']} | {row['dose']:,.0f} | {row['n']} | {bias} | {error} | {stated} | "
            f"{100 * float(str(row['coverage'])):.1f} % |"
        )
    if "gold" in names:
        lines += ["", "| dose (e/Å²) | components | right number | within one | stated chance of another |",
                  "|---:|---:|---:|---:|---:|"]  # fmt: skip
        lines += [gold(found["gold"], dose) for dose in DOSES]
    text = "\n".join(lines) + "\n"
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "multislice.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
