"""What large images take that need not be in memory: ``python -m benchmarks.speed.large_images``.

MoS2 at 0.1 Å/px and 3,000 e/Å² with one column in a hundred missing, made strip by strip on the disk and
segmented by ``stemprior segment`` in a process of its own: atoms, F1 against the truth (matched within
0.5 Å), vacancies that were filled, processor time, the most memory that the process had (``ru_maxrss``), and
the exponent of the time in the number of pixels.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

SIZES = (4096, 8192, 16384)
PIXEL_SIZE, DOSE, PRIOR = 0.1, 3e3, "MoS2"
#: Rows that are made at a time, and around them those in which columns of the strip can be seen.
_ROWS, _MARGIN = 512, 64
#: One column in so many is missing.
_VACANCY = 100
#: Å within which an atom is the true one, and pixels of the border that is left out.
_SAME, _BORDER = 0.5, 10


class _Crystal:
    """A pose that leaves some columns out, seen from a row on."""

    def __init__(self, pose: Any, first: int) -> None:
        self._pose, self._first = pose, first

    def columns(self, prior: Any, shape: tuple[int, int], margin: float = 0.0) -> tuple[Any, Any]:
        """List the columns on an image of `shape` that begins at the row; see `Pose.columns`."""
        from dataclasses import replace

        shifted = replace(self._pose, origin=self._pose.origin - [self._first, 0])
        yx, index = shifted.columns(prior, shape, margin)
        cell = np.floor(shifted.to_angstrom(yx) @ np.linalg.inv(prior.cell) + 0.01).astype(np.int64)
        number = (cell[:, 0] * 73856093 ^ cell[:, 1] * 19349663 ^ index * 83492791) % 2**31
        kept = number % _VACANCY != 0
        return yx[kept], index[kept]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="pixels per side")
    parser.add_argument("--kind", choices=("zarr", "tif"), default="zarr", help="of the file (default zarr)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default 1)")
    parser.add_argument("--folder", type=Path, help="where the images are made and kept")
    options = parser.parse_args()
    print("| | atoms | F1 | vacancies filled | processor time, s | exponent | peak memory, GB |")
    print("|---|---:|---:|---:|---:|---:|---:|", flush=True)
    before: tuple[int, float] | None = None
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as temporary:
            folder = options.folder or Path(temporary)
            image, truth = made(folder, size, options.kind)
            table, seconds, memory = segmented(image, Path(temporary), options)
        exponent = ""
        if before is not None:
            exponent = f"{np.log(seconds / before[1]) / np.log((size / before[0]) ** 2):.2f}"
        before = size, seconds
        score, filled = judged(table, truth, size)
        print(
            f"| {size}² | {len(table)} | {score:.4f} | {filled:.4f} | {seconds:.0f} | {exponent} "
            f"| {memory:.2f} |",
            flush=True,
        )


def made(folder: Path, size: int, kind: str) -> tuple[Path, NDArray[np.float64]]:
    """Write an image of `size` pixels per side, and return it with its true columns and the missing ones.

    Returns
    -------
    pathlib.Path
    (N, 3) array
        Pixels (y, x), and 1 where the column is there.
    """
    import tifffile
    import zarr

    from napari_stemprior.optics import PRESETS
    from napari_stemprior.optics.noise.noise_chain import NoiseChain
    from napari_stemprior.optics.reference import reference_image
    from napari_stemprior.registration import Pose
    from napari_stemprior.structure import built_in

    prior, pose = built_in(PRIOR), Pose.from_angle(11.0, PIXEL_SIZE, (3.0, 7.0))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{size}.{kind}"
    everything, _ = pose.columns(prior, (size, size), 0.0)
    there, _ = _Crystal(pose, 0).columns(prior, (size, size), 0.0)
    known = np.asarray(cKDTree(there).query(everything)[0]) < 1e-6
    truth = np.column_stack([everything, known])
    if path.exists():
        return path, truth
    array: Any
    if kind == "zarr":
        array = zarr.create_array(path, shape=(size, size), chunks=(512, 2048), dtype="float32")
        array.attrs["pixel_size_angstrom"] = PIXEL_SIZE
    else:
        array = tifffile.memmap(
            path, shape=(size, size), dtype="float32", description=f'{{"pixel_size_angstrom": {PIXEL_SIZE}}}'
        )
    chain = NoiseChain(dose=DOSE)
    for first in range(0, size, _ROWS):
        rows = min(_ROWS, size - first)
        ideal = reference_image(
            prior,
            PRESETS["80 kV HAADF"],
            PIXEL_SIZE,
            (rows + 2 * _MARGIN, size),
            _Crystal(pose, first - _MARGIN),
        )
        part = np.asarray(ideal[_MARGIN : _MARGIN + rows])
        array[first : first + rows] = chain.apply(part, PIXEL_SIZE, np.random.default_rng([size, first]))
    return path, truth


def segmented(image: Path, folder: Path, options: argparse.Namespace) -> tuple[NDArray[Any], float, float]:
    """Run ``stemprior segment`` and return the (N, 2) atoms, its processor time and its peak memory in GB."""
    threads = {f"{name}_NUM_THREADS": str(options.threads) for name in ("OMP", "MKL", "OPENBLAS")}
    command = [sys.executable, "-m", "napari_stemprior", "segment", str(image), "--prior", PRIOR]
    process = subprocess.Popen(
        [*command, "--device", options.device, "-o", str(folder / "atoms")],
        env=os.environ | threads,
        stderr=subprocess.PIPE,
    )
    said = process.stderr.read().decode() if process.stderr else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(said)
    print(said, file=sys.stderr, end="")
    with (folder / "atoms" / f"{image.stem}.csv").open() as file:
        names = file.readline().strip().split(",")
        columns = [names.index("y_px"), names.index("x_px")]
        atoms = np.loadtxt(file, delimiter=",", usecols=columns)
    return atoms, usage.ru_utime + usage.ru_stime, peak(usage)


def peak(usage: resource.struct_rusage) -> float:
    """Return the peak memory of a process in GB."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def judged(atoms: NDArray[Any], truth: NDArray[np.float64], size: int) -> tuple[float, float]:
    """Return F1 of the (N, 2) atoms, and the share of the vacancies that have one."""

    def inner(yx: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray(((yx > _BORDER) & (yx < size - 1 - _BORDER)).all(axis=1))

    reach = _SAME / PIXEL_SIZE
    there, missing = truth[truth[:, 2] > 0, :2], truth[truth[:, 2] == 0, :2]
    found = np.asarray(cKDTree(atoms).query(there[inner(there)])[0]) < reach
    right = np.asarray(cKDTree(there).query(atoms[inner(atoms)])[0]) < reach
    recall, precision = found.mean(), right.mean()
    filled = float((np.asarray(cKDTree(atoms).query(missing)[0]) < reach).mean())
    return float(2 * recall * precision / (recall + precision)), filled


if __name__ == "__main__":
    main()
