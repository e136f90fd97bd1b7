"""Files that are there whole or not at all: everything that the package writes goes through here."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_stemprior.errors import ExportError


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file beside its place and move it there when it is complete.

    Parameters
    ----------
    path : path-like
        Where the file shall be; folders that do not exist are made.

    Yields
    ------
    pathlib.Path
        A path in the same folder, with the same suffix, to write to. If the block raises, it is
        removed and what lay at `path` stays as it was.

    Raises
    ------
    ExportError
        If the folder or the file cannot be written.
    """
    path = Path(path)
    beside = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield beside
            _forced(beside)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise _refusal(path, error) from error


@contextmanager
def replaced_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a folder beside its place and move it there when it is complete.

    Parameters
    ----------
    path : path-like
        Where the folder shall be. A folder that is there already is replaced only if it is a Zarr
        hierarchy, so that a slip of the hand deletes nothing else.

    Yields
    ------
    pathlib.Path
        A path that does not exist, in the same parent folder. If the block raises, it is removed and what
        lay at `path` stays as it was.

    Raises
    ------
    ExportError
        If something else lies there or the folder cannot be written.
    """
    path = Path(path)
    if path.exists() and not any((path / name).is_file() for name in (".zgroup", "zarr.json")):
        raise ExportError(f"{path}: something else lies there already; choose a name that is free.")
    word = secrets.token_hex(4)
    beside, old = (path.with_name(f".{path.name}.{word}.{which}") for which in ("new", "old"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield beside
            for file in beside.rglob("*"):
                if file.is_file():
                    _forced(file)
            if path.exists():
                path.rename(old)
            beside.rename(path)
        finally:
            if old.exists() and not path.exists():
                old.rename(path)
            for leftover in (beside, old):
                _removed(leftover)
    except OSError as error:
        raise _refusal(path, error) from error


def _forced(path: Path) -> None:
    """Force a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _removed(folder: Path) -> None:
    """Remove a folder; threads of a writer that failed may still put files into it for a moment."""
    for _ in range(40):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def _refusal(path: Path, error: OSError) -> ExportError:
    """Say in one sentence why nothing was written."""
    advice = (
        "make room there or choose another folder"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        else "choose a folder that you may write to"
    )
    reason = " ".join(str(error.strerror or error).split()).rstrip(".")
    return ExportError(f"{path}: this cannot be written ({reason}); {advice}.")
