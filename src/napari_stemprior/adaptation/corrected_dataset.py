"""Corrected pairs, divided into what the network learns from and what it is judged on.

Here the room `io`, which keeps pairs, meets `inference`, which places priors, and `training`, which learns
from tensors alone; only the command line and the benchmarks call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from napari_stemprior.adaptation.augmentation import CorrectedView
from napari_stemprior.atoms import UNKNOWN_ELEMENT, AtomTable
from napari_stemprior.atoms.matching import BORDER, gate_for, match
from napari_stemprior.atoms.metrics import VACANCY_RADIUS, Score
from napari_stemprior.errors import TrainingError
from napari_stemprior.inference import Segmenter
from napari_stemprior.inference.canonical import CanonicalImage
from napari_stemprior.inference.prompt_encoding import placed_prompt
from napari_stemprior.inference.prompt_lattice import prompt_lattice
from napari_stemprior.io import TrainingPair, TrainingPairDataset
from napari_stemprior.io.pair_dataset_tools import opened, split
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.progress import drain
from napari_stemprior.recording import PreparedImage, prepare
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import Prior
from napari_stemprior.structure.lattice_sites import LatticeSites

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

#: Part of the reviewed region that is held out where all pairs come from one image.
HELD_PART = 0.25
#: Å inside the edge of a reviewed region where the targets of atoms beyond it may still reach.
_EDGE = 0.5
#: Canonical pixels around the reviewed region that are kept as context.
_CONTEXT = 64
#: Å within which an atom is on a placed column of the prior.
_ON_SITE = 0.75
#: Doses of the variants, as shares of the recorded one; the last adds as much noise in another way.
_THINNED = (0.6, 0.35)


@dataclass(frozen=True, eq=False)
class HeldOutSplit:
    """A pair, with the part of its reviewed region to train on and the part that is held out.

    Parameters
    ----------
    pair : TrainingPair
    training, held_out : (H, W) array of bool
        They share no pixel.
    """

    pair: TrainingPair
    training: Mask
    held_out: Mask


def held_out_splits(folder: Path) -> list[HeldOutSplit]:
    """Read the newest revision of every pair and divide each into training and held out.

    Whole source images are held out where there are several, else a quarter of each reviewed region.

    Raises
    ------
    DatasetError
        If the folder is no dataset of training pairs.
    TrainingError
        If a pair has no pixel size, or nothing is left to learn from or to hold out.
    """
    dataset = opened(folder)
    splits = divided(dataset)
    for held in splits:
        if held.pair.micrograph.pixel_size is None:
            raise TrainingError(
                f"{folder}: the pixel size of {held.pair.micrograph.name} is unknown; "
                "type it in the desk and save the pair again."
            )
    if not any(held.training.any() for held in splits):
        raise TrainingError(f"{folder}: no pixel is marked as reviewed; review a region and save it again.")
    if not any(held_out_atoms(held) for held in splits):
        raise TrainingError(
            f"{folder}: there is no atom in the part that is held out to judge the network; "
            "review a larger region, or a second image."
        )
    return splits


def divided(dataset: TrainingPairDataset) -> list[HeldOutSplit]:
    """Divide the pairs of a dataset; see `held_out_splits`."""
    train, held = split(dataset.latest_entries())
    if not train or not held:
        pairs = [dataset.load(entry.hash) for entry in train or held]
        return [HeldOutSplit(pair, *cut(pair.reviewed, HELD_PART)) for pair in pairs]
    splits = []
    for entries, trains in ((train, True), (held, False)):
        for pair in (dataset.load(entry.hash) for entry in entries):
            nothing = np.zeros_like(pair.reviewed)
            parts = (pair.reviewed, nothing) if trains else (nothing, pair.reviewed)
            splits.append(HeldOutSplit(pair, *parts))
    return splits


def cut(reviewed: Mask, part: float) -> tuple[Mask, Mask]:
    """Cut a region across its longer side.

    Parameters
    ----------
    reviewed : (H, W) array of bool
    part : float
        Share of its pixels in the second piece, at the high end of the axis.

    Returns
    -------
    larger, smaller : (H, W) array of bool
    """
    places = np.argwhere(reviewed)
    if not len(places):
        return reviewed.copy(), reviewed.copy()
    axis = int(np.argmax(np.ptp(places, axis=0)))
    line = np.quantile(places[:, axis], 1 - part, method="higher")
    beyond = np.arange(reviewed.shape[axis]) >= line
    high = beyond[:, None] if axis == 0 else beyond[None, :]
    return reviewed & ~high, reviewed & high


def deep_inside(mask: Mask, distance: float) -> Mask:
    """Return the pixels of a mask further than `distance` px from whatever lies outside it or the image."""
    padded = np.pad(mask, 1)
    return np.asarray(distance_transform_edt(padded)[1:-1, 1:-1] > distance)


def within(yx: Floats, mask: Mask) -> Mask:
    """(N,) whether pixels (y, x) lie on a mask."""
    pixel = np.floor(yx + 0.5).astype(int)
    inside = np.asarray(((pixel >= 0) & (pixel < mask.shape)).all(axis=1))
    inside[inside] = mask[pixel[inside, 0], pixel[inside, 1]]
    return np.asarray(inside)


def held_out_atoms(held: HeldOutSplit) -> int:
    """Count the atoms of the part that is held out."""
    pixel_size = held.pair.micrograph.pixel_size or 1.0
    counted = deep_inside(held.held_out, BORDER / pixel_size)
    return int(within(held.pair.atoms.atoms.yx, counted).sum())


def region_score(found: AtomTable, pair: TrainingPair, region: Mask) -> Score:
    """Score atoms within a region by the strict metric: one-to-one, gated, its border of 1 Å left out.

    Parameters
    ----------
    found : AtomTable
        Of the whole micrograph.
    pair : TrainingPair
    region : (H, W) array of bool
        Where the atoms of the pair are the truth.
    """
    predicted, truth = found.atoms, pair.atoms.atoms
    size = truth.pixel_size
    counted = deep_inside(region, BORDER / size)
    inside = within(truth.yx, region)
    gate = gate_for(truth.yx[inside], size)
    pairs = match(predicted.yx, truth.yx, size, gate=gate)
    in_p, in_t = within(predicted.yx, counted), within(truth.yx, counted)
    both = in_p[pairs.predicted] & in_t[pairs.truth]
    empty = pair.vacancies.yx[within(pair.vacancies.yx, counted)]
    near = cKDTree(predicted.yx).query(empty)[0] * size <= VACANCY_RADIUS if len(predicted) else np.zeros(0)
    distance = pairs.distance[both]
    return Score(
        gate=gate,
        tp=int(both.sum()),
        fp=int(in_p[pairs.spurious].sum()),
        fn=int(in_t[pairs.missed].sum()),
        rmse=float(np.sqrt(np.mean(distance**2))) if len(distance) else np.nan,
        vacancies=len(empty),
        vacancies_filled=float(np.sum(near)) / len(empty) if len(empty) else np.nan,
    )


def evaluate(segmenter: Segmenter, splits: Sequence[HeldOutSplit]) -> list[Score]:
    """Segment every held-out part as the desk would, and score it."""
    scores = []
    for held in splits:
        if held.held_out.any():
            pair = held.pair
            assert pair.micrograph.pixel_size is not None
            segmenter.set_image(pair.micrograph.analysed, pair.micrograph.pixel_size)
            found = segmenter.segment(pair.prior, fit=known_fit(pair))
            scores.append(region_score(found, pair, held.held_out))
    return scores


def known_fit(pair: TrainingPair) -> LatticeFit | None:
    """Return the pose with which a pair was corrected; None where it was fitted again or is not one."""
    saved = pair.provenance.get("pose")
    if not isinstance(saved, dict) or pair.prior is None or pair.prior.crystal is None:
        return None
    if not {"affine", "origin", "score"} <= saved.keys():
        return None
    pose = Pose(np.array(saved["affine"], float), np.array(saved["origin"], float), float(saved["score"]))
    return LatticeFit(pair.prior, (pose,), by_hand=True)


def view_of(pair: TrainingPair, trained: Mask, rng: np.random.Generator) -> CorrectedView:
    """Turn a pair into what the training takes.

    Parameters
    ----------
    pair : TrainingPair
    trained : (H, W) array of bool
        The part of its reviewed region to learn from.
    rng : numpy Generator
        Draws the variants of lower dose.
    """
    micrograph = pair.micrograph
    assert micrograph.pixel_size is not None
    prepared, size = prepare(micrograph.analysed), micrograph.pixel_size
    canonical = CanonicalImage.from_prepared(prepared, size)
    grid = np.indices(canonical.shape).reshape(2, -1).T
    known = within(canonical.to_pixels(grid), np.asarray(trained, bool)).reshape(canonical.shape)
    if canonical.valid is not None:
        known &= canonical.valid
    known = deep_inside(known, _EDGE / CANONICAL_PIXEL_SIZE)
    prompt, registered = _prompted(pair, prepared, canonical)
    atoms = pair.atoms.atoms
    yx = canonical.to_canonical(atoms.yx)
    token = np.full(len(atoms), -1) if pair.prior is None else tokens(atoms, pair.prior, registered)
    box = _box(known, _CONTEXT)
    corner = np.array([side.start for side in box], float)
    prompt.sites = prompt.sites - torch.from_numpy(corner).to(prompt.sites)
    variants = [canonical.image] + [
        CanonicalImage.from_array(v, size).image for v in noisier(prepared.image, rng)
    ]
    return CorrectedView(
        torch.stack([variant[box] for variant in variants]).contiguous(),
        known[box],
        yx - corner,
        atoms.rows["layer"].to_numpy() > 0,
        token,
        prompt,
    )


def _prompted(
    pair: TrainingPair, prepared: PreparedImage, canonical: CanonicalImage
) -> tuple[StructurePrompt, LatticeSites | None]:
    """Lay the prior of a pair on its image as the segmenter does, and make a prompt of it."""
    size, known = pair.micrograph.pixel_size, known_fit(pair)
    assert size is not None
    if pair.prior is None:
        return StructurePrompt.absent(), None
    fit = drain(prompt_lattice(prepared, size, pair.prior, known))
    if fit is None:
        return StructurePrompt.absent(), None
    return placed_prompt(pair.prior, fit.registered, canonical), fit.registered


def tokens(atoms: AtomTable, prior: Prior, registered: LatticeSites | None) -> NDArray[np.int64]:
    """(N,) the column of the prior that each atom shows; -1 where that is not known.

    It is the column of the site on which the atom lies, if the element fits, else the only one that carries
    its element, site and layer.
    """
    columns = prior.columns
    element = atoms.rows["element"].to_numpy()
    named: dict[tuple[str, str, int], list[int]] = {}
    for number, column in enumerate(columns):
        named.setdefault((column.element, column.site, column.layer), []).append(number)
    keys = zip(element, atoms.rows["site"], atoms.rows["layer"], strict=True)
    fits = [named.get((str(e), str(s), int(n)), []) for e, s, n in keys]
    token = np.array([found[0] if len(found) == 1 else -1 for found in fits], np.int64)
    if registered is None or not len(atoms):
        return token
    hidden, lower = atoms.rows["layer"].to_numpy() > 0, registered.is_hidden
    for layer in (False, True):
        mine, sites = np.flatnonzero(hidden == layer), np.flatnonzero(lower == layer)
        if not len(mine) or not len(sites):
            continue
        distance, found = cKDTree(registered.yx[sites]).query(atoms.yx[mine])
        shown = registered.column[sites[np.asarray(found)]]
        meant = element[mine]
        named_there = np.array([columns[c].element for c in shown])
        same = (named_there == meant) | (meant == UNKNOWN_ELEMENT)
        on_site = same & (np.asarray(distance) * atoms.pixel_size < _ON_SITE)
        token[mine[on_site]] = shown[on_site]
    return token


def noisier(image: NDArray[np.float32], rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """Return the image at lower doses.

    Whole numbers are thinned as counted electrons are; a detector that gives several digits for one electron
    then gets less noise than it would, never more. Other images get a little noise of their own.

    Parameters
    ----------
    image : (H, W) array
    rng : numpy Generator
    """
    counts = np.asarray(image, np.float64)
    if counts.min() >= 0 and counts.max() < 1e6 and (counts == np.round(counts)).all():
        whole = counts.astype(np.int64)
        return [(rng.binomial(whole, share) / share).astype(np.float32) for share in _THINNED]
    bent = image[:, 1:-1] - 0.5 * (image[:, :-2] + image[:, 2:])
    noise = 1.4826 * float(np.median(np.abs(bent - np.median(bent)))) / np.sqrt(1.5)
    shape = image.shape
    return [
        (image + rng.normal(0, np.sqrt(1 / share - 1) * noise, shape)).astype(np.float32)
        for share in _THINNED
    ]


def _box(mask: Mask, margin: int) -> tuple[slice, slice]:
    """Return the rows and columns of a mask with a margin around; everything where it is empty."""
    if not mask.any():
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    low = np.argwhere(mask).min(axis=0) - margin
    high = np.argwhere(mask).max(axis=0) + 1 + margin
    (top, left), (bottom, right) = np.maximum(low, 0), np.minimum(high, mask.shape)
    return slice(int(top), int(bottom)), slice(int(left), int(right))
