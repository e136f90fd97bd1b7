"""A micrograph of a scene: random instrument, sampling, dose and detector."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.network.resample import fourier_resample
from napari_stemprior.optics.incoherent import Astigmatism, probe_transfer, render_columns
from napari_stemprior.optics.instrument import Instrument
from napari_stemprior.optics.noise import NoiseChain, smooth_field
from napari_stemprior.training.scenes import Scene


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


def expose(scene: Scene, rng: np.random.Generator, electrons: float | None = None) -> NDArray[np.float32]:
    """Record a scene at a random dose on a random pixel grid, brought to the canonical one.

    Parameters
    ----------
    scene : Scene
    rng : numpy Generator
    electrons : float, optional
        Detected electrons per average column; drawn from hopeless to plenty where not given.

    Returns
    -------
    (size, size) array of float32
    """
    size = scene.size
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
    if grid > render:
        image = fourier_resample(image, (grid, grid))
    signal = np.clip(image.numpy(), 0, None).astype(np.float32)
    if rng.random() < 0.5:  # thickness varies over the field
        signal = signal * (1 + rng.uniform(0, 0.6) * (smooth_field(signal.shape, 15 / pixel, rng) - 0.5))
    mean = max(float(signal.mean()), 1e-6)
    if rng.random() < 0.5:
        signal = signal + mean * rng.uniform(0, 1.5)
    column = float(np.mean(scene.intensities)) if len(scene.intensities) else 1.0
    drawn = 10 ** rng.uniform(-0.2, 4.3)
    electrons = drawn if electrons is None else electrons
    noise = NoiseChain(
        dose=electrons / max(column, 1e-6),
        row_jitter=rng.uniform(0, 0.2) if rng.random() < 0.4 else 0.0,
        contamination=rng.uniform(0, 1.5) if rng.random() < 0.35 else 0.0,
        afterglow=rng.uniform(0.3, 1.5) if rng.random() < 0.2 else 0.0,
        readout=rng.uniform(0, 0.3) if rng.random() < 0.3 else 0.0,
    )
    counts = torch.from_numpy(noise.apply(signal, pixel, rng))
    if grid != size:
        counts = fourier_resample(counts, (size, size))
    return counts.numpy().astype(np.float32)
