"""Whole sets of training pairs: check one, join several, divide one for training and validation."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_stemprior.errors import DatasetError
from napari_stemprior.io.training_pair import TrainingPair
from napari_stemprior.io.training_pairs import ManifestEntry, TrainingPairDataset
from napari_stemprior.output_files import is_same_file

#: Part of the sources that goes to validation.
VALIDATION = 0.2


@dataclass(frozen=True)
class Finding:
    """What a check says about one pair.

    Parameters
    ----------
    name : str
        Of the micrograph, or of a folder that no line of the manifest speaks of.
    hash : str
    text : str
        One sentence.
    fatal : bool
        Whether the pair cannot be learned from.
    """

    name: str
    hash: str
    text: str
    fatal: bool


def opened(folder: str | os.PathLike[str]) -> TrainingPairDataset:
    """Open a dataset that must be there.

    Raises
    ------
    DatasetError
        If the folder is missing, empty or something else.
    """
    path = Path(folder)
    if not path.exists():
        raise DatasetError(f"{path}: there is no such folder; check the path.")
    dataset = TrainingPairDataset(path)
    if not (path / "dataset.json").is_file():
        raise DatasetError(f"{path}: there are no training pairs in this folder; save one there first.")
    return dataset


def validate(dataset: TrainingPairDataset) -> list[Finding]:
    """Read every revision of every pair and say what is wrong or odd.

    Parameters
    ----------
    dataset : TrainingPairDataset

    Raises
    ------
    DatasetError
        If the manifest itself cannot be read.
    """
    findings: list[Finding] = []
    entries = {entry.hash: entry for entry in dataset.entries()}
    for entry in entries.values():
        try:
            pair = dataset.load(entry.hash)
        except DatasetError as error:
            findings.append(Finding(entry.name, entry.hash, str(error), True))
            continue
        findings += [Finding(entry.name, entry.hash, text, fatal) for text, fatal in _oddities(pair)]
        if pair.image_id != entry.image_id:
            text = "the manifest ties it to another image; restore the manifest from a copy."
            findings.append(Finding(entry.name, entry.hash, text, True))
    pairs = dataset.folder / "pairs"
    for place in sorted(pairs.iterdir()) if pairs.is_dir() else ():
        if not place.name.startswith(".") and place.name not in entries:
            text = "no line of the manifest speaks of this folder, so it is not used."
            findings.append(Finding(place.name, place.name, text, False))
    return findings


def _oddities(pair: TrainingPair) -> Iterator[tuple[str, bool]]:
    if not pair.reviewed.any():
        yield "no pixel is marked as reviewed, so nothing can be learned from it.", True
    if pair.micrograph.pixel_size is None:
        yield "the pixel size is unknown, so it cannot be brought to the scale of the network.", True
    elif abs(pair.atoms.pixel_size / pair.micrograph.pixel_size - 1) > 1e-3:
        yield "atoms and image have different pixel sizes; save the pair again.", True
    height, width = pair.reviewed.shape
    for table, what in ((pair.atoms.atoms, "atoms"), (pair.vacancies, "vacancies")):
        y, x = table.yx.T
        out = int(((y < -0.5) | (x < -0.5) | (y > height - 0.5) | (x > width - 0.5)).sum())
        if out:
            yield f"{out} {what} lie off the image and are passed over.", False
    if pair.prior is None:
        yield "it has no prior, so it trains the image branch alone.", False


def merge(sources: Sequence[str | os.PathLike[str]], target: str | os.PathLike[str]) -> tuple[int, int]:
    """Copy every revision of every pair of several datasets into one, oldest first.

    A saving that the target has already is passed over, so merging twice changes nothing. The sources stay
    as they are.

    Returns
    -------
    added, known : int
        Savings that were copied, and those that were there.

    Raises
    ------
    DatasetError
        If a dataset cannot be read, the target is one of them or cannot be written.
    """
    for source in sources:
        if is_same_file(Path(source), Path(target)):
            raise DatasetError(
                f"{target}: the pairs are merged from this folder; give another one to write to."
            )
    into = TrainingPairDataset(target)
    found = [(opened(source), entry) for source in sources for entry in opened(source).entries()]
    return _copy(sorted(found, key=lambda one: one[1].time), into)


def split(
    entries: Sequence[ManifestEntry], validation: float = VALIDATION
) -> tuple[list[ManifestEntry], list[ManifestEntry]]:
    """Divide pairs into training and validation by the hash of their source.

    All pairs of one source image land on one side, on every computer and however many pairs are added, so
    that nothing of an image that was trained on is ever used to judge. Where there are two sources or more
    neither side is empty: the source with the extreme hash moves.

    Parameters
    ----------
    entries : sequence of ManifestEntry
    validation : float
        Part of the sources for validation, between 0 and 1.

    Returns
    -------
    training, validation : list of ManifestEntry

    Raises
    ------
    DatasetError
        If `validation` does not lie between 0 and 1.
    """
    if not 0 < validation < 1:
        raise DatasetError(f"{validation} is no part for validation; give a number between 0 and 1.")
    numbers = {entry.source_id: _number(entry.source_id) for entry in entries}
    held = {source for source, number in numbers.items() if number < validation}
    if len(numbers) > 1 and not held:
        held = {min(numbers, key=lambda source: numbers[source])}
    elif len(numbers) > 1 and len(held) == len(numbers):
        held.remove(max(numbers, key=lambda source: numbers[source]))
    return (
        [entry for entry in entries if entry.source_id not in held],
        [entry for entry in entries if entry.source_id in held],
    )


def write_split(
    dataset: TrainingPairDataset, target: str | os.PathLike[str], validation: float = VALIDATION
) -> dict[str, int]:
    """Copy the newest revision of every pair into ``target/train`` and ``target/validation``.

    Returns
    -------
    dict
        Number of pairs on each side.

    Raises
    ------
    DatasetError
        If there is only one source, a folder holds pairs already, or cannot be written.
    """
    train, held = split(dataset.latest_entries(), validation)
    if not (train and held):
        raise DatasetError(
            f"{dataset.folder}: all pairs come from one source image, so they cannot be divided; "
            "add pairs of another image."
        )
    target = Path(target)
    sides = {"train": train, "validation": held}
    into = {name: TrainingPairDataset(target / name) for name in sides}
    for name, side in into.items():
        if side.entries():
            raise DatasetError(f"{target / name}: there are pairs in this folder already; choose another.")
    for name, entries in sides.items():
        _copy([(dataset, entry) for entry in entries], into[name])
    return {name: len(entries) for name, entries in sides.items()}


def _copy(
    found: Sequence[tuple[TrainingPairDataset, ManifestEntry]], into: TrainingPairDataset
) -> tuple[int, int]:
    have = {(entry.hash, entry.time) for entry in into.entries()}
    added = 0
    for dataset, entry in found:
        if (entry.hash, entry.time) not in have:
            have.add((entry.hash, entry.time))
            into.add(dataset.load(entry.hash), entry.time, entry.source_id)
            added += 1
    return added, len(found) - added


def _number(source: str) -> float:
    """Return a number in [0, 1) that depends on the source alone."""
    return int.from_bytes(hashlib.sha256(source.encode()).digest()[:8], "big") / 2**64
