"""A segmentation beside another program: ``python -m benchmarks.speed.beside_another_program``.

Each number is of a process of its own that segments the image of `benchmarks.speed.segmentation` on all
cores: alone, then beside a process that computes the layers of another network on all cores. The rows
are how often a thread that waits for another looks before it sleeps: as the package sets it
(`napari_stemprior.waiting_threads`), as OpenMP does by itself (300,000), and others. The rows take turns; the
medians of their seconds by the clock.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.speed.segmentation import PIXEL_SIZE, make

#: What is segmented, and the seconds that it prints.
_SEGMENT = f"""
import sys, time
import numpy as np
from napari_stemprior import Segmenter, load_prior
with np.load(sys.argv[1]) as data:
    image = data["image"]
segmenter, prior = Segmenter(device="cpu"), load_prior("MoS2")
start = time.perf_counter()
segmenter.set_image(image, {PIXEL_SIZE})
segmenter.segment(prior)
print(time.perf_counter() - start)
"""
#: The other program; it says when it has begun.
_OTHER = """
import torch
from torch.nn import functional as F
image, kernel = torch.rand(16, 32, 128, 128), torch.rand(32, 32, 3, 3) / 288
print("begun", flush=True)
while True:
    with torch.autocast("cpu", torch.bfloat16):
        F.silu(F.conv2d(image, kernel, padding=1)) + 1
"""
_WAYS = ("as set", "300000", "1000", "50000")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=1024, help="pixels per side (default %(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="of each number (default %(default)s)")
    options = parser.parse_args()
    alone: dict[str, list[float]] = {way: [] for way in _WAYS}
    beside: dict[str, list[float]] = {way: [] for way in _WAYS}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.npz"
        make(file, options.size)
        for _ in range(options.turns):
            for way in _WAYS:
                alone[way].append(seconds(file, way))
            with other_program():
                for way in _WAYS:
                    beside[way].append(seconds(file, way))
    print("| looks before it sleeps | alone, s | beside another program, s |\n|---|---:|---:|")
    for way in _WAYS:
        print(f"| {way} | {statistics.median(alone[way]):.1f} | {statistics.median(beside[way]):.1f} |")


def seconds(file: Path, way: str) -> float:
    """Segment an image in a process that waits in one way; return the seconds."""
    environment = untold()
    if way.isdigit():
        environment["GOMP_SPINCOUNT"] = way
    command = [sys.executable, "-c", _SEGMENT, str(file)]
    return float(
        subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    )


@contextmanager
def other_program() -> Iterator[None]:
    """Keep all cores busy with a program that waits as OpenMP does by itself."""
    command = [sys.executable, "-c", _OTHER]
    with subprocess.Popen(command, env=untold(), stdout=subprocess.PIPE, text=True) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        try:
            yield
        finally:
            busy.kill()


def untold() -> dict[str, str]:
    """Return the environment without what anyone has said of threads."""
    said = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    return {name: value for name, value in os.environ.items() if name not in said}


if __name__ == "__main__":
    main()
