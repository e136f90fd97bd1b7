"""How much of a segmentation is spent outside torch: ``python -m benchmarks.speed.outside_torch``.

What is no tensor stays on the CPU, however fast the device is. MoS2 as in `benchmarks.speed.segmentation`,
its fit given, on the CPU under Python's profiler. Time within torch is that of its functions and methods and
of the modules of the package that compute with it (operators between tensors have no frame of their own); the
rest is NumPy's and SciPy's, of modules without torch, and Python's.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.speed.segmentation import PIXEL_SIZE, make

SIZES = (1024, 2048, 4096)
_KINDS = ("torch", "NumPy and SciPy", "modules without torch", "Python")


@cache
def _computes_with_torch(file: str) -> bool:
    return "import torch" in Path(file).read_text(encoding="utf-8")


def kind_of(file: str, name: str) -> str:
    """Tell whose time a function is, by its file and name as Python's profiler gives them."""
    if "torch" in file or "torch" in name or "TensorBase" in name:
        return "torch"
    if "napari_stemprior" in file:
        return "torch" if _computes_with_torch(file) else "modules without torch"
    if any(word in file + name for word in ("numpy", "scipy", "ndimage")):
        return "NumPy and SciPy"
    return "Python"


def shares(size: int) -> tuple[float, dict[str, float]]:
    """Return the seconds of a segmentation of `size` pixels a side, and the share of each kind."""
    from napari_stemprior.inference import Segmenter
    from napari_stemprior.kept_memory import keep_freed_memory
    from napari_stemprior.recording import prepare
    from napari_stemprior.registration import fit_lattice
    from napari_stemprior.structure import built_in

    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "image.npz"
        make(file, size)
        with np.load(file) as data:
            image = data["image"]
    segmenter, prior = Segmenter(device="cpu"), built_in("MoS2")
    fit = fit_lattice(prepare(image), PIXEL_SIZE, prior)
    segmenter.set_image(image, PIXEL_SIZE)
    segmenter.segment(prior, fit=fit)  # warm
    shifted = np.roll(image, 1, axis=1)  # nothing of it is known
    profile = cProfile.Profile()
    profile.enable()
    segmenter.set_image(shifted, PIXEL_SIZE)
    segmenter.segment(prior, fit=fit)
    profile.disable()
    spent: Counter[str] = Counter()
    for (file_name, _, name), (_, _, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        spent[kind_of(file_name, name)] += own
    seconds = sum(spent.values())
    return seconds, {kind: spent[kind] / seconds for kind in _KINDS}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="pixels per side")
    sizes = parser.parse_args().sizes
    found = [shares(size) for size in sizes]
    print("| share of the time, % | " + " | ".join(f"{size}²" for size in sizes) + " |")
    print("|---|" + "---:|" * len(sizes))
    for kind in _KINDS:
        print(f"| {kind} | " + " | ".join(f"{100 * of[kind]:.1f}" for _, of in found) + " |")
    print("| together, s | " + " | ".join(f"{seconds:.1f}" for seconds, _ in found) + " |")


if __name__ == "__main__":
    main()
