"""A corrected micrograph: what the network learns from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemprior.atoms.table import AtomTable
from napari_stemprior.errors import DatasetError
from napari_stemprior.io.json_values import plain
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.io.prior_json import prior_to_dict
from napari_stemprior.io.writers.formats.tables import to_frame
from napari_stemprior.recording.mask_text import mask_to_dict
from napari_stemprior.regular_files import refuse_pipe
from napari_stemprior.structure import Prior

HASH_LENGTH = 16
_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class TrainingPair:
    """A micrograph and what a person says is on it.

    Parameters
    ----------
    micrograph : Micrograph
    atoms : AtomTable
        Rows of status ``vacancy`` among them are moved to `vacancies`, so whoever takes `atoms` gets atoms.
    reviewed : (H, W) array of bool
        Where a person looked: there the absence of an atom is a statement too. The rest is unknown; it
        must never be taken as empty.
    prior : StructurePrior, Stack or None
    provenance : dict
        Plain values only; `pair_provenance` makes it.
    vacancies : AtomTable
        Places at which a person confirmed that an atom is missing; ``element`` says which.

    Raises
    ------
    DatasetError
        If `reviewed` has another shape than the image, or the metadata hold what JSON cannot.
    """

    micrograph: Micrograph
    atoms: AtomTable
    reviewed: NDArray[np.bool_]
    prior: Prior | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    vacancies: AtomTable = field(default_factory=lambda: AtomTable.empty(1.0))

    def __post_init__(self) -> None:
        reviewed = np.ascontiguousarray(self.reviewed, dtype=bool)
        if reviewed.shape != self.micrograph.image.shape:
            raise DatasetError(
                f"{self.micrograph.name}: the reviewed region has shape {reviewed.shape} and the image "
                f"{self.micrograph.image.shape}; give one value for each pixel."
            )
        object.__setattr__(self, "reviewed", reviewed)
        marked = pd.concat([self.vacancies.rows, self.atoms.vacancies.rows]).drop_duplicates()
        there = self.atoms.where(self.atoms.rows["status"] != "vacancy")
        object.__setattr__(self, "vacancies", AtomTable(marked, self.atoms.pixel_size))
        object.__setattr__(self, "atoms", there)
        try:
            plain([self.micrograph.metadata, self.atoms.provenance, self.provenance])
        except TypeError as error:
            raise DatasetError(f"{self.micrograph.name}: the metadata cannot be stored, {error}.") from error

    @property
    def image_id(self) -> str:
        """Hash of the pixels alone: the same for every revision of one micrograph."""
        return _digest(self.micrograph.image)

    @property
    def hash(self) -> str:
        """Hash of the whole content."""
        # a pair without vacancies has the hash that version 1 gave it
        tables = [self.atoms, *([self.vacancies] if len(self.vacancies) else [])]
        values = [column for table in tables for column in _columns(table)]
        return _digest(self.micrograph.image, self.reviewed, *values, self.description())

    def description(self) -> dict[str, Any]:
        """Return what is neither pixels nor atoms, as plain values."""
        micrograph = self.micrograph
        description: dict[str, Any] = plain(
            {
                "name": micrograph.name,
                "pixel_size_angstrom": micrograph.pixel_size,
                "source": micrograph.source,
                "metadata": micrograph.metadata,
                "atoms_pixel_size_angstrom": self.atoms.pixel_size,
                "atoms_provenance": self.atoms.provenance,
                "prior": None if self.prior is None else prior_to_dict(self.prior),
                "provenance": self.provenance,
            }
        )
        if micrograph.excluded is not None:  # a pair without a mask has the hash that it always had
            description["excluded"] = mask_to_dict(micrograph.excluded)
        return description


def pair_provenance(
    found: Mapping[str, Any],
    prior: Prior | None,
    *,
    network_file: str | os.PathLike[str] | None = None,
    editor: str = "",
    time: datetime | None = None,
) -> dict[str, Any]:
    """Say where a pair comes from, in one form for every pair.

    Parameters
    ----------
    found : mapping
        ``AtomTable.provenance`` of the segmentation that was corrected; empty for atoms set by hand.
    prior : StructurePrior, Stack or None
        What the specimen was taken for.
    network_file : path-like, optional
        The weights, for their hash.
    editor : str
        The person.
    time : datetime, optional
        Of the correction; now by default.

    Returns
    -------
    dict
        ``network`` (name, sha256), ``prior`` (name, sha256), ``pose``, ``settings``, ``editor``, ``time``
        (UTC, ISO 8601) and ``edits`` (who edited which atom, and when).
    """
    known = {"model", "pose", "edits", "prior"}
    network = None
    if found.get("model"):
        digest = file_hash(Path(network_file)) if network_file is not None else None
        network = {"name": found["model"], "sha256": digest}
    values: dict[str, Any] = plain(
        {
            "network": network,
            "prior": None if prior is None else {"name": prior.name, "sha256": prior_hash(prior)},
            "pose": found.get("pose"),
            "settings": {key: value for key, value in found.items() if key not in known},
            "editor": editor,
            "time": (time or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
            "edits": found.get("edits", []),
        }
    )
    return values


def prior_hash(prior: Prior) -> str:
    """Return the SHA-256 of a prior's content, whatever file it came from."""
    return hashlib.sha256(json.dumps(prior_to_dict(prior), sort_keys=True).encode()).hexdigest()


def file_hash(path: Path) -> str | None:
    """Return the SHA-256 of a file, or None where it cannot be read."""
    state = hashlib.sha256()
    try:
        refuse_pipe(path)
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                state.update(block)
    except OSError:  # moved or unplugged since; the pair is worth keeping all the same
        return None
    return state.hexdigest()


def _columns(table: AtomTable) -> list[Any]:
    return [c.tolist() if c.dtype == object else c.to_numpy() for _, c in to_frame(table).items()]


def _digest(*parts: Any) -> str:
    """Hash arrays and plain values."""
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            state.update(f"{part.dtype.str}{part.shape}".encode())
            state.update(np.ascontiguousarray(part).tobytes())
        else:
            state.update(json.dumps(part, sort_keys=True).encode())
    return state.hexdigest()[:HASH_LENGTH]
