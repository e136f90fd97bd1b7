"""A micrograph of a scene: random instrument, sampling, dose and detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.nn import functional as F

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.network.resample import fourier_resample
from napari_stemprior.optics.incoherent.engine import Astigmatism, probe_transfer, render_columns
from napari_stemprior.optics.instrument import Instrument
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.noise.smooth_fields import smooth_field
from napari_stemprior.training.recording import (
    draw_recording,
    made_fit,
    moved_with_beam,
    nearest_pixels,
    sampled,
)
from napari_stemprior.training.scenes import Scene

#: Share of the scenes that get the artefacts of a recording; the rest stay clean but for dose and detector.
RECORDED = 0.65


@dataclass(eq=False)
class Acquisition:
    """A scene as it was recorded.

    Parameters
    ----------
    image : (size, size) array of float32
    scene : Scene
        With the columns where the image shows them.
    filled : (size, size) array of bool
        Where the image was filled in and shows no atom, whatever the scene holds.
    """

    image: NDArray[np.float32]
    scene: Scene
    filled: NDArray[np.bool_]

    def shows(self, yx: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return for (N, 2) positions whether the image was recorded there."""
        row, column = np.clip(np.round(yx).astype(int), 0, self.scene.size - 1).T
        return np.asarray(~self.filled[row, column])


def random_instrument(rng: np.random.Generator) -> tuple[Instrument, Astigmatism]:
    """Draw a corrected STEM between 60 and 300 kV, not quite in focus."""
    energy = float(rng.choice([60, 80, 200, 300]))
    limits = (25.0, 36.0) if energy <= 80 else (17.0, 30.0)
    instrument = Instrument(
        beam_energy=energy,
        convergence_semi_angle=rng.uniform(*limits),
        defocus=rng.normal(0, 25),
        source_size=rng.uniform(0.4, 1.3),
    )
    return instrument, Astigmatism(abs(rng.normal(0, 12)), rng.uniform(0, np.pi))


def acquire(
    scene: Scene, rng: np.random.Generator, electrons: float | None = None, recorded: float = 0.0
) -> Acquisition:
    """Record a scene at a random dose on a random pixel grid, brought to the canonical one.

    Parameters
    ----------
    scene : Scene
    rng : numpy Generator
    electrons : float, optional
        Detected electrons per average column; drawn from hopeless to plenty where not given.
    recorded : float
        Probability that the scene gets the artefacts of a recording.

    Notes
    -----
    What the artefacts are is drawn from a generator of their own, so that a scene without them is the same
    whatever their probability.
    """
    size = scene.size
    own = rng.spawn(1)[0]
    recording = draw_recording(own) if own.random() < recorded else None
    instrument, astigmatism = random_instrument(rng)
    sampling = rng.random()
    # finer than canonical leaves Poisson noise in the pixels; coarser leaves none above its own Nyquist
    grid = (
        2 * size
        if sampling < 0.25
        else size
        if sampling < 0.75
        else 2 * int(rng.uniform(0.55, 1.0) * size / 2)
    )
    scale = grid / size
    pixel = CANONICAL_PIXEL_SIZE / scale
    render = min(grid, size)
    transfer = probe_transfer(instrument, (render, render), pixel * grid / render, astigmatism=astigmatism)
    positions = (torch.from_numpy(scene.positions) + 0.5) * (render / size) - 0.5
    image = render_columns(
        positions.float(),
        torch.from_numpy(scene.intensities).float(),
        transfer,
        (render, render),
        pixel * grid / render,
        thermal=rng.uniform(0.06, 0.13),
    )
    if scene.ground is not None:
        ground = torch.from_numpy(scene.ground).float()[None, None]
        image = image + F.interpolate(ground, (render, render), mode="bilinear")[0, 0]
    if recording is not None and not recording.distortion.is_none:
        displacement = recording.distortion.displacement((render, render), pixel * grid / render, own)
        image = sampled(image, displacement)
        scene = moved_with_beam(scene, displacement)
    if grid > render:
        image = fourier_resample(image, (grid, grid))
    signal = np.clip(image.numpy(), 0, None).astype(np.float32)
    if rng.random() < 0.5:  # thickness varies over the field
        signal = signal * (1 + rng.uniform(0, 0.6) * (smooth_field(signal.shape, 15 / pixel, rng) - 0.5))
    mean = max(float(signal.mean()), 1e-6)
    if rng.random() < 0.5:
        signal = signal + mean * rng.uniform(0, 1.5)
    columns = scene.intensities[scene.lattice >= 0]
    column = float(np.mean(columns)) if len(columns) else 1.0
    drawn = 10 ** rng.uniform(-0.2, 4.3)
    electrons = drawn if electrons is None else electrons
    chain = NoiseChain(
        dose=electrons / max(column, 1e-6),
        row_jitter=rng.uniform(0, 0.2) if rng.random() < 0.4 else 0.0,
        contamination=rng.uniform(0, 1.5) if rng.random() < 0.35 else 0.0,
        afterglow=rng.uniform(0.3, 1.5) if rng.random() < 0.2 else 0.0,
        readout=rng.uniform(0, 0.3) if rng.random() < 0.3 else 0.0,
    )
    hidden = np.zeros((size, size), bool)
    if recording is not None:
        brightest = (float(signal.max()) + chain.contamination * float(signal.mean())) * pixel**2 * chain.dose
        chain = recording.chain(chain, brightest)
    frame = chain.apply(signal, pixel, rng)
    if recording is not None:
        if recording.smoothing:
            frame = gaussian_filter(frame, recording.smoothing / pixel)
        frame, wide = made_fit(frame, recording, pixel, own)
        nearest = nearest_pixels(size, scale)
        hidden = wide[np.ix_(nearest, nearest)]
    counts = torch.from_numpy(frame)
    if grid != size:
        counts = fourier_resample(counts, (size, size))
    return Acquisition(counts.numpy().astype(np.float32), scene, hidden)
