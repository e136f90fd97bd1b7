"""Where a result may be written: never over an input; over a foreign file only if a person asks for it."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_stemprior.errors import ExportError
from napari_stemprior.regular_files import refuse_pipe


def check_output(
    path: str | os.PathLike[str],
    inputs: Iterable[str | os.PathLike[str] | None] = (),
    *,
    own_marks: Iterable[bytes] = (),
    overwrite: bool = False,
) -> None:
    """See that a file may be written, before the work that fills it.

    Parameters
    ----------
    path : path-like
        Where the result shall be. A folder passes; who writes one checks what is in it.
    inputs : iterable of path-like or None
        Files that the work reads. One that is not there, or None, passes.
    own_marks : iterable of bytes
        A file that holds one of them was written by this program and is replaced without a word.
    overwrite : bool
        Whether a person allows to replace a file that this program did not write. An input stays safe.

    Raises
    ------
    ExportError
        If `path` is one of the inputs, also through a link, holds a file of somebody else, or is a pipe or a
        device.
    """
    path = Path(path)
    for given in inputs:
        if given is not None and is_same_file(path, Path(given)):
            raise ExportError(
                f"{path}: this file is an input ({given}) and is never replaced; choose another name."
            )
    try:
        refuse_pipe(path)
    except OSError as error:
        raise ExportError(
            f"{path}: this is a pipe or a device and is never replaced; choose another name."
        ) from error
    if overwrite or not path.is_file() or holds_mark(path, own_marks):
        return
    raise ExportError(
        f"{path}: there is a file already that stemprior did not write; choose another name, or allow to "
        "replace it with --overwrite."
    )


def is_same_file(first: Path, second: Path) -> bool:
    """Tell whether two paths lead to one file, through links of either kind; False where one is not there."""
    try:
        return os.path.samefile(first, second)
    except (OSError, ValueError):  # ValueError: a text that is no path, such as one with a null
        return False


def holds_mark(path: Path, marks: Iterable[bytes]) -> bool:
    """Tell whether a file holds one of the marks that this program leaves; False where it cannot be read."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return any(content.find(mark) >= 0 for mark in marks if mark)
    except (OSError, ValueError):  # ValueError: an empty file, which is nobody's work but may be a place held
        return False


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """Make a folder and see that it can be written, before the long work; leave no empty one behind.

    Parameters
    ----------
    folder : pathlib.Path

    Yields
    ------
    pathlib.Path
        The folder. Those that were made and are still empty are removed at the end.

    Raises
    ------
    ExportError
        If it cannot be made or written.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            reason = "it is a file" if folder.is_file() else error.strerror or str(error)
            raise ExportError(
                f"{folder}: the results cannot be written there ({reason}); choose another folder."
            ) from error
        yield folder
    finally:
        for place in made:
            with suppress(OSError):  # not empty, or never made
                place.rmdir()
