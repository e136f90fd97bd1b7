"""Random scenes: specimens with true columns, as crystals really are.

A scene is laid out on a field of canonical pixels, (y, x), with a margin that is cropped later.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.optics.noise.smooth_fields import random_cosines
from napari_stemprior.structure.lattice_points import lattice_columns
from napari_stemprior.structure.prior import MERGE_DISTANCE, StructurePrior
from napari_stemprior.training.disordered import (
    amorphous_film,
    covered,
    isolated_atoms,
    smooth_ground,
)
from napari_stemprior.training.random_crystal import random_crystal

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: Å that an adatom keeps from the columns around it.
_ADATOM_DISTANCE = 0.8
#: Share of the scenes without a crystal.
DISORDERED = 0.06


@dataclass(eq=False)
class PlacedCrystal:
    """One crystal laid on the field.

    Parameters
    ----------
    crystal : StructurePrior
    affine : (2, 2) array
        Maps (x, y) in Å to canonical pixels (y, x).
    origin : (2,) array
    layer : int
        Added to the crystal's own layers.
    """

    crystal: StructurePrior
    affine: Floats
    origin: Floats
    layer: int = 0

    def columns(self, size: int) -> tuple[Floats, Integers]:
        """Return the (M, 2) positions in pixels on a field of `size`, and the column of the cell."""
        return lattice_columns(self.crystal, self.affine, self.origin, (size, size))


@dataclass(eq=False)
class Scene:
    """A simulated specimen with its true atoms, in canonical pixels.

    Parameters
    ----------
    size : int
        Side of the field in pixels.
    positions : (N, 2) array
        Every scatterer that is really there.
    intensities : (N,) array
        In units of one atom of Z = 42.
    layers : (N,) array
    lattice : (N,) array
        Which of `lattices` it belongs to; -1 for amorphous matter, which is no column.
    index : (N,) array
        Column of that lattice's cell; -1 where the atom is on no site.
    lattices : list of PlacedCrystal
    displacement : (2, size, size) array
        Pixels by which strain and drift have moved the specimen.
    ground : (size, size) array, optional
        What scatters without atoms that could be told, per Å² in the units of `intensities`.
    """

    size: int
    positions: Floats
    intensities: Floats
    layers: Integers
    lattice: Integers
    index: Integers
    lattices: list[PlacedCrystal]
    displacement: Floats
    ground: Floats | None = None

    def true_columns(self) -> tuple[Floats, Integers, Integers, Integers]:
        """Return positions, hidden flag, lattice and cell column of what a segmentation should find.

        A lower column under an upper one is the same column.
        """
        atom = self.lattice >= 0
        positions, layers = self.positions[atom], self.layers[atom]
        top = layers == 0
        hidden = ~top
        if top.any() and hidden.any():
            distance, _ = cKDTree(positions[top]).query(positions[hidden])
            covered = np.zeros(len(positions), bool)
            covered[np.flatnonzero(hidden)] = distance * CANONICAL_PIXEL_SIZE < MERGE_DISTANCE
        else:
            covered = np.zeros(len(positions), bool)
        keep = ~covered
        return (
            positions[keep],
            hidden[keep].astype(np.int64),
            self.lattice[atom][keep],
            self.index[atom][keep],
        )


def random_affine(rng: np.random.Generator, shear: float = 0.03) -> Floats:
    """Draw a rotation, mirror and small shear that map (x, y) Å to canonical pixels (y, x)."""
    t = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    if rng.random() < 0.5:
        rotation = rotation @ np.diag([1.0, -1.0])
    strain = np.eye(2) + rng.normal(0, shear / 2, (2, 2)) * (rng.random() < 0.5)
    return np.asarray((strain @ rotation)[::-1] / CANONICAL_PIXEL_SIZE)


def random_scene(
    rng: np.random.Generator, bank: list[StructurePrior], size: int, disordered: float = DISORDERED
) -> Scene:
    """Draw a specimen: mono- or bilayer, with the defects that real ones have, or no crystal at all.

    Parameters
    ----------
    rng : numpy Generator
    bank : list of StructurePrior
    size : int
        Side of the field in canonical pixels.
    disordered : float
        Probability that there is no crystal.
    """
    own = rng.spawn(1)[0]  # what it decides leaves the rest of the scene as it is
    if own.random() < disordered:
        return disordered_scene(own, bank, size)
    crystal = pick_crystal(rng, bank)
    lattices = [PlacedCrystal(crystal, random_affine(rng), rng.uniform(0, size, 2))]
    kind = rng.choice(["one", "bilayer", "grains"], p=[0.58, 0.26, 0.16])
    if kind == "bilayer":
        lattices.append(_second_layer(rng, bank, lattices[0], size))
    elif kind == "grains":
        lattices.append(_second_grain(rng, bank, lattices[0], size))
    displacement = _displacement(rng, size)
    boundary = _boundary(own, size)

    exponent = rng.uniform(1.4, 1.95)
    attenuation = rng.uniform(0.75, 1.0)
    parts = []
    for number, lattice in enumerate(lattices):
        yx, index = lattice.columns(size)
        intensity = lattice.crystal.intensities(exponent)[index]
        layers = lattice.crystal.layer_numbers[index] + lattice.layer
        intensity = intensity * attenuation**layers
        if kind == "grains":
            keep = boundary.is_beyond(yx) == (number == 1)
            yx, index, intensity, layers = yx[keep], index[keep], intensity[keep], layers[keep]
        parts.append((yx, intensity, layers, np.full(len(yx), number), index))
    yx, intensity, layers, owner, index = (np.concatenate(p) for p in zip(*parts, strict=True))

    scene = Scene(size, yx, intensity, layers, owner, index, lattices, displacement)
    _defects(rng, scene)
    if rng.random() < 0.12:
        _adatoms(rng, scene)
    scene.positions = scene.positions + displaced(scene.positions, displacement)
    scene.positions += rng.normal(0, rng.uniform(0, 0.04) / CANONICAL_PIXEL_SIZE, scene.positions.shape)
    if rng.random() < 0.12:
        _amorphous(rng, scene)
    return scene


def disordered_scene(rng: np.random.Generator, bank: list[StructurePrior], size: int) -> Scene:
    """Draw a specimen without a crystal.

    Bodies and vacuum without any atom (15 %), a crystal too fine to be resolved (5 %), an amorphous film (25
    %), or heavy atoms far apart and in small clusters, on a film (45 %) or alone (10 %). Its `lattices` hold
    one of which no atom is there: what a wrong prior would claim.
    """
    none, nothing = np.zeros((0, 2)), np.zeros(0)
    atoms, bright, film, faint, ground = none, nothing, none, nothing, None
    draw = rng.random()
    lattice = PlacedCrystal(pick_crystal(rng, bank), random_affine(rng), rng.uniform(0, size, 2))
    if draw < 0.15:
        ground = smooth_ground(rng, size)
    elif draw < 0.20:
        film, faint = _unresolved(rng, lattice, size)
    elif draw < 0.90:
        film, faint = amorphous_film(rng, size)
    if draw >= 0.45:
        atoms, bright = isolated_atoms(rng, size)
    if not len(atoms) and not len(film) and ground is None:
        ground = smooth_ground(rng, size)
    count = len(atoms) + len(film)
    return Scene(
        size,
        np.concatenate([atoms, film]),
        np.concatenate([bright, faint]),
        np.zeros(count, np.int64),
        np.repeat([0, -1], [len(atoms), len(film)]),
        np.full(count, -1),
        [lattice],
        np.zeros((2, size, size)),
        ground,
    )


def _unresolved(rng: np.random.Generator, lattice: PlacedCrystal, size: int) -> tuple[Floats, Floats]:
    """Lay a crystal so small that its columns are 0.25 to 0.5 Å apart: the picture of a low magnification."""
    spacing = float(np.sqrt(abs(np.linalg.det(lattice.crystal.cell)) / len(lattice.crystal.columns)))
    small = replace(lattice, affine=lattice.affine * (rng.uniform(0.25, 0.5) / spacing))
    yx, index = small.columns(size)
    keep = ~covered(rng, yx, size) if rng.random() < 0.6 else np.ones(len(yx), bool)
    return yx[keep], 0.2 * small.crystal.intensities()[index][keep]


def displaced(yx: Floats, displacement: Floats) -> Floats:
    """Sample a (2, H, W) displacement field at (N, 2) positions."""
    if not len(yx):
        return np.zeros((0, 2))
    return np.stack([map_coordinates(c, yx.T, order=1, mode="nearest") for c in displacement], axis=1)


def pick_crystal(rng: np.random.Generator, bank: list[StructurePrior]) -> StructurePrior:
    """Draw from the bank or make up a crystal; sometimes describe it by a larger cell."""
    crystal = bank[rng.integers(len(bank))] if bank and rng.random() < 0.5 else random_crystal(rng)
    crystal = crystal.scaled(rng.uniform(0.95, 1.06))
    if rng.random() < 0.15 and len(crystal.columns) <= 6:
        crystal = crystal.repeated(*(int(n) for n in rng.integers(1, 4, 2)))
    return crystal


def _second_layer(
    rng: np.random.Generator, bank: list[StructurePrior], top: PlacedCrystal, size: int
) -> PlacedCrystal:
    draw = rng.random()
    if draw < 0.35:  # the same layer, shifted
        return PlacedCrystal(top.crystal, top.affine, rng.uniform(0, size, 2), 1)
    t = rng.uniform(0, 2 * np.pi)
    twist = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    crystal = top.crystal if draw < 0.75 else pick_crystal(rng, bank)
    return PlacedCrystal(crystal, top.affine @ twist, rng.uniform(0, size, 2), 1)


def _second_grain(
    rng: np.random.Generator, bank: list[StructurePrior], first: PlacedCrystal, size: int
) -> PlacedCrystal:
    """Draw what lies beyond a boundary: a turned grain, an antiphase domain, a twin or another phase."""
    draw = rng.random()
    if draw < 0.2:
        shift = rng.random(2) @ first.crystal.cell if rng.random() < 0.5 else first.crystal.cell.sum(0) / 2
        return PlacedCrystal(first.crystal, first.affine, first.origin + first.affine @ shift)
    if draw < 0.35:  # a twin shares a row of the lattice with its neighbour
        row = first.crystal.cell[rng.integers(0, 2)]
        along = row / np.linalg.norm(row)
        mirror = 2 * np.outer(along, along) - np.eye(2)
        return PlacedCrystal(first.crystal, first.affine @ mirror, first.origin)
    crystal = pick_crystal(rng, bank) if draw < 0.5 else first.crystal
    return PlacedCrystal(crystal, random_affine(rng, 0.0), rng.uniform(0, size, 2))


def _displacement(rng: np.random.Generator, size: int) -> Floats:
    if rng.random() < 0.5:
        return np.zeros((2, size, size))
    amplitude = rng.uniform(0.05, 0.7) / CANONICAL_PIXEL_SIZE
    field_ = np.stack([random_cosines((size, size), rng.uniform(0.5, 1.2) * size, rng) for _ in range(2)])
    return field_ * (amplitude / max(float(np.abs(field_).max()), 1e-9))


@dataclass(frozen=True, eq=False)
class _Boundary:
    """A straight grain boundary: a point (y, x) of it in pixels, and the (2,) unit vector across it."""

    point: Floats
    normal: Floats

    def is_beyond(self, yx: Floats) -> NDArray[np.bool_]:
        """Tell which of (N, 2) positions lie on the side to which the normal points."""
        return np.asarray((yx - self.point) @ self.normal > 0)


def _boundary(rng: np.random.Generator, size: int) -> _Boundary:
    """Draw a boundary of any direction that passes the middle of the field within a fifth of its side."""
    angle = rng.uniform(0, 2 * np.pi)
    normal = np.array([np.sin(angle), np.cos(angle)])
    return _Boundary(size / 2 + rng.uniform(-0.2, 0.2) * size * normal, normal)


def _defects(rng: np.random.Generator, scene: Scene) -> None:
    """Take atoms away, exchange them, and cut holes and edges."""
    n = len(scene.positions)
    keep = np.ones(n, bool)
    if rng.random() < 0.7:
        rate = 10 ** rng.uniform(-2, -0.6)
        site = rng.integers(0, 99)
        chosen = rng.random(n) < rate
        if rng.random() < 0.5:  # vacancies prefer a sublattice
            count = max(len(lattice.crystal.columns) for lattice in scene.lattices)
            chosen &= scene.index == site % count
        keep &= ~chosen
    sites = len(scene.lattices[0].crystal.columns)
    if sites > 1 and rng.random() < 0.06:
        # A crystal without one of its sublattices: what is not seen must not be taken from habit.
        keep &= ~((scene.lattice == 0) & (scene.index == rng.integers(sites)))
    if rng.random() < 0.3:  # one atom of a column missing
        scene.intensities = np.where(rng.random(n) < 0.05, 0.5, 1.0) * scene.intensities
    if rng.random() < 0.3:  # dopants
        scene.intensities = np.where(rng.random(n) < 0.04, rng.uniform(0.3, 3.0, n), 1.0) * scene.intensities
    if rng.random() < 0.22:
        layer = None if rng.random() < 0.6 else int(rng.integers(0, 2))
        inside = _blob(rng, scene.positions, scene.size)
        if layer == 1 and rng.random() < 0.5:  # an island of the second layer instead of a hole in it
            inside = ~inside
        keep &= ~(inside & (scene.layers == layer if layer is not None else True))
    for name in ("positions", "intensities", "layers", "lattice", "index"):
        setattr(scene, name, getattr(scene, name)[keep])


def _adatoms(rng: np.random.Generator, scene: Scene) -> None:
    """Put single atoms where the crystal has no site."""
    yx = rng.uniform(0, scene.size, (int(rng.integers(1, 9)), 2))
    if len(scene.positions):
        distance, _ = cKDTree(scene.positions).query(yx)
        yx = yx[distance * CANONICAL_PIXEL_SIZE > _ADATOM_DISTANCE]
    level = float(np.median(scene.intensities)) if len(scene.intensities) else 1.0
    _add(scene, yx, level * rng.uniform(0.4, 2.0, len(yx)), lattice=0)


def _add(scene: Scene, yx: Floats, intensities: Floats, lattice: int) -> None:
    """Append scatterers that sit on no site of the lattice."""
    m = len(yx)
    scene.positions = np.concatenate([scene.positions, yx])
    scene.intensities = np.concatenate([scene.intensities, intensities])
    scene.layers = np.concatenate([scene.layers, np.zeros(m, np.int64)])
    scene.lattice = np.concatenate([scene.lattice, np.full(m, lattice)])
    scene.index = np.concatenate([scene.index, np.full(m, -1)])


def _blob(rng: np.random.Generator, yx: Floats, size: int) -> NDArray[np.bool_]:
    """Pick a lobed region, or everything beyond an edge."""
    centre = rng.uniform(0.1, 0.9, 2) * size
    delta = yx - centre
    if rng.random() < 0.35:
        angle = rng.uniform(0, 2 * np.pi)
        return np.asarray(delta @ np.array([np.sin(angle), np.cos(angle)]) > 0)
    angle_of = np.arctan2(delta[:, 0], delta[:, 1])
    radius = rng.uniform(0.06, 0.3) * size * (1 + 0.3 * np.cos(2 * angle_of + rng.uniform(0, 6)))
    return np.asarray(np.linalg.norm(delta, axis=1) < radius)


def _amorphous(rng: np.random.Generator, scene: Scene) -> None:
    """Add matter without order: it scatters but is no column."""
    count = int(rng.uniform(0.02, 0.3) * (scene.size * CANONICAL_PIXEL_SIZE) ** 2)
    yx = rng.uniform(0, scene.size, (count, 2))
    yx = yx[_blob(rng, yx, scene.size)]
    level = float(np.median(scene.intensities)) if len(scene.intensities) else 1.0
    _add(scene, yx, level * rng.uniform(0.05, 0.5) * rng.uniform(0, 1, len(yx)), lattice=-1)
