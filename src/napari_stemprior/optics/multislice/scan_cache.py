"""Simulated scans on disk, under a hash of everything that they depend on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from napari_stemprior.array_files import ArrayFileError, load_arrays
from napari_stemprior.atomic_write import replaced
from napari_stemprior.errors import ExportError

#: Environment variable that names another folder.
FOLDER_VARIABLE = "STEMPRIOR_CACHE"
#: Bytes that the folder may hold; what was not used for longest goes first.
LIMIT = 256 * 2**20

Arrays = dict[str, NDArray[Any]]


def folder() -> Path:
    """Return the folder of the cache; it need not exist."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else user_cache_path("stemprior") / "scans"


def key_of(parameters: Mapping[str, Any]) -> str:
    """Return a name for a set of parameters: numbers, strings, lists and mappings of them.

    Parameters
    ----------
    parameters : mapping
    """
    text = json.dumps(parameters, sort_keys=True, ensure_ascii=True, allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def load(key: str) -> Arrays | None:
    """Return the arrays that were stored under a key; None if there are none that can be read.

    Parameters
    ----------
    key : str
    """
    path = folder() / f"{key}.npz"
    try:
        arrays = load_arrays(path)
        os.utime(path)
    except (OSError, ArrayFileError):  # absent, or damaged: simulate it again
        return None
    return arrays


def store(key: str, arrays: Arrays) -> None:
    """Keep arrays under a key; a folder that cannot be written is left alone.

    Parameters
    ----------
    key : str
    arrays : dict of arrays
    """
    place = folder()
    # the cache saves time and nothing else: a full or read-only disk is no reason to lose the result
    with suppress(OSError, ExportError):
        with replaced(place / f"{key}.npz") as beside:
            np.savez_compressed(beside, allow_pickle=False, **arrays)
        _trim(place)


def _trim(place: Path) -> None:
    """Remove the files that were not used for longest until the folder is small enough."""
    files = []
    for file in place.glob("*.npz"):
        with suppress(OSError):  # another process was quicker
            files.append((file.stat().st_mtime, file.stat().st_size, file))
    files.sort(reverse=True)
    total = 0
    for _, size, file in files:
        total += size
        if total > LIMIT:
            file.unlink(missing_ok=True)
