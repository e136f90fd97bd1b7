"""A lock on an open file that ends with the process, however that ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO


def lock(file: IO[bytes]) -> bool:
    """Lock an open file and say whether that worked; it is free again when the file is closed."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 40)  # beyond what is written, so that others can still read the file
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(0, 2)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds a lock on a file."""
    try:
        with open(path, "rb+") as file:
            return not lock(file)
    except OSError:
        return False  # read-only or gone: nobody writes there
