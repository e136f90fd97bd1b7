"""AtomAI's Segmentor, trained on the same scenes for the same number of samples.

Runs in an environment of its own, which has torch, AtomAI 0.8 (``pip install --no-deps atomai``, its other
dependencies by name, safetensors) and this package's source on the path; its segmentation never calls
torchvision, for which an empty module of that name is put before the real one. First ``python -m
benchmarks.rivals.known_images -o out/rivals``, then here ``python -m benchmarks.rivals.atomai_segmentor -o
out/rivals --steps 1500``. AtomAI holds all its images in memory; more of them than fit are shown in
``--rounds``, each from the weights of the last. A finished round is kept.
"""

from __future__ import annotations

import argparse
import sys
import time
import types
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from benchmarks.rivals.answers import Image, answer_all, scenes

#: Height of the blurred truth above which a pixel belongs to an atom: discs of 0.3 Å.
_INSIDE = 0.5


class _Nothing(types.ModuleType):
    """A module that has everything, all of it nothing."""

    def __getattr__(self, name: str) -> object:
        return None


def without_torchvision() -> None:
    """Put empty modules where AtomAI imports torchvision."""
    for name in ("torchvision", *(f"torchvision.{part}" for part in ("transforms", "models", "utils"))):
        sys.modules.setdefault(name, _Nothing(name))


def scaled(image: Image) -> Image:
    """Bring an image to [0, 1], as AtomAI's predict does to whatever it is given."""
    low, high = float(image.min()), float(image.max())
    return ((image - low) / max(high - low, 1e-9)).astype(np.float32)


def examples(folder: Path, steps: int, batch: int, seed: int, first_step: int) -> tuple[Image, Image]:
    """Draw the same scenes that the network was trained on."""
    stream = iter(scenes(folder, batch, seed, first_step))
    images = np.empty((steps * batch, 1, 128, 128), np.float32)
    masks = np.empty_like(images)
    for step in range(steps):
        example = next(stream)
        rows = slice(step * batch, (step + 1) * batch)
        images[rows] = np.stack([scaled(i) for i in example.image.numpy()])
        masks[rows] = (example.heat.amax(dim=1, keepdim=True) > _INSIDE).float().numpy()
    return images, masks


def found(model: Any, image: Image) -> NDArray[np.float64]:
    """Return what AtomAI finds in an image of the pixel size of the scenes, (N, 2) pixels (y, x)."""
    _, columns = model.predict(scaled(image), thresh=0.5, refine=False)
    return np.asarray(columns[0]).reshape(-1, 3)[:, :2]


def main() -> None:
    """Train, and answer for every image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/rivals"))
    parser.add_argument("--steps", type=int, default=1500, help="mini-batches (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="of so many mini-batches")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1, help="of the scenes, as in the training configuration")
    options = parser.parse_args()
    without_torchvision()
    import atomai as aoi

    model = aoi.models.Segmentor("Unet", nb_classes=1)
    for number in range(options.rounds):
        weights = options.output / f"atomai_{number + 1}_of_{options.steps}.safetensors"
        if weights.exists():
            model.net.load_state_dict(load_file(weights))
            model.net.eval()  # as AtomAI's own loader: predict first runs a mock image through the network
            continue
        start = time.monotonic()
        first = number * options.steps
        images, masks = examples(options.output, options.steps, options.batch, options.seed, first)
        held = max(options.batch, len(images) // 50)
        model.fit(
            images[held:], masks[held:], images[:held], masks[:held],
            loss="ce", training_cycles=options.steps, batch_size=options.batch, swa=False,
            plot_training_history=False, filename=str(options.output / "atomai"),
        )  # fmt: skip
        save_file({n: t.contiguous().cpu() for n, t in model.net.state_dict().items()}, weights)
        print(f"round {number + 1}: {(time.monotonic() - start) / 60:.0f} minutes", flush=True)
    answer_all(options.output, options.output / "atomai.npz", partial(found, model))


if __name__ == "__main__":
    main()
