"""Corrected micrographs as training pairs, kept for good.

Layout, version 2::

    dataset.json          schema, version, classes
    manifest.jsonl        one line for each saving; lines are only ever added
    pairs/<hash>/         image.npy  atoms.parquet  vacancies.parquet  reviewed.npy  meta.json
    .lock                 held by the process that adds a pair; it may stay behind, empty

Version 1 had neither vacancies nor the source of an image. It is read as it is, and the first saving makes
it version 2: a pair without vacancies has the same hash in both, so nothing that was saved is touched.

A pair is written to a hidden folder beside its place and renamed, then its manifest line is added: a crash
leaves at worst a folder that no line speaks of. ``hash`` is of the content, so nothing is ever overwritten;
``image_id`` is of the pixels alone and ties the revisions of one micrograph together; ``source_id`` is of the
file that the image came from and ties the frames and regions of one exposure together.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from napari_stemprior.array_files import load_array
from napari_stemprior.atomic_write import replaced, replaced_folder
from napari_stemprior.errors import DatasetError, ExportError, StempriorError
from napari_stemprior.io.json_values import printable
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.io.prior_json import prior_from_dict
from napari_stemprior.io.training_pair import HASH_LENGTH, TrainingPair, file_hash
from napari_stemprior.io.writers.exporters import export_atoms, read_atoms
from napari_stemprior.recording.mask_text import mask_from_dict
from napari_stemprior.regular_files import refuse_pipe

SCHEMA = "napari-stemprior training pairs"
VERSION = 2
#: Versions of the layout that can be read.
_READABLE = (1, 2)
_FILES = ("image.npy", "atoms.parquet", "reviewed.npy", "meta.json")
_VACANCIES = "vacancies.parquet"
#: What a drive says that knows no locks, as some network drives do.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
#: How long a saving waits for another process that adds a pair, s.
PATIENCE = 20.0


@dataclass(frozen=True)
class ManifestEntry:
    """One line of the manifest: one saving of one pair.

    Parameters
    ----------
    hash : str
        The folder under ``pairs``.
    image_id : str
        Ties the revisions of a micrograph together.
    revision : int
        1, 2, ... for each `image_id`.
    time : str
        UTC, ISO 8601.
    name : str
        Of the micrograph.
    source_id : str
        The same for all images from one file; training and validation never share one.
    """

    hash: str
    image_id: str
    revision: int
    time: str
    name: str
    source_id: str = ""

    def __post_init__(self) -> None:
        if not all(isinstance(value, str) for name, value in vars(self).items() if name != "revision"):
            raise TypeError("a field is no text")
        if type(self.revision) is not int or self.revision < 1:
            raise TypeError("the revision is no number from 1 up")
        for name in ("name", "time", "source_id"):
            object.__setattr__(self, name, printable(getattr(self, name)))
        if not self.source_id:  # version 1 did not know it
            object.__setattr__(self, "source_id", self.image_id)


class TrainingPairDataset:
    """A folder of training pairs; see the module's docstring for the layout.

    Parameters
    ----------
    folder : path-like
        A dataset, an empty folder, or one that does not exist and is made by the first `save`.

    Raises
    ------
    DatasetError
        If the folder holds something else, or a newer version of the layout.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        if self.folder.exists():
            self._header()

    def save(self, pair: TrainingPair) -> str:
        """Add a pair, as the next revision of its micrograph.

        Parameters
        ----------
        pair : TrainingPair

        Returns
        -------
        str
            Its hash, for `load`.

        Raises
        ------
        DatasetError
            If the folder is damaged, cannot be written, or another process adds pairs all the time.
        """
        return self.add(pair, datetime.now(UTC).isoformat(timespec="milliseconds"))

    def add(self, pair: TrainingPair, time: str, source_id: str | None = None) -> str:
        """Add a pair that was made at another time or place, as `save` does.

        One process adds at a time. A saving that is there already (pair and time) is not repeated.

        Parameters
        ----------
        pair : TrainingPair
        time : str
            UTC, ISO 8601.
        source_id : str, optional
            As its manifest had it; by default found from the file of the image, or from its pixels.
        """
        digest, image_id = pair.hash, pair.image_id
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with _alone(self.folder):
                entries = self.entries()
                if any((e.hash, e.time) == (digest, time) for e in entries):
                    return digest
                self._write_header(pair)
                self._write_pair(pair, digest)
                entry = ManifestEntry(
                    hash=digest,
                    image_id=image_id,
                    revision=1 + sum(e.image_id == image_id for e in entries),
                    time=time,
                    name=pair.micrograph.name,
                    source_id=source_id or _source_id(pair, entries),
                )
                self._append(entry)
        except ExportError as error:
            raise DatasetError(str(error)) from error
        except OSError as error:
            raise DatasetError(
                f"{self.folder}: the pair cannot be written ({error.strerror or error}); "
                "choose a folder that you may write to."
            ) from error
        return digest

    def load(self, digest: str) -> TrainingPair:
        """Return the pair of a hash, exactly as it was saved.

        Parameters
        ----------
        digest : str

        Raises
        ------
        DatasetError
            If there is no such pair or its files are damaged.
        """
        if not _is_hash(digest):
            raise DatasetError(
                f"{self.folder}: {digest!r} is not the hash of a pair; take one of the manifest."
            )
        place = self.folder / "pairs" / digest
        if missing := [name for name in _FILES if not (place / name).is_file()]:
            raise DatasetError(f"{place}: the pair lacks {missing[0]}; restore the folder from a copy.")
        try:
            meta = json.loads((place / "meta.json").read_text(encoding="utf-8"))
            image = load_array(place / "image.npy")
            micrograph = Micrograph(
                image,
                meta["pixel_size_angstrom"],
                meta["name"],
                None if meta["source"] is None else Path(meta["source"]),
                meta["metadata"],
                mask_from_dict(meta["excluded"], image.shape) if "excluded" in meta else None,
            )
            pair = TrainingPair(
                micrograph,
                read_atoms(place / "atoms.parquet"),
                load_array(place / "reviewed.npy"),
                None if meta["prior"] is None else prior_from_dict(meta["prior"]),
                meta["provenance"],
                *([read_atoms(place / _VACANCIES)] if (place / _VACANCIES).is_file() else []),
            )
        except (
            OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError,
            StempriorError,
        ) as error:  # fmt: skip
            raise DatasetError(
                f"{place}: the pair cannot be read; restore the folder from a copy."
            ) from error
        if pair.hash != digest:
            raise DatasetError(f"{place}: the pair was changed after it was saved; restore it from a copy.")
        return pair

    def entries(self) -> list[ManifestEntry]:
        """Return every saving, oldest first.

        Raises
        ------
        DatasetError
            If a line of the manifest is damaged. A last line that was cut off while it was being written
            is passed over.
        """
        if not self.folder.exists() or not self._header():
            return []
        path = self.folder / "manifest.jsonl"
        try:
            refuse_pipe(path)
            lines = path.read_bytes().split(b"\n") if path.exists() else []
        except OSError as error:
            raise DatasetError(f"{path}: the manifest cannot be read ({error.strerror}).") from error
        found = []
        for number, line in enumerate(lines[:-1], 1):  # what follows the last line break is unfinished
            try:
                entry = ManifestEntry(**json.loads(line))
                if not (_is_hash(entry.hash) and _is_hash(entry.image_id)):
                    raise ValueError("a hash is none")
                found.append(entry)
            except (ValueError, TypeError, RecursionError) as error:
                raise DatasetError(
                    f"{path}: line {number} is damaged; restore the manifest from a copy."
                ) from error
        return found

    def latest_entries(self) -> list[ManifestEntry]:
        """Return the newest saving of each micrograph, in the order in which the micrographs came."""
        newest: dict[str, ManifestEntry] = {}
        for entry in self.entries():
            newest[entry.image_id] = entry
        return list(newest.values())

    def __iter__(self) -> Iterator[TrainingPair]:
        return (self.load(entry.hash) for entry in self.latest_entries())

    def __len__(self) -> int:
        return len(self.latest_entries())

    @property
    def classes(self) -> list[str]:
        """Every element on any pair that was ever saved here, in alphabetical order."""
        return list(self._header().get("classes", ())) if self.folder.exists() else []

    def _header(self) -> dict[str, Any]:
        """Return ``dataset.json``; empty for an empty folder."""
        path = self.folder / "dataset.json"
        try:
            if not path.is_file():
                if all(entry.name.startswith(".") for entry in self.folder.iterdir()):
                    return {}
                raise DatasetError(
                    f"{self.folder}: this folder holds other things and no dataset.json; "
                    "choose an empty folder or a dataset of training pairs."
                )
            header = json.loads(path.read_text(encoding="utf-8"))
            schema, version = header["schema"], header["version"]
            if not all(isinstance(name, str) for name in list(header.get("classes", ()))):
                raise TypeError("a class is no text")
        except NotADirectoryError as error:
            raise DatasetError(f"{self.folder}: this is a file; choose a folder for the dataset.") from error
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DatasetError(f"{path}: the file is damaged; restore it from a copy.") from error
        if schema != SCHEMA:
            raise DatasetError(f"{path}: this is not a dataset of training pairs; choose another folder.")
        if version not in _READABLE:
            raise DatasetError(
                f"{path}: this is version {version} of the layout and {VERSION} is the newest known; "
                "update napari-stemprior."
            )
        return dict(header)

    def _write_header(self, pair: TrainingPair) -> None:
        present = self._header() if self.folder.exists() else {}
        known = set(present.get("classes", ()))
        classes = known | set(pair.atoms.rows["element"])
        if classes != known or present.get("version") != VERSION:
            header = {"schema": SCHEMA, "version": VERSION, "classes": sorted(classes)}
            with replaced(self.folder / "dataset.json") as beside:
                beside.write_text(json.dumps(header, indent=1) + "\n", encoding="utf-8")

    def _write_pair(self, pair: TrainingPair, digest: str) -> None:
        place = self.folder / "pairs" / digest
        if place.exists():
            self.load(digest)  # the same content: it must still be whole
            return
        with replaced_folder(place) as beside:
            beside.mkdir()
            np.save(beside / "image.npy", pair.micrograph.image, allow_pickle=False)
            np.save(beside / "reviewed.npy", pair.reviewed, allow_pickle=False)
            export_atoms(pair.atoms, beside / "atoms.parquet")
            if len(pair.vacancies):
                export_atoms(pair.vacancies, beside / _VACANCIES)
            meta = {"version": VERSION, "image_id": pair.image_id, **pair.description()}
            text = json.dumps(meta, indent=1, allow_nan=False)
            (beside / "meta.json").write_text(text + "\n", encoding="utf-8")

    def _append(self, entry: ManifestEntry) -> None:
        line = json.dumps(vars(entry)).encode() + b"\n"
        path = self.folder / "manifest.jsonl"
        with path.open("ab+") as file:  # it only grows: the lines of others must stay
            _drop_unfinished_line(file)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


def _is_hash(text: object) -> bool:
    return isinstance(text, str) and re.fullmatch(rf"[0-9a-f]{{{HASH_LENGTH}}}", text) is not None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a dataset, which ends with the process; on a drive without locks, a marker file.

    The marker of a dead process of this computer is taken over.

    Raises
    ------
    DatasetError
        If another process holds it for longer than `PATIENCE`.
    """
    lock, advice = _lock(folder)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout as error:
        raise DatasetError(
            f"{folder}: another program has been adding pairs for {PATIENCE:g} s; try again when it is done"
            f"{advice}."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _lock(folder: Path) -> tuple[BaseFileLock, str]:
    """Return the lock of a dataset, and what else to do where nobody holds it any more."""
    path = folder / ".lock"
    native = FileLock(path, fallback_to_soft=False)
    try:
        native.acquire(blocking=False)
        native.release()
    except Timeout:
        pass
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        marker = folder / ".lock-marker"
        return SoftFileLock(marker), f", or delete {marker} if none runs"
    return native, ""


def _drop_unfinished_line(file: Any) -> None:
    """Cut what a crash left after the last line break, so that the next line stands alone."""
    file.seek(0)
    content = file.read()
    if content and not content.endswith(b"\n"):
        file.truncate(content.rfind(b"\n") + 1)


def _source_id(pair: TrainingPair, entries: list[ManifestEntry]) -> str:
    """Name the exposure that an image comes from: an earlier revision's, its file's, or its pixels'."""
    for entry in entries:
        if entry.image_id == pair.image_id:
            return entry.source_id
    source = pair.micrograph.source
    digest = None if source is None else file_hash(source)
    return pair.image_id if digest is None else digest[:HASH_LENGTH]
