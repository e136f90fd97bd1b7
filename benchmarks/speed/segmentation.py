"""How long a segmentation takes: ``python -m benchmarks.speed.segmentation``.

MoS2 at 0.1 Å/px and 3,000 e/Å², the fit of its lattice given, segmented with the prior and refined: time by
stage, memory beyond that of the loaded network, and the exponent of the time in the number of pixels; beside
it AtomAI's Segmentor, Atomap's refinement and a Laplacian of Gaussian on the same images. Times are processor
time on the CPU, which other work on the computer lengthens less than it does any clock; on a GPU they are by
the clock. Each measurement is a process of its own. ``--rivals FOLDER`` names a folder with an environment
for each rival, see the README of the benchmarks.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SIZES = (512, 1024, 2048, 4096)
PIXEL_SIZE, DOSE = 0.1, 3e3
#: Largest image that Atomap is given: it takes a second for some 30 columns.
_LARGEST_FOR_ATOMAP = 512
#: Å: an atom farther from a true one is not the same.
_SAME = 0.4
_SPECIMEN = "MoS2"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="pixels per side")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--precision", default="auto", help="auto, float32 or bfloat16 (default auto)")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default 1)")
    parser.add_argument("--rivals", type=Path, help="folder with the environments atomai/ and atomap/")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measured(arguments.measure, arguments.device, arguments.precision)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            file = Path(folder) / f"{size}.npz"
            make(file, size)
            rows.append((size, *measure_all(file, size, arguments)))
    print_table(rows, arguments)


def make(file: Path, size: int) -> None:
    """Write an image of `size` pixels per side with its true atoms."""
    from napari_stemprior.optics import PRESETS
    from napari_stemprior.optics.noise.noise_chain import NoiseChain
    from napari_stemprior.optics.reference import reference_image
    from napari_stemprior.registration import Pose
    from napari_stemprior.structure import built_in

    prior, shape = built_in(_SPECIMEN), (size, size)
    pose = Pose.from_angle(11.0, PIXEL_SIZE, (3.0, 7.0))
    ideal = reference_image(prior, PRESETS["80 kV HAADF"], PIXEL_SIZE, shape, pose)
    image = NoiseChain(dose=DOSE).apply(ideal, PIXEL_SIZE, np.random.default_rng(size))
    yx, _ = pose.columns(prior, shape, 0.0)
    inside = ((yx > 10) & (yx < size - 11)).all(axis=1)
    np.savez(file, image=image.astype(np.float32), yx=yx[inside], pixel_size=PIXEL_SIZE)


def measure_all(
    file: Path, size: int, arguments: argparse.Namespace
) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """Return what we take for an image and what each rival takes, each in a process of its own."""
    threads = {f"{name}_NUM_THREADS": str(arguments.threads) for name in ("OMP", "MKL", "OPENBLAS")}
    environment = os.environ | threads

    def told(*command: str) -> dict[str, Any]:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1]}")
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return answer

    ours = told(
        sys.executable,
        "-m",
        "benchmarks.speed.segmentation",
        "--measure",
        str(file),
        "--device",
        arguments.device,
        "--precision",
        arguments.precision,
    )
    script = str(Path(__file__).with_name("rivals.py"))
    others = {"log": told(sys.executable, script, "log", str(file))}
    if arguments.rivals:
        for name in ("atomai", "atomap"):
            python = arguments.rivals / name / "bin" / "python"
            if python.exists() and (name != "atomap" or size <= _LARGEST_FOR_ATOMAP):
                others[name] = told(str(python), script, name, str(file))
    return ours, others


def measured(file: Path, device: str, precision: str) -> dict[str, Any]:
    """Return seconds by stage, memory in MB, atoms and their error in Å."""
    from scipy.spatial import cKDTree

    from napari_stemprior.inference import Segmenter
    from napari_stemprior.kept_memory import keep_freed_memory
    from napari_stemprior.recording import prepare
    from napari_stemprior.registration import fit_lattice
    from napari_stemprior.structure import built_in

    keep_freed_memory()  # as the command does
    with np.load(file) as data:
        image, true = data["image"], data["yx"]
    segmenter, prior = Segmenter(device=device, precision=precision), built_in(_SPECIMEN)
    small = image[:256, :256]
    fit = fit_lattice(prepare(small), PIXEL_SIZE, prior)
    segmenter.set_image(small, PIXEL_SIZE)
    segmenter.segment(prior, fit=fit)  # warm
    peak_memory()
    clock = time.process_time if segmenter.device.type == "cpu" else time.perf_counter
    before = peak_memory()
    prepared = prepare(image)
    preparing = peak_memory() - before
    fit = fit_lattice(prepared, PIXEL_SIZE, prior)
    peak_memory()
    stages: dict[str, float] = {}
    last, stage, longest = clock(), "preparing the recording", 0.0
    segmenter.set_image(image, PIXEL_SIZE)
    steps = segmenter.steps(prior, fit=fit)
    while True:
        try:
            progress = next(steps)
        except StopIteration as stop:
            table = stop.value
            break
        finally:
            now = clock()
            stages[stage] = stages.get(stage, 0.0) + now - last
            longest = max(longest, now - last)
            last = now
        stage = progress.stage
    distance, _ = cKDTree(table.yx).query(true)
    near = distance * PIXEL_SIZE < _SAME
    return {
        "stages": stages,
        "longest": longest,
        "memory": peak_memory() - before,
        "memory of preparing": preparing,
        "atoms": len(table),
        "error": float(np.sqrt((distance[near] ** 2).mean()) * PIXEL_SIZE),
        "device": str(segmenter.device),
        "precision": str(segmenter.precision).removeprefix("torch."),
    }


def peak_memory() -> float:
    """Return the most memory in MB since the last call; since the start where there is no /proc."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return int(line.split()[1]) / 1024


def print_table(
    rows: list[tuple[int, dict[str, Any], dict[str, dict[str, float]]]], arguments: argparse.Namespace
) -> None:
    """Print it as Markdown."""
    names = list(
        dict.fromkeys(stage for _, ours, _ in rows for stage in ours["stages"] if stage != "starting")
    )
    first = rows[0][1]
    print(
        f"Seconds on {first['device']} in {first['precision']}, {arguments.threads} thread(s) of the CPU.\n"
    )
    print("| | " + " | ".join(f"{size}²" for size, _, _ in rows) + " |")
    print("|---|" + "---:|" * len(rows))

    def line(name: str, values: list[str]) -> None:
        print(f"| {name} | " + " | ".join(values) + " |")

    for name in names:
        line(name, [f"{ours['stages'].get(name, 0.0):.2f}" for _, ours, _ in rows])
    totals = [sum(ours["stages"].values()) for _, ours, _ in rows]
    line("**together**", [f"**{total:.2f}**" for total in totals])
    sizes = np.log([float(size) ** 2 for size, _, _ in rows])
    exponent = np.diff(np.log(totals)) / np.diff(sizes)
    line("exponent in the pixels", ["", *(f"{value:.2f}" for value in exponent)])
    line("longest without progress", [f"{ours['longest']:.2f}" for _, ours, _ in rows])
    for name in ("memory of preparing", "memory"):
        line(f"{name}, MB", [f"{ours[name]:.0f}" for _, ours, _ in rows])
        line(f"{name}, bytes a pixel", [f"{ours[name] * 2**20 / size**2:.0f}" for size, ours, _ in rows])
    line("atoms", [f"{ours['atoms']}" for _, ours, _ in rows])
    line("RMSE, Å", [f"{ours['error']:.3f}" for _, ours, _ in rows])
    rivals = (
        ("log", "seconds", "Laplacian of Gaussian"),
        ("atomai", "predict", "AtomAI, predict"),
        ("atomai", "seconds", "AtomAI, network alone"),
    )
    for name, field, said in rivals:
        if any(name in others for _, _, others in rows):
            shown = [others.get(name) for _, _, others in rows]
            line(said, [f"{other[field]:.2f}" if other else "" for other in shown])
            if name == "atomai":
                ratios = zip(shown, totals, strict=True)
                line(f"{said} / together", [f"{o[field] / t:.2f}" if o else "" for o, t in ratios])
    if any("atomap" in others for _, _, others in rows):
        shown = [others.get("atomap") for _, _, others in rows]
        each = [o["seconds"] / o["columns"] * 1e3 if o else None for o in shown]
        mine = [ours["stages"]["refining the positions"] / ours["atoms"] * 1e3 for _, ours, _ in rows]
        line("refining, ms a column", [f"{m:.3f}" for m in mine])
        line("Atomap, ms a column", [f"{e:.1f}" if e else "" for e in each])
        line("Atomap / refining", [f"{e / m:.0f}" if e else "" for e, m in zip(each, mine, strict=True)])
        line("Atomap, RMSE, Å", [f"{o['error']:.3f}" if o else "" for o in shown])


if __name__ == "__main__":
    main()
