"""How long many images take: ``python -m benchmarks.speed.many_images``.

A stack of MoS2 at 0.1 Å/px and 3,000 e/Å², each frame with its own noise and a drift, segmented by
``stemprior segment`` in several ways: a call for each image, the stack in one process, and the stack
as it is done by default. Each way is timed by its processes alone, seconds of the processor and by the clock,
starts included, and given for an image. ``--before FOLDER`` takes the calls that are compared with from the
``src/`` of another commit.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

PIXEL_SIZE, DOSE, SIDE = 0.1, 3e3, 512
_SPECIMEN = "MoS2"
#: Standard deviation of the drift from one frame to the next, px.
_DRIFT = 4.0


@dataclass(frozen=True)
class Way:
    """How images were segmented, and what it took for each of them, in seconds."""

    name: str
    images: int
    processor: float
    clock: float


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=24, help="of the stack (default 24)")
    parser.add_argument("--few", type=int, default=3, help="images of the slow ways, 2 or more (default 3)")
    parser.add_argument("--size", type=int, default=SIDE, help="pixels per side (default 512)")
    parser.add_argument("--before", type=Path, help="src/ of the commit that is compared with")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ways = measured(Path(folder), arguments)
    print_table(ways)


def make(folder: Path, count: int, size: int) -> tuple[Path, list[Path]]:
    """Write a stack of `count` frames of `size` pixels per side, and each frame as a file of its own."""
    from napari_stemprior.optics import PRESETS
    from napari_stemprior.optics.noise.noise_chain import NoiseChain
    from napari_stemprior.optics.reference import reference_image
    from napari_stemprior.registration import Pose
    from napari_stemprior.structure import built_in

    prior, shape, rng = built_in(_SPECIMEN), (size, size), np.random.default_rng(0)
    frames, files, origin = [], [], np.array([3.0, 7.0])
    for number in range(count):
        pose = Pose.from_angle(11.0, PIXEL_SIZE, (float(origin[0]), float(origin[1])))
        ideal = reference_image(prior, PRESETS["80 kV HAADF"], PIXEL_SIZE, shape, pose)
        frame = NoiseChain(dose=DOSE).apply(ideal, PIXEL_SIZE, np.random.default_rng(number))
        frames.append(frame.astype(np.float32))
        origin = origin + rng.normal(0, _DRIFT, 2)
        files.append(folder / f"frame{number:03d}.tif")
        tifffile.imwrite(files[-1], frames[-1])
    stack = folder / "stack.tif"
    tifffile.imwrite(stack, np.stack(frames), photometric="minisblack")
    return stack, files


def measured(folder: Path, arguments: argparse.Namespace) -> list[Way]:
    """Segment in each way, the slow ones with few images; the last is what the others are compared with."""
    stack, files = make(folder, arguments.frames, arguments.size)
    singles = files[: arguments.few]
    few = folder / "few.tif"
    tifffile.imwrite(few, np.stack([tifffile.imread(file) for file in singles]), photometric="minisblack")
    calls, source = [[file] for file in singles], arguments.before
    alone = [] if source is not None else ["--workers", "1"]
    slow = [
        timed(f"{name}{how}", len(singles), files, folder, source, threads, alone)
        for name, files in (("a call for each image", calls), ("a stack in one process", [[few]]))
        for how, threads in (("", None), (", one thread", 1))
    ]
    return [*slow, timed("**a stack, by default**", arguments.frames, [[stack]], folder)]


def timed(
    name: str,
    count: int,
    calls: list[list[Path]],
    folder: Path,
    source: Path | None = None,
    threads: int | None = None,
    more: Sequence[str] = (),
) -> Way:
    """Return what `count` images take for each, in calls that have these files each.

    Parameters
    ----------
    name : str
    count : int
    calls : list of list of pathlib.Path
    folder : pathlib.Path
        For the results.
    source : pathlib.Path, optional
        The ``src/`` of another commit.
    threads : int, optional
        Of the libraries; theirs by default.
    more : sequence of str
        Options.
    """
    environment = dict(os.environ)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        environment.pop(variable, None)
        if threads is not None:
            environment[variable] = str(threads)
    if source is not None:
        environment["PYTHONPATH"] = str(source.resolve())
    clock, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    for files in calls:
        command = [
            sys.executable,
            "-m",
            "napari_stemprior",
            "segment",
            *map(str, files),
            "--prior",
            _SPECIMEN,
        ]
        command += ["--pixel-size", str(PIXEL_SIZE), "--device", "cpu", "-o", str(folder / "out"), *more]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{name}: {done.stderr.strip()}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Way(name, count, processor / count, (time.perf_counter() - clock) / count)


def print_table(ways: list[Way]) -> None:
    """Print it as Markdown, with what each way takes of the last one's time."""
    now = ways[-1]
    print("| seconds an image | images | processor | clock | processor / now | clock / now |")
    print("|---|---:|---:|---:|---:|---:|")
    for way in ways:
        print(
            f"| {way.name} | {way.images} | {way.processor:.2f} | {way.clock:.2f} | "
            f"{way.processor / now.processor:.1f} | {way.clock / now.clock:.1f} |"
        )


if __name__ == "__main__":
    main()
