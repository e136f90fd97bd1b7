"""Which files of an OME-Zarr folder are this program's own, so that an export deletes nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

from napari_stemprior.regular_files import refuse_pipe

#: Every file that `write_ome_zarr` leaves, relative to its folder.
_OWN = re.compile(
    r"(labels/((atoms|vacancies)/)?)?(\.zgroup|\.zattrs)"
    r"|(labels/(atoms|vacancies)/)?0/(\.zarray|\.zattrs|\d+/\d+)"
)


def foreign_file(folder: Path) -> str:
    """Name a file in a folder that `write_ome_zarr` did not write; "" where there is none.

    Parameters
    ----------
    folder : pathlib.Path
    """
    try:
        refuse_pipe(folder / ".zattrs")
        own = "stemprior" in json.loads((folder / ".zattrs").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        own = False
    if not own and any(folder.iterdir()):
        return folder.name
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or (not path.is_dir() and not _OWN.fullmatch(name)):
            return name
    return ""
