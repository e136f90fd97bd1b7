"""What is opened to be read must be a file: to read a pipe would wait for ever."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def refuse_pipe(path: str | os.PathLike[str]) -> None:
    """See that a path leads to a file or a folder, or to nothing; what opens it tells of these.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    OSError
        If it is a pipe, a socket or a device.
    """
    place = Path(path)
    if place.exists() and not place.is_file() and not place.is_dir():
        raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))
