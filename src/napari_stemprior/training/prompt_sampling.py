"""The prior that a network is given for a scene: right, absent, wrong or half right; placed or not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_stemprior.errors import TrainingError
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.network.prompt import StructurePrompt, describe_columns
from napari_stemprior.structure.prior import Column, StructurePrior, numbered_sites
from napari_stemprior.training.scenes import PlacedCrystal, Scene, displaced, pick_crystal, random_affine

Floats = NDArray[np.float64]


class PromptKind(StrEnum):
    """How the prior relates to the scene."""

    MATCHED = "matched"
    UNREGISTERED = "unregistered"
    ABSENT = "absent"
    WRONG = "wrong"
    HALF_RIGHT = "half right"
    WRONG_UNREGISTERED = "wrong, unregistered"


#: Kinds of which nobody knows where the lattice lies.
UNPLACED = (PromptKind.UNREGISTERED, PromptKind.WRONG_UNREGISTERED)
#: Standard deviation of the scale of a right prior without a pose: a pixel size is known to a per cent or so.
_SCALE_ERROR = 0.012


@dataclass(frozen=True)
class PromptOdds:
    """How often each kind is drawn; only the ratios count."""

    matched: float = 0.55
    unregistered: float = 0.05
    absent: float = 0.25
    wrong: float = 0.10
    half_right: float = 0.05
    wrong_unregistered: float = 0.0

    def __post_init__(self) -> None:
        values = list(vars(self).values())
        if not all(math.isfinite(value) and value >= 0 for value in values) or not sum(values) > 0:
            raise TrainingError("The odds of the prompts must be finite, not negative, and not all 0.")

    def draw(self, rng: np.random.Generator) -> PromptKind:
        """Draw how the prior relates to the scene."""
        odds = np.array([getattr(self, kind.name.lower()) for kind in PromptKind], float)
        return list(PromptKind)[int(rng.choice(len(odds), p=odds / odds.sum()))]


def prompt_for(
    scene: Scene,
    kind: PromptKind,
    rng: np.random.Generator,
    bank: list[StructurePrior],
    start: int,
    side: int,
) -> tuple[StructurePrompt, NDArray[np.int64]]:
    """Make the prompt for the crop ``[start, start + side)`` of a scene.

    Returns
    -------
    prompt : StructurePrompt
        Of batch size 1, in pixels of the crop.
    token_of : (L,) array of int
        For each lattice of the scene the token of its first column; -1 where the prompt does not hold it.
    """
    if kind is PromptKind.ABSENT:
        return StructurePrompt.absent(), np.full(len(scene.lattices), -1)
    lattices, owners = _given_lattices(scene, kind, rng, bank)
    token_of = np.full(len(scene.lattices), -1)
    blocks: list[list[Column]] = []
    sites: list[Floats] = []
    site_index: list[NDArray[np.int64]] = []
    known = 1.0 if rng.random() < 0.5 else float(rng.choice([0.0, rng.uniform(0.8, 1.0)], p=[0.35, 0.65]))
    jitter = abs(rng.normal(0, 0.06)) / CANONICAL_PIXEL_SIZE
    for lattice, owner in zip(lattices, owners, strict=True):
        base = sum(len(block) for block in blocks)
        blocks.append(
            [replace(column, layer=column.layer + lattice.layer) for column in lattice.crystal.columns]
        )
        if owner >= 0:
            token_of[owner] = base
        if kind in UNPLACED:
            continue
        yx, index = lattice.columns(scene.size)
        if kind is not PromptKind.WRONG:
            yx = yx + known * displaced(yx, scene.displacement) + rng.normal(0, jitter, 2)
        sites.append(yx)
        site_index.append(index + base)
    scale = float(np.exp(rng.normal(0, _SCALE_ERROR))) if kind is PromptKind.UNREGISTERED else 1.0
    columns, lattice_token = _described(lattices, blocks, scale)
    yx = np.concatenate(sites) - start if sites else np.zeros((0, 2))
    index = np.concatenate(site_index) if site_index else np.zeros(0, np.int64)
    near = ((yx > -8) & (yx < side + 8)).all(axis=1)
    if (
        rng.random() < 0.1 and kind is PromptKind.MATCHED
    ):  # places that the pose field calls unreliable are left out
        near &= yx @ _unit(rng) > side * rng.uniform(-0.3, 0.3)
    yx, index = yx[near], index[near]
    if not len(yx):
        yx, index, valid = np.zeros((1, 2)), np.zeros(1, np.int64), np.zeros(1, bool)
    else:
        valid = np.ones(len(yx), bool)
    return (
        StructurePrompt(
            columns,
            torch.ones(columns.shape[:2], dtype=torch.bool),
            lattice_token,
            torch.ones(1, dtype=torch.bool),
            torch.from_numpy(yx).float()[None],
            torch.from_numpy(index)[None],
            torch.from_numpy(valid)[None],
        ),
        token_of,
    )


def _described(
    lattices: list[PlacedCrystal], blocks: list[list[Column]], scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return the tokens of lattices on one another; the lattice token is that of the first."""
    crystal = replace(lattices[0].crystal, columns=numbered_sites(chain.from_iterable(blocks)))
    values = (
        crystal.fractional, crystal.atomic_numbers, crystal.z_weights, crystal.heights, crystal.layer_numbers
    )  # fmt: skip
    return describe_columns(
        [torch.from_numpy(scale * lattice.crystal.cell) for lattice in lattices],
        [len(block) for block in blocks],
        *(torch.tensor(value, dtype=torch.float64) for value in values),
    )


def _unit(rng: np.random.Generator) -> Floats:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.sin(angle), np.cos(angle)])


def _given_lattices(
    scene: Scene, kind: PromptKind, rng: np.random.Generator, bank: list[StructurePrior]
) -> tuple[list[PlacedCrystal], list[int]]:
    """Return the lattices that the prompt claims, and which of the scene's each one is (or -1)."""
    true = scene.lattices
    if kind is PromptKind.WRONG:
        crystal = pick_crystal(rng, bank)
        if rng.random() < 0.5:  # of like geometry, so that registration takes it for the right one
            crystal = replace(crystal, cell=true[0].crystal.cell)
            return [PlacedCrystal(crystal, true[0].affine, true[0].origin, true[0].layer)], [-1]
        return [PlacedCrystal(crystal, random_affine(rng), rng.uniform(0, scene.size, 2))], [-1]
    if kind is PromptKind.WRONG_UNREGISTERED:
        return [replace(true[0], crystal=hard_negative(true[0].crystal, rng, bank))], [-1]
    if kind is PromptKind.HALF_RIGHT:
        spoil = _with_wrong_basis if rng.random() < 0.6 else _half_turned
        return [spoil(true[0], rng)], [-1]
    if len(true) == 2 and true[1].layer == 0:  # grains: the second one is often not registered
        known = true[1].crystal is true[0].crystal and rng.random() < 0.3
        return (true, [0, 1]) if known else ([true[0]], [0])
    if len(true) == 2 and rng.random() < 0.08:  # the person did not know of the lower layer
        return [true[0]], [0]
    return list(true), list(range(len(true)))


def hard_negative(
    crystal: StructurePrior, rng: np.random.Generator, bank: list[StructurePrior]
) -> StructurePrior:
    """Draw a structure that is easily taken for another one, or any other.

    The same lattice with another basis; lattice constants 3 to 10 % off; the columns of another crystal on
    the same lattice, or a cell sheared and stretched as another zone axis would show it; any other crystal.

    Parameters
    ----------
    crystal : StructurePrior
        What it must not be.
    rng : numpy Generator
    bank : list of StructurePrior
    """
    draw = rng.random()
    if draw < 0.2:
        place = PlacedCrystal(crystal, np.eye(2), np.zeros(2))
        return _with_wrong_basis(place, rng).crystal
    if draw < 0.4:
        return crystal.scaled(1 + float(rng.choice([-1, 1])) * rng.uniform(0.03, 0.10))
    if draw < 0.5:
        return replace(pick_crystal(rng, bank), cell=crystal.cell)
    if draw < 0.65:
        ratio, angle = rng.uniform(1.1, 1.8), rng.uniform(-0.35, 0.35)
        along, across = crystal.cell
        normal = np.array([-along[1], along[0]])
        return replace(crystal, cell=np.array([along, ratio * across + angle * normal]))
    return pick_crystal(rng, bank)


def negative_prompts(
    scene: Scene, count: int, rng: np.random.Generator, bank: list[StructurePrior]
) -> StructurePrompt:
    """Describe `count` structures, without a place, that are easily taken for the scene's first one."""
    made = []
    for _ in range(count):
        crystal = hard_negative(scene.lattices[0].crystal, rng, bank)
        made.append(_described([PlacedCrystal(crystal, np.eye(2), np.zeros(2))], [list(crystal.columns)]))
    return StructurePrompt.collate([StructurePrompt.unplaced(*parts) for parts in made])


def _half_turned(lattice: PlacedCrystal, rng: np.random.Generator) -> PlacedCrystal:
    """Turn the basis by 180 degrees with one column on another: the lattice fits, the sublattices do not."""
    here, there = rng.integers(0, len(lattice.crystal.columns), 2)
    places = lattice.crystal.positions
    shift = lattice.affine @ (places[there] + places[here])
    return PlacedCrystal(lattice.crystal, -lattice.affine, lattice.origin + shift, lattice.layer)


def _with_wrong_basis(lattice: PlacedCrystal, rng: np.random.Generator) -> PlacedCrystal:
    """Add a column that is not there, or forget or move one that is."""
    crystal = lattice.crystal
    extra = rng.random(2)
    columns = list(crystal.columns)
    gone = int(rng.integers(len(columns))) if len(columns) > 1 and rng.random() < 0.5 else None
    donor = columns[rng.integers(len(columns))]
    if gone is not None:
        del columns[gone]
    columns.append(replace(donor, position=(float(extra[0]), float(extra[1]))))
    wrong = replace(crystal, columns=numbered_sites(columns))
    return PlacedCrystal(wrong, lattice.affine, lattice.origin, lattice.layer)
