"""The multi-scale model of Lin et al. (AtomID-Net, Small Science 3(8), 2023), trained on the same scenes.

First ``python -m benchmarks.rivals.known_images -o out/rivals``, then
``python -m benchmarks.rivals.multiscale -o out/rivals --steps 1500``. The same command goes on where it
stopped; ``out/rivals/multiscale`` holds its state and ``log.csv``.

As published: a U-Net (32 features, 4 poolings, batch normalisation) with a sigmoid map, and a perceptron of
three layers with dropout on the mean of its bottleneck that regresses the mean distance to the nearest
neighbour in pixels; points blurred with a quarter of that; the squared error of the spacing plus 0.1 × the
sum of the squared errors of the map, as a mean over images; Adam at 1e-4 with weight decay 1e-4, a tenth of
the rate after each quarter of the run; images resized to 6/8 ... 10/8, flips.

Where the recipe says nothing or does not fit these scenes:

- Mini-batches of 16, as for the other rivals (published: 32). One resizing for a mini-batch, and the whole
  scene in place of a crop, for scenes are 128 pixels wide (published: crops of 256 from larger images).
- Images are brought to mean 0 and deviation 1 (published: 8-bit images to [-1, 1]), for doses differ widely.
- It starts from random weights (published: pre-trained), and the regressed spacing from 10 px.
- The columns of all layers are the truth. Two Gaussians that overlap do not add up, so every column has a
  maximum of 1. Spacings of sparse scenes are limited to 3 ... 30 px. With one column the spacing is not
  asked for and the blur is that of 10 px (published: such an image is taken for empty).
- Decoding as published keeps one maximum of each 8 × 8 block, which at 0.2 Å/px is 1.6 Å, and a box whose
  half-width is the whole spacing suppresses true neighbours along the axes of the image: from the true maps
  of 48 scenes it reads an F1 of 0.84. ``multiscale_published.npz`` holds these answers. ``multiscale.npz`` is
  kinder, with blocks of 0.8 Å on the map magnified twice and a half-width of 0.7 spacings: 0.99 there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from tqdm import tqdm

from benchmarks.rivals.answers import SIDE, Image, answer_all, scenes
from napari_stemprior.errors import TrainingError
from napari_stemprior.network.checkpoint import load_tensors, save_tensors
from napari_stemprior.progress import Progress, drain
from napari_stemprior.training.examples import Example, ExampleStream
from napari_stemprior.training.loss_log import append_losses, forget_after

#: Pixels of an image after resizing, by eighths of the scene; the U-Net takes multiples of 16.
_SIDES = tuple(SIDE * eighths // 8 for eighths in range(6, 11))
#: Pixels: limits of the spacing, and what it is taken for before anything is known.
_SPACING_LIMITS = (3.0, 30.0)
_USUAL_SPACING = 10.0
_MAP_WEIGHT = 0.1
#: Least height of the map at a column.
_THRESHOLD = 0.1
_BLOCK = 8
_OVERLAP = 0.3


class MultiscaleNet(nn.Module):
    """The published U-Net, with the spacing regressed from its bottleneck."""

    def __init__(self, features: int = 32) -> None:
        super().__init__()
        widths = [features * 2**level for level in range(5)]
        self.down = nn.ModuleList(_block(a, b) for a, b in zip([1, *widths], widths, strict=False))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[:-1])
        self.up = nn.ModuleList(_block(2 * w, w) for w in widths[:-1])
        self.map = nn.Conv2d(features, 1, 1)
        self.spacing = nn.Sequential(
            nn.Linear(16 * features, 8 * features), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(8 * features, 2 * features), nn.ReLU(), nn.Dropout(0.5),
            nn.Linear(2 * features, 1),
        )  # fmt: skip
        nn.init.constant_(self.spacing[-1].bias, _USUAL_SPACING)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the map (B, H, W) in [0, 1] and the spacing (B,) in pixels of a (B, 1, H, W) image."""
        skips: list[Tensor] = []
        x = image
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            skips.append(x)
        spacing = self.spacing(skips.pop().mean(dim=(2, 3)))[:, 0]
        for grow, block, skip in zip(reversed(self.grow), reversed(self.up), reversed(skips), strict=True):
            x = block(torch.cat([grow(x), skip], dim=1))
        return self.map(x)[:, 0].float().sigmoid(), spacing.float().abs()


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (before, after):
        layers += [nn.Conv2d(width, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers)


def standardised(image: Tensor) -> Tensor:
    """Bring each (..., H, W) image to mean 0 and deviation 1."""
    mean, deviation = image.mean((-2, -1), keepdim=True), image.std((-2, -1), keepdim=True)
    return (image - mean) / deviation.clamp(min=1e-9)


@dataclass
class Batch:
    """What one step learns from.

    Parameters
    ----------
    image : Tensor (B, 1, H, W)
    map : Tensor (B, H, W)
        Blurred columns.
    spacing : Tensor (B,)
        Mean distance to the nearest neighbour in pixels; NaN where there are fewer than two columns.
    """

    image: Tensor
    map: Tensor
    spacing: Tensor


def augmented(example: Example, rng: np.random.Generator) -> Batch:
    """Resize and flip scenes, and draw their targets."""
    before, side = example.image.shape[-1], int(rng.choice(_SIDES))
    image = F.interpolate(example.image, (side, side), mode="bicubic", antialias=True)
    grid = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1).reshape(-1, 2)
    images, maps, spacings = [], [], []
    for picture, columns, token in zip(image, example.columns, example.column_token, strict=True):
        yx = (columns[token > -2].double().numpy() + 0.5) * (side / before) - 0.5
        for axis in (0, 1):
            if rng.random() < 0.5:
                picture = picture.flip(axis + 1)
                yx[:, axis] = side - 1 - yx[:, axis]
        spacing = mean_spacing(yx)
        sigma = (spacing if np.isfinite(spacing) else _USUAL_SPACING) / 4
        distance = cKDTree(yx).query(grid)[0] if len(yx) else np.full(side**2, np.inf)
        images.append(picture)
        maps.append(np.exp(-(distance**2) / (2 * sigma**2)).reshape(side, side).astype(np.float32))
        spacings.append(spacing)
    return Batch(
        standardised(torch.stack(images)),
        torch.from_numpy(np.stack(maps)),
        torch.tensor(spacings, dtype=torch.float32),
    )


def mean_spacing(yx: NDArray[np.float64]) -> float:
    """Return the mean distance of (N, 2) columns to their nearest neighbours; NaN for fewer than two."""
    if len(yx) < 2:
        return float("nan")
    nearest = np.asarray(cKDTree(yx).query(yx, 2)[0])[:, 1]
    return float(np.clip(nearest.mean(), *_SPACING_LIMITS))


class Batches(IterableDataset[Batch]):
    """The batches of a stream of scenes, augmented as seed and step decide."""

    def __init__(self, stream: ExampleStream) -> None:
        super().__init__()
        self.stream = stream

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches."""
        worker = get_worker_info()
        step = self.stream.first_step + (worker.id if worker else 0)
        for example in self.stream:
            yield augmented(example, np.random.default_rng([self.stream.seed, step, 0, 0, 1]))
            step += worker.num_workers if worker else 1


def loss_parts(output: tuple[Tensor, Tensor], batch: Batch) -> dict[str, Tensor]:
    """Return the parts of the loss, means over the images, and their ``total``."""
    known = torch.isfinite(batch.spacing)
    error = torch.where(known, output[1] - torch.nan_to_num(batch.spacing), 0.0)
    spacing = (error**2).mean()
    heat = ((output[0] - batch.map) ** 2).sum((1, 2)).mean()
    return {"spacing": spacing, "map": heat, "total": spacing + _MAP_WEIGHT * heat}


@dataclass(frozen=True)
class Settings:
    """How it is trained."""

    steps: int = 1500
    batch: int = 16
    seed: int = 1
    learning_rate: float = 1e-4
    workers: int = 1

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: a tenth after each quarter of the run."""
        return self.learning_rate * 0.1 ** min(4 * step // self.steps, 3)


class Trainer:
    """One resumable run.

    Parameters
    ----------
    settings : Settings
    folder : pathlib.Path
        Holds ``bank.npz``.
    name : str
        Folder in it where the run is kept.

    Raises
    ------
    TrainingError
        If the folder holds a run on other scenes or at another rate.
    """

    def __init__(self, settings: Settings, folder: Path, name: str = "multiscale") -> None:
        self.settings, self.folder, self.name = settings, folder, name
        torch.manual_seed(settings.seed)
        self.network = MultiscaleNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=settings.learning_rate, weight_decay=1e-4
        )
        self.step = 0
        self.seconds = 0.0
        if self._state_path.exists():
            self._resume()

    @property
    def _state_path(self) -> Path:
        return self.folder / self.name / "state.safetensors"

    @property
    def _identity(self) -> dict[str, str]:
        """What must not change between one start and the next."""
        return {n: str(v) for n, v in asdict(self.settings).items() if n != "workers"}

    def run(self, report_every: int = 20, save_every: int = 100) -> Generator[Progress, None, None]:
        """Train to the last step, yielding after every one."""
        settings = self.settings
        stream = scenes(self.folder, settings.batch, settings.seed, self.step)
        loader = DataLoader(
            Batches(stream),
            batch_size=None,
            num_workers=settings.workers,
            prefetch_factor=4 if settings.workers else None,
        )
        batches = iter(loader)
        sums: dict[str, float] = {}
        since, start = 0, time.monotonic()
        while self.step < settings.steps:
            for name, value in self._one_step(next(batches)).items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            self.step += 1
            since += 1
            now = time.monotonic()
            self.seconds, start = self.seconds + now - start, now
            if self.step % report_every == 0 or self.step == settings.steps:
                self._log({name: value / since for name, value in sums.items()})
                sums, since = {}, 0
            if self.step % save_every == 0 or self.step == settings.steps:
                self._save()
            yield Progress(self.step, settings.steps, "training")

    def _one_step(self, batch: Batch) -> dict[str, Tensor]:
        # dropout is decided by the step, so that a resumed run is the same run
        torch.manual_seed(self.settings.seed * 1_000_003 + self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate(self.step)
        self.network.train()
        image = batch.image.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            output = self.network(image)
        parts = loss_parts(output, batch)
        if not bool(torch.isfinite(parts["total"])):
            raise TrainingError(f"The loss is not finite at step {self.step}; lower the learning rate.")
        self.optimiser.zero_grad(set_to_none=True)
        parts["total"].backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return parts

    def _log(self, means: dict[str, float]) -> None:
        path = self._state_path.with_name("log.csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        samples, rate = self.step * self.settings.batch, self.settings.rate(self.step - 1)
        append_losses(path, self.step, samples, self.seconds, rate, means)

    def _save(self) -> None:
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            state = self.optimiser.state.get(parameter, {})
            tensors |= {f"moment.{key}.{name}": value for key, value in state.items()}
        metadata = {"step": str(self.step), "seconds": str(self.seconds)} | self._identity
        save_tensors(tensors, metadata, self._state_path)

    def _resume(self) -> None:
        tensors, metadata = load_tensors(self._state_path)
        for name, value in self._identity.items():
            if metadata.get(name) != value:
                raise TrainingError(
                    f"{self._state_path}: the run there has {name} = {metadata.get(name)}, not {value}; "
                    "choose another folder or give the same options."
                )
        prefix = "network."
        self.network.load_state_dict(
            {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
        )
        for name, parameter in self.network.named_parameters():
            self.optimiser.state[parameter] = {
                key: tensors[f"moment.{key}.{name}"] for key in ("step", "exp_avg", "exp_avg_sq")
            }
        self.step, self.seconds = int(metadata["step"]), float(metadata["seconds"])
        forget_after(self._state_path.with_name("log.csv"), self.step)


def decoded(heat: Tensor, spacing: float, magnify: int, half_width: float) -> NDArray[np.float64]:
    """Read columns off a map: the maximum of each block, then suppression of overlapping boxes.

    Parameters
    ----------
    heat : Tensor (H, W)
        Sides are multiples of 8.
    spacing : float
        Pixels.
    magnify : int
        How often the map is magnified before it is cut into blocks of 8 × 8.
    half_width : float
        Of the boxes, in units of the spacing.

    Returns
    -------
    (N, 2) array of pixels (y, x)
    """
    maps = heat[None, None]
    if magnify > 1:
        maps = F.interpolate(maps, scale_factor=magnify, mode="bicubic")
    score, place = (t.flatten() for t in F.max_pool2d(maps, _BLOCK, return_indices=True))
    order = torch.argsort(score, descending=True, stable=True)
    order = order[score[order] > _THRESHOLD]
    width = maps.shape[-1]
    yx = torch.stack([place[order] // width, place[order] % width], 1).double().numpy()
    yx = (yx + 0.5) / magnify - 0.5
    half = max(spacing * half_width, 1.0)
    kept = np.ones(len(yx), bool)
    near = cKDTree(yx).query_ball_point(yx, 2 * half, p=np.inf) if len(yx) else []
    for number, neighbours in enumerate(near):
        if kept[number]:
            others = np.asarray(neighbours)
            others = others[others > number]
            shared = (2 * half - np.abs(yx[others] - yx[number])).prod(axis=1)
            kept[others[shared / (8 * half**2 - shared) > _OVERLAP]] = False
    return yx[kept]


def found(network: MultiscaleNet, published: bool, image: Image) -> NDArray[np.float64]:
    """Return what the network finds in an (H, W) image of the pixel size of the scenes, (N, 2) pixels."""
    data = standardised(torch.from_numpy(image)[None, None])
    with torch.inference_mode():  # in single precision, for half has plateaus in place of maxima
        heat, spacing = network(data.contiguous(memory_format=torch.channels_last))
    if published:
        return decoded(heat[0], float(np.floor(float(spacing))), 1, 1.0)
    return decoded(heat[0], float(spacing), 2, 0.7)


def main() -> None:
    """Train, and answer for every image."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("out/rivals"))
    parser.add_argument("--steps", type=int, default=1500, help="mini-batches (default %(default)s)")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1, help="of the scenes, as in the training configuration")
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="default %(default)s, as published")
    parser.add_argument("--name", default="multiscale", help="of the run and of its files of answers")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw scenes")
    options = parser.parse_args()
    settings = Settings(options.steps, options.batch, options.seed, options.learning_rate, options.workers)
    trainer = Trainer(settings, options.output, options.name)
    with tqdm(total=settings.steps, initial=trainer.step, unit="step", disable=None) as bar:
        drain(trainer.run(), lambda progress: bar.update(progress.done - bar.n) and None)
    network = trainer.network.eval()
    for suffix, published in (("", False), ("_published", True)):
        file = options.output / f"{options.name}{suffix}.npz"
        answer_all(options.output, file, partial(found, network, published))


if __name__ == "__main__":
    main()
