"""Random micrographs for the registration benchmark, with where their columns truly lie.

The fast engine draws them (`napari_stemprior.optics.incoherent.engine`), the noise chain of the training
counts them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from napari_stemprior.optics.incoherent.engine import probe_transfer, render_columns, scattered_intensity
from napari_stemprior.optics.instrument import PRESETS, Instrument
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.registration import Pose
from napari_stemprior.structure import Column, StructurePrior
from napari_stemprior.structure.elements import ATOMIC_NUMBERS

Floats = NDArray[np.float64]
SCENES = ("perfect", "strain", "hole", "grains")
DOSES = (3e2, 1e3, 3e3, 1e4, 3e4)
#: Thickness in Å of the crystals that are not layers.
THICKNESS = 60.0
#: The fast engine has the scale of a 70-200 mrad detector; light layers are looked at with 40-120 mrad, which
#: collects so many times more of them (abTEM multislice of graphene at 60 kV against the fast engine).
MAADF_GAIN = 8.0
#: Å: columns nearer than this to a hole or a boundary do not count, nor those nearer than 1 Å to the border.
EDGE = 4.0
BORDER = 1.0


@dataclass(frozen=True)
class Grain:
    """One crystal of a scene: its columns that count, and the pose that was drawn.

    Parameters
    ----------
    yx : (N, 2) array
        Pixels of the columns that count, bent as the image is.
    index : (N,) array
        Columns of the prior.
    pose : Pose
        Without the bend.
    """

    yx: Floats
    index: NDArray[np.int64]
    pose: Pose


@dataclass(frozen=True)
class Scene:
    """An ideal image, fraction of the beam, and its grains."""

    name: str
    prior: StructurePrior
    image: NDArray[np.float32]
    pixel_size: float
    grains: tuple[Grain, ...]

    def micrograph(self, dose: float, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return counts at `dose` e/Å², with row jitter and contamination."""
        return NoiseChain(dose, row_jitter=0.05, contamination=0.15).apply(self.image, self.pixel_size, rng)


def instrument_for(prior: StructurePrior) -> Instrument:
    """Return what such a specimen is usually looked at with."""
    if prior.period:
        return PRESETS["200 kV HAADF"]
    return PRESETS["60 kV MAADF" if prior.atomic_numbers.max() < 10 else "80 kV HAADF"]


def random_pose(pixel_size: float, shape: tuple[int, int], rng: np.random.Generator) -> Pose:
    """Draw rotation, mirror, origin, and an affine drift of up to 3 %."""
    rigid = Pose.from_angle(
        rng.uniform(0, 360), pixel_size, rng.uniform(0, shape, 2), mirrored=bool(rng.integers(2))
    )
    # the slow axis (y) of a scan drifts: it stretches and shears, the fast one hardly does
    drift = np.eye(2) + np.array([[rng.uniform(-0.03, 0.03), 0.0], [rng.uniform(-0.03, 0.03), 0.0]])
    return Pose(drift @ rigid.affine, rigid.origin)


def draw(
    prior: StructurePrior, name: str, pixel_size: float, shape: tuple[int, int], rng: np.random.Generator
) -> Scene:
    """Draw one scene of a prior.

    Parameters
    ----------
    prior : StructurePrior
    name : str
        One of `SCENES`.
    pixel_size : float
        Å per pixel.
    shape : (int, int)
    rng : numpy Generator
    """
    poses = [random_pose(pixel_size, shape, rng)]
    if name == "grains":
        turn = np.deg2rad(rng.uniform(8, 30))
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        poses.append(Pose(rotation @ poses[0].affine, rng.uniform(0, shape, 2)))
    bend = _bend(pixel_size, rng) if name == "strain" else None
    direction = rng.uniform(0, 2 * np.pi)
    normal = np.array([np.sin(direction), np.cos(direction)])
    middle = np.array(shape) / 2 + rng.uniform(-0.08, 0.08, 2) * shape
    margin = 6.0 / pixel_size
    drawn: list[tuple[Floats, NDArray[np.int64]]] = []
    grains = []
    for number, pose in enumerate(poses):
        yx, index = pose.columns(prior, shape, margin)
        if bend is not None:
            yx = yx + bend(yx)
        # Å inside the crystal: positive, away from its edge
        depth = np.full(len(yx), np.inf)
        if name == "hole":
            depth = np.linalg.norm(yx - middle, axis=1) * pixel_size - rng.uniform(7, 10)
        elif name == "grains":
            depth = (1 - 2 * number) * ((yx - middle) @ normal) * pixel_size
        keep = depth > 0
        if drawn:  # no two columns on one another at the boundary
            keep &= cKDTree(drawn[0][0]).query(yx)[0] * pixel_size > 0.7 * prior.neighbour_distance
        inside = ((yx >= BORDER / pixel_size) & (yx <= np.array(shape) - 1 - BORDER / pixel_size)).all(axis=1)
        counts = inside & (depth > EDGE)
        grains.append(Grain(yx[counts], index[counts], pose))
        drawn.append((yx[keep], index[keep]))
    places = np.concatenate([d[0] for d in drawn])
    index = np.concatenate([d[1] for d in drawn])
    return Scene(
        name, prior, crystal_image(prior, places, index, pixel_size, shape), pixel_size, tuple(grains)
    )


def _bend(pixel_size: float, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    """Return a smooth displacement: two waves of 0.4 Å, 40 to 70 Å long, strains up to 6 %."""
    bearing = rng.uniform(0, 2 * np.pi, 2)
    waves = np.stack([np.sin(bearing), np.cos(bearing)], 1) / rng.uniform(40, 70, (2, 1)) * pixel_size
    phase = rng.uniform(0, 2 * np.pi, 2)

    def bend(yx: Floats) -> Floats:
        return 0.4 / pixel_size * np.sin(2 * np.pi * (yx @ waves.T) + phase)

    return bend


def _scattered(column: Column, repeats: float) -> float:
    """Return what a column scatters, in fraction of the beam times Å²."""
    return sum(scattered_intensity(ATOMIC_NUMBERS[s], count * repeats) for s, count in column.composition)


def crystal_image(
    prior: StructurePrior,
    places: Floats,
    index: NDArray[np.int64],
    pixel_size: float,
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    """Draw columns of a prior, (N, 2) pixels (y, x), in fractions of the beam; free of noise."""
    repeats = max(1.0, round(THICKNESS / prior.period)) if prior.period else 1.0
    margin = int(np.ceil(6.0 / pixel_size))
    field = (shape[0] + 2 * margin, shape[1] + 2 * margin)
    intensity = np.array([_scattered(column, repeats) for column in prior.columns])[index]
    if instrument_for(prior) == PRESETS["60 kV MAADF"]:
        intensity = intensity * MAADF_GAIN
    image = render_columns(
        torch.from_numpy(places + margin).float(),
        torch.from_numpy(intensity).float(),
        probe_transfer(instrument_for(prior), field, pixel_size),
        field,
        pixel_size,
    ).numpy()
    inner = image[margin : margin + shape[0], margin : margin + shape[1]]
    return np.ascontiguousarray(np.clip(inner, 0, None), dtype=np.float32)


def blanks(
    shape: tuple[int, int], pixel_size: float, counts: float, rng: np.random.Generator
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield images without any lattice, with `counts` electrons a pixel: pure noise, an amorphous film."""
    yield "pure noise", rng.poisson(counts, shape).astype(np.float32)
    film = gaussian_filter(rng.normal(size=shape), rng.uniform(0.35, 0.8) / pixel_size)
    film = np.clip(1 + rng.uniform(0.2, 0.6) * film / film.std(), 0, None)
    yield "amorphous film", rng.poisson(counts * film).astype(np.float32)
