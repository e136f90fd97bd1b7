"""What lies in a folder that holds one image, as a Zarr is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def folder_entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield all that is in a folder and below it; links to folders are not followed.

    Parameters
    ----------
    folder : pathlib.Path

    Raises
    ------
    OSError
        If one of the folders cannot be read.
    """
    waiting = [os.fspath(folder)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def stored_bytes(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    OSError
        If it cannot be looked at.
    """
    if not path.is_dir():
        return path.stat().st_size
    return sum(entry.stat(follow_symlinks=False).st_size for entry in folder_entries(path))
