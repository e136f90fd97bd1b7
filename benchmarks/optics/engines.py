"""The fast engine against abTEM multislice: ``python -m benchmarks.optics.engines -o out/engines``.

Ten structures, layers and crystals of several thicknesses, all with frozen phonons. For each the
correlation of the two images, the brightness of each kind of column relative to the brightest in both,
and the CPU time. Some ten minutes on one core; ``--only MoS2`` takes some, ``--phonons 2`` is quicker.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.optics.instrument import PRESETS, Instrument
from napari_stemprior.optics.multislice.reference import cell_series
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.progress import drain
from napari_stemprior.structure import StructurePrior, built_in

#: Å/px and pixels of the images that are compared.
PIXEL_SIZE, SHAPE = 0.1, (256, 256)
#: Å around a column that count as its brightness.
RADIUS = 0.4
#: Å.
THICKNESSES = (20.0, 50.0, 100.0, 200.0)
#: 150 mrad keeps the wave's grid, and so the time, small.
CRYSTAL = replace(PRESETS["200 kV HAADF"], name="200 kV 70-150 mrad", detector_outer=150.0)


@dataclass(frozen=True)
class Case:
    """A prior, the instrument and the frozen phonons that it takes to smooth out the multislice."""

    prior: str
    instrument: Instrument
    phonons: int


CASES = (
    Case("graphene", PRESETS["60 kV MAADF"], 30),
    Case("h-BN", PRESETS["60 kV HAADF"], 30),
    Case("MoS2", PRESETS["80 kV HAADF"], 20),
    Case("WSe2", PRESETS["60 kV HAADF"], 20),
    Case("1T-TaS2", PRESETS["80 kV MAADF"], 20),
    Case("1T'-WTe2", PRESETS["200 kV HAADF"], 8),
    Case("SrTiO3 [001]", CRYSTAL, 3),
    Case("Si [110]", CRYSTAL, 3),
    Case("GaAs [110]", CRYSTAL, 3),
    Case("Au [100]", CRYSTAL, 6),
)


@dataclass(frozen=True)
class Row:
    """One comparison."""

    structure: str
    instrument: str
    thickness: float
    phonons: int
    correlation: float
    mean: float
    columns: str
    worst: float
    multislice_s: float
    fast_ms: float


def main() -> None:
    """Compare, print and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("out/engines"))
    parser.add_argument("--only", nargs="+", help="some of the structures")
    parser.add_argument("--phonons", type=int, help="configurations of every structure")
    parser.add_argument(
        "--cache", action="store_true", help="take known scans, and their times from the last table"
    )
    options = parser.parse_args()
    rows: list[Row] = []
    times = times_of(options.output / "engines.csv") if options.cache else {}
    options.output.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        if options.only and case.prior not in options.only:
            continue
        chosen = case if options.phonons is None else replace(case, phonons=options.phonons)
        new = compare(chosen, cache=options.cache)
        new = [replace(row, multislice_s=times.get(row.structure, row.multislice_s)) for row in new]
        print("\n".join(markdown(new).splitlines()[2:]), flush=True)
        rows += new
        save(rows, options.output)


def compare(case: Case, *, cache: bool) -> list[Row]:
    """Simulate one structure with both engines."""
    prior = built_in(case.prior)
    thicknesses = THICKNESSES if prior.period else (0.0,)
    start = time.process_time()
    work = cell_series(prior, case.instrument, thicknesses, [0.0], phonons=case.phonons, cache=cache)
    series = drain(work)
    slow = time.process_time() - start
    rows = []
    for thickness, images in zip(thicknesses, series, strict=True):
        exact = images[0].draw(prior, PIXEL_SIZE, SHAPE)
        fast = reference_image(prior, case.instrument, PIXEL_SIZE, SHAPE, thickness=thickness)
        start = time.process_time()
        for _ in range(5):
            reference_image(prior, case.instrument, PIXEL_SIZE, SHAPE, thickness=thickness)
        quick = (time.process_time() - start) / 5
        names, truth, guess = relative_brightness(prior, exact, fast)
        told = [f"{n} {t:.3f} / {g:.3f}" for n, t, g in zip(names, truth, guess, strict=True) if t < 1]
        rows.append(
            Row(
                case.prior,
                case.instrument.name,
                thickness,
                case.phonons,
                float(np.corrcoef(exact.ravel(), fast.ravel())[0, 1]),
                float(fast.mean() / exact.mean()),
                ", ".join(told),
                float(np.abs(guess - truth).max()),
                slow,
                1e3 * quick,
            )
        )
    return rows


def relative_brightness(
    prior: StructurePrior, exact: NDArray[np.float32], fast: NDArray[np.float32]
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Return the kinds of columns and their mean brightness in both images over the brightest kind's."""
    first = prior.cell[0] / np.linalg.norm(prior.cell[0])
    turn = np.array([first, [-first[1], first[0]]])
    reach = 6
    kinds: dict[str, list[int]] = {}
    for number, column in enumerate(prior.columns):
        kinds.setdefault(column.formula, []).append(number)
    cells = np.array([(i, j) for i in range(-reach, reach) for j in range(-reach, reach)]) @ prior.cell
    disc = np.array(
        [(y, x) for y in range(-9, 10) for x in range(-9, 10) if np.hypot(y, x) * PIXEL_SIZE < RADIUS]
    )
    values = []
    for image in (exact, fast):
        means = []
        for members in kinds.values():
            places = (cells[:, None] + prior.positions[members]).reshape(-1, 2) @ turn.T
            yx = np.round(places[:, ::-1] / PIXEL_SIZE + np.array(SHAPE) / 2).astype(int)
            yx = yx[((yx >= 10) & (yx < np.array(SHAPE) - 10)).all(axis=1)]
            at = yx[:, None] + disc
            means.append(float(image[at[..., 0], at[..., 1]].mean()))
        values.append(np.array(means) / max(means))
    return list(kinds), values[0], values[1]


def markdown(rows: list[Row]) -> str:
    """Write the table."""
    lines = [
        "| structure | instrument | thickness (Å) | phonons | correlation | mean, fast / multislice "
        "| columns over the brightest, multislice / fast | worst | multislice (CPU s) | fast (CPU ms) |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        thickness = f"{r.thickness:g}" if r.thickness else "layer"
        lines.append(
            f"| {r.structure} | {r.instrument} | {thickness} | {r.phonons} | {r.correlation:.4f} "
            f"| {r.mean:.2f} | {r.columns or 'one kind'} | {r.worst:.3f} "
            f"| {r.multislice_s:.0f} | {r.fast_ms:.0f} |"
        )
    return "\n".join(lines)


def times_of(path: Path) -> dict[str, float]:
    """Return the CPU seconds of multislice in an earlier table."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["structure"]: float(row["multislice_s"]) for row in csv.DictReader(file)}


def save(rows: list[Row], folder: Path) -> None:
    """Write ``engines.md`` and ``engines.csv``."""
    (folder / "engines.md").write_text(markdown(rows) + "\n", encoding="utf-8")
    with (folder / "engines.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


if __name__ == "__main__":
    main()
