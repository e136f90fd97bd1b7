"""What a recording does to a training scene beyond dose and detector, as the network gets to see it.

The network is given an image that has been made fit: most of the row offsets are gone, and borders,
saturated rows and hot pixels are filled with the average of what surrounds them. So a scene gets what is
left of the row offsets, and filled areas without atoms. Displacements stay small beside a column: jitter of
pixels to 0.1 Å, mains to 0.15 Å; drift, shear (3 %) and flyback move the true columns with the image.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from torch import Tensor
from torch.nn import functional as F

from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.noise.scan_distortion import ScanDistortion
from napari_stemprior.optics.noise.scan_noise import ScanNoise
from napari_stemprior.training.scenes import Scene, displaced

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
#: A filled strip narrower than this (Å) leaves enough of an atom to see it.
NARROW = 0.5
#: Pixels to each side over which a column is displaced as a whole.
_COLUMN_REACH = 2
#: Pixels to each side over which a registration smooths the displacement that it follows.
_REGISTERED_REACH = 16
#: Å: from how far a pixel of a wide and of a narrow filled area takes its value.
_FILL_REACH, _NARROW_FILL_REACH = 3.0, 0.5


@dataclass(frozen=True)
class Recording:
    """What one recording adds; each part can be left at its default, which adds nothing.

    Parameters
    ----------
    distortion : ScanDistortion
        Moves the image; the true columns move with it.
    scan_noise : ScanNoise
        What is left of row offsets and hum, and flashes.
    uneven_gain : float
        As in `DetectorArtefacts`.
    afterglow : float
        Pixels; 0 keeps that of the scene.
    exposure_of_digits : float
        Largest expected signal in parts of the 8-bit scale, beyond 1 it is clipped; 0 leaves digits out.
    offset : float
        Digits of a pixel without electrons.
    jpeg_quality : int
        0 leaves JPEG out; needs digits.
    borders : tuple of float
        Width of the filled border at the top, bottom, left and right, in parts of the field.
    strips : tuple of (float, float, float)
        Filled rows: first row and first column in parts of the field, and thickness in Å.
    spots : float
        Fraction of single pixels that are filled.
    smoothing : float
        Standard deviation of the Gaussian by which a person or a program has smoothed the picture, Å.
        Smoothed noise has spots as large as columns.
    """

    distortion: ScanDistortion = field(default_factory=ScanDistortion)
    scan_noise: ScanNoise = field(default_factory=ScanNoise)
    uneven_gain: float = 0.0
    afterglow: float = 0.0
    exposure_of_digits: float = 0.0
    offset: float = 0.0
    jpeg_quality: int = 0
    borders: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    strips: tuple[tuple[float, float, float], ...] = ()
    spots: float = 0.0
    smoothing: float = 0.0

    def chain(self, chain: NoiseChain, brightest: float) -> NoiseChain:
        """Return the chain of a scene with this recording's parts, other than the distortion.

        Parameters
        ----------
        chain : NoiseChain
        brightest : float
            Electrons expected in the brightest pixel.
        """
        made = replace(
            chain,
            scan_noise=self.scan_noise,
            afterglow=self.afterglow or chain.afterglow,
            artefacts=replace(chain.artefacts, uneven_gain=self.uneven_gain),
        )
        if not self.exposure_of_digits:
            return made
        top = max(brightest + 3 * np.sqrt(brightest), 1.0)
        gain = 255 * self.exposure_of_digits / top
        return replace(made, gain=gain, offset=self.offset, bits=8, jpeg_quality=self.jpeg_quality)

    def filled_areas(self, shape: tuple[int, int], pixel_size: float) -> tuple[Mask, Mask]:
        """Return the wide and the narrow filled areas; only the wide ones hide atoms.

        Parameters
        ----------
        shape : (int, int)
        pixel_size : float
            Å per pixel.

        Returns
        -------
        wide, narrow : (H, W) arrays of bool
        """
        wide, narrow = np.zeros(shape, bool), np.zeros(shape, bool)
        top, bottom, left, right = (
            round(part * shape[axis]) for part, axis in zip(self.borders, (0, 0, 1, 1), strict=True)
        )
        wide[:top] = wide[shape[0] - bottom :] = True
        wide[:, :left] = wide[:, shape[1] - right :] = True
        for row, column, thickness in self.strips:
            rows = max(1, round(thickness / pixel_size))
            area = wide if rows * pixel_size > NARROW else narrow
            first = int(row * shape[0])
            area[first : first + rows, int(column * shape[1]) :] = True
        return wide, narrow


def draw_recording(rng: np.random.Generator) -> Recording:
    """Draw what a recording adds; every part has its own probability."""

    def some(probability: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < probability else 0.0

    frequency = float(rng.choice([50.0, 60.0]))
    dwell_time = float(10 ** rng.uniform(-5.3, -4.0))  # 5 to 100 µs: rows as long as those of whole frames
    distortion = ScanDistortion(
        pixel_jitter=some(0.25, 0.02, 0.1),
        flyback=some(0.2, 0.2, 1.0),
        flyback_length=float(rng.uniform(0.05, 0.2)),
        drift=some(0.25, 0.2, 2.0),
        shear=some(0.2, -0.03, 0.03),
        mains=some(0.25, 0.02, 0.15),
        mains_frequency=frequency,
        dwell_time=dwell_time,
    )
    scan_noise = ScanNoise(
        row_offsets=some(0.08, 0.15, 0.5) or some(0.5, 0.0, 0.15),
        row_wander=some(0.2, 0.0, 0.1),
        flashes=int(rng.integers(1, 6)) if rng.random() < 0.25 else 0,
        flash_strength=float(10 ** rng.uniform(-0.5, 0.5)),
        flash_length=float(rng.uniform(0.03, 0.3)),
        mains=some(0.25, 0.02, 0.15),
        mains_frequency=frequency,
        dwell_time=dwell_time,
    )
    digits = some(0.4, 0.4, 1.15)
    quality = int(rng.integers(60, 96)) if rng.random() < 0.4 else 0
    borders = _draw_borders(rng) if rng.random() < 0.25 else (0.0, 0.0, 0.0, 0.0)
    strips = _draw_strips(rng) if rng.random() < 0.25 else ()
    return Recording(
        distortion,
        scan_noise,
        uneven_gain=some(0.25, 0.05, 0.35),
        afterglow=some(0.2, 0.3, 3.0),
        exposure_of_digits=digits,
        offset=float(rng.uniform(0, 20)),
        jpeg_quality=quality if digits else 0,
        borders=borders,
        strips=strips,
        spots=some(0.25, 1e-4, 3e-3),
        smoothing=some(0.12, 0.1, 0.5),
    )


def _draw_borders(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Draw one or two borders; the field's own margin is cut off later, so that narrow ones do not show."""
    sides = rng.permutation(4)[: int(rng.integers(1, 3))]
    widths = [float(rng.uniform(0.1, 0.35)) if side in sides else 0.0 for side in range(4)]
    return widths[0], widths[1], widths[2], widths[3]


def _draw_strips(rng: np.random.Generator) -> tuple[tuple[float, float, float], ...]:
    strips = []
    for _ in range(int(rng.integers(1, 5))):
        column = 0.0 if rng.random() < 0.6 else float(rng.uniform(0.0, 0.9))
        strips.append((float(rng.uniform(0, 1)), column, float(10 ** rng.uniform(-0.7, 0.6))))
    return tuple(strips)


def sampled(image: Tensor, displacement: Floats) -> Tensor:
    """Return the (H, W) image as a beam sees it that is displaced by a (2, H, W) field in pixels.

    Cubic interpolation; beyond the edge the image goes on as its mirror image.
    """
    height, width = image.shape
    y = torch.from_numpy(displacement[0]).float() + torch.arange(height)[:, None]
    x = torch.from_numpy(displacement[1]).float() + torch.arange(width)[None, :]
    grid = torch.stack((2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1), dim=-1)
    return F.grid_sample(
        image[None, None], grid[None], mode="bicubic", padding_mode="reflection", align_corners=True
    )[0, 0]


def moved_with_beam(scene: Scene, displacement: Floats) -> Scene:
    """Return the scene as a displaced beam shows it.

    A beam that is displaced by u(p) shows at p what lies at p + u(p). A column moves by the mean over its
    own width; the displacement that a prompt may know of is what a registration would follow.

    Parameters
    ----------
    scene : Scene
    displacement : (2, H, W) array
        Pixels of its own grid, which covers the scene's field.
    """
    scale = displacement.shape[1] / scene.size
    nearest = nearest_pixels(scene.size, scale)
    moves = torch.from_numpy(displacement[:, nearest[:, None], nearest[None, :]] / scale).float()
    felt = _mean_around(moves, _COLUMN_REACH).double().numpy()
    shown = scene.positions
    for _ in range(2):
        shown = scene.positions - displaced(shown, felt)
    coarse = _mean_around(F.avg_pool2d(moves, 4), _REGISTERED_REACH // 4)
    followed = F.interpolate(coarse[None], (scene.size, scene.size), mode="bilinear")[0].double().numpy()
    return replace(scene, positions=shown, displacement=scene.displacement - followed)


def made_fit(
    image: Image, recording: Recording, pixel_size: float, rng: np.random.Generator
) -> tuple[Image, Mask]:
    """Fill in borders, strips and spots as it is done before an image is shown to the network.

    Parameters
    ----------
    image : (H, W) array
    recording : Recording
    pixel_size : float
        Å per pixel.
    rng : numpy Generator
        Decides where the spots lie.

    Returns
    -------
    image : (H, W) array
    hidden : (H, W) array of bool
        The filled areas that are wide enough to hide an atom.
    """
    wide, narrow = recording.filled_areas((image.shape[0], image.shape[1]), pixel_size)
    if recording.spots:
        count = int(rng.poisson(recording.spots * image.size))
        narrow.flat[rng.integers(0, image.size, count)] = True
    image = filled(image, narrow & ~wide, _NARROW_FILL_REACH / pixel_size)
    return filled(image, wide, _FILL_REACH / pixel_size), wide


def filled(image: Image, area: Mask, reach: float) -> Image:
    """Return the image with an area filled by the average of what lies outside it and near.

    Parameters
    ----------
    image : (H, W) array
    area : (H, W) array of bool
    reach : float
        Pixels; where nothing recorded lies so near, the mean of the image takes over.
    """
    if not area.any() or area.all():
        return image
    seen = (~area).astype(np.float32)
    mean = float(image[~area].mean())
    both = torch.from_numpy(np.stack([seen, (image - mean) * seen]).astype(np.float32))
    step = max(1, int(reach / 4))
    coarse = F.avg_pool2d(both, step, ceil_mode=True, count_include_pad=False)
    near = _mean_around(coarse, max(1, round(reach / step)))
    weight, total = F.interpolate(near[None], image.shape, mode="bilinear")[0].numpy()
    return np.where(area, mean + total / (weight + 1e-3), image).astype(np.float32)


def nearest_pixels(size: int, scale: float) -> NDArray[np.int64]:
    """Return for `size` pixels the nearest ones of a grid that is `scale` times as fine."""
    return ((np.arange(size) + 0.5) * scale).astype(np.int64)


def _mean_around(maps: Tensor, reach: int) -> Tensor:
    """Average (C, H, W) maps over a box of `reach` pixels to each side."""
    return torch.from_numpy(uniform_filter(maps.numpy(), (0, 2 * reach + 1, 2 * reach + 1), mode="nearest"))
