"""AtomAI's Segmentor, trained on the same scenes for the same number of samples.

Runs in an environment of its own, which has torch, AtomAI 0.8 (``pip install --no-deps atomai``, its other
dependencies by name, safetensors) and this package's source on the path; its segmentation never calls
torchvision, for which an empty module of that name is put before the real one. First
``python benchmarks/known_images.py -o out/rivals``, then here
``python benchmarks/atomai_rival.py -o out/rivals --steps 1500``.
"""

from __future__ import annotations

import argparse
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.inference.canonical import CanonicalImage
from napari_stemprior.training.crystals import load_bank
from napari_stemprior.training.examples import ExampleStream
from napari_stemprior.training.prompting import PromptOdds

Image = NDArray[np.float32]
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


def examples(folder: Path, steps: int, batch: int, seed: int) -> tuple[Image, Image]:
    """Draw the same scenes that the network was trained on."""
    bank = load_bank(folder / "bank.npz")
    stream = iter(ExampleStream(bank, 128, batch, seed, odds=PromptOdds(0, 0, 1, 0, 0)))
    images = np.empty((steps * batch, 1, 128, 128), np.float32)
    masks = np.empty_like(images)
    for step in range(steps):
        example = next(stream)
        rows = slice(step * batch, (step + 1) * batch)
        images[rows] = np.stack([scaled(i) for i in example.image.numpy()])
        masks[rows] = (example.heat.amax(dim=1, keepdim=True) > _INSIDE).float().numpy()
    return images, masks


def positions(model: Any, image: Image, pixel_size: float) -> NDArray[np.float64]:
    """Return what AtomAI finds in a micrograph, (N, 2) pixels (y, x), at the pixel size of the scenes."""
    canonical = CanonicalImage.from_array(image, pixel_size)
    extra = [-n % 16 for n in canonical.shape]
    padded = np.pad(canonical.image.numpy(), [(0, e) for e in extra], mode="reflect")
    _, found = model.predict(scaled(padded), thresh=0.5, refine=False)
    return canonical.to_pixels(np.asarray(found[0]).reshape(-1, 3)[:, :2])


def main() -> None:
    """Train, and answer for every image."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/rivals"))
    parser.add_argument("--steps", type=int, default=1500, help="mini-batches (default %(default)s)")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1, help="of the scenes, as in the training configuration")
    options = parser.parse_args()
    without_torchvision()
    import atomai as aoi

    images, masks = examples(options.output, options.steps, options.batch, options.seed)
    held = max(options.batch, len(images) // 50)
    model = aoi.models.Segmentor("Unet", nb_classes=1)
    start = time.monotonic()
    model.fit(
        images[held:], masks[held:], images[:held], masks[:held],
        loss="ce", training_cycles=options.steps, batch_size=options.batch, swa=False,
        plot_training_history=False, filename=str(options.output / "atomai"),
    )  # fmt: skip
    print(f"trained in {(time.monotonic() - start) / 60:.0f} minutes")
    answers = {}
    with np.load(options.output / "images.npz", allow_pickle=False) as data:
        for name in data.files:
            if name.endswith("|pixel_size"):
                continue
            answers[name] = positions(model, data[name], float(data[f"{name}|pixel_size"][0]))
    np.savez_compressed(options.output / "atomai.npz", **answers)
    print(f"answers for {len(answers)} micrographs in {options.output / 'atomai.npz'}")


if __name__ == "__main__":
    main()
