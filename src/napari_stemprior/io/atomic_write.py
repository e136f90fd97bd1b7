"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
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
            with beside.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise ExportError(
            f"{path}: this cannot be written ({error.strerror or error}); "
            "choose a folder that you may write to."
        ) from error
