"""What every trained rival does alike: see the same scenes, and answer for the same micrographs.

Needs torch, numpy, scipy and safetensors only, so that a rival in an environment of its own can import it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.inference.canonical import CanonicalImage
from napari_stemprior.training.examples import ExampleStream
from napari_stemprior.training.prompt_sampling import PromptOdds
from napari_stemprior.training.structure_bank import load_bank

Image = NDArray[np.float32]
#: Finds columns in an (H, W) image of canonical pixels, sides multiples of 16; returns (N, 2) of them (y, x).
Finder = Callable[[Image], NDArray[np.float64]]
#: Pixels on a side of a scene.
SIDE = 128


def scenes(folder: Path, batch: int, seed: int, first_step: int = 0) -> ExampleStream:
    """Return the scenes that the network is trained on under `seed`, without any prior."""
    bank = load_bank(folder / "bank.npz")
    return ExampleStream(bank, SIDE, batch, seed, first_step, odds=PromptOdds(0, 0, 1, 0, 0))


def positions(find: Finder, image: Image, pixel_size: float) -> NDArray[np.float64]:
    """Return what is found in a micrograph at the pixel size of the scenes, (N, 2) of its pixels (y, x)."""
    canonical = CanonicalImage.from_array(image, pixel_size)
    extra = [-n % 16 for n in canonical.shape]
    found = find(np.pad(canonical.image.numpy(), [(0, e) for e in extra], mode="reflect"))
    # the mirrored rim is no part of the micrograph
    inside = (found <= np.array(canonical.shape) - 0.5).all(axis=1)
    return canonical.to_pixels(found[inside])


def answer_all(folder: Path, file: Path, find: Finder) -> None:
    """Answer for every micrograph of ``images.npz`` in `folder`, as ``known_images.py`` reads it."""
    answers = {}
    with np.load(folder / "images.npz", allow_pickle=False) as data:
        for name in data.files:
            if not name.endswith("|pixel_size"):
                answers[name] = positions(find, data[name], float(data[f"{name}|pixel_size"][0]))
    np.savez_compressed(file, **answers)  # type: ignore[arg-type]
    print(f"answers for {len(answers)} micrographs in {file}")
