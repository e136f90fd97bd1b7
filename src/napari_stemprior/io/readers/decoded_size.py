"""What an image takes once it is decoded, checked against its file and the memory before any is allocated."""

from __future__ import annotations

from pathlib import Path

import psutil

from napari_stemprior.errors import MicrographError

#: No usual compression makes more than this many bytes of one (deflate ends at 1032).
_LARGEST_RATIO = 1100
#: Up to this many bytes nothing is asked: they harm nobody.
_HARMLESS = 256 * 2**20
#: Pixels as they lie in the file, and a copy as float32 with its mask.
_COPIES = 2


def check_decoded_size(path: Path, size: int) -> None:
    """See that the pixels of a file can be held before they are read.

    Parameters
    ----------
    path : pathlib.Path
    size : int
        Bytes of the decoded pixels, by the header.

    Raises
    ------
    MicrographError
        If no compression can make so much of the file, or the memory that is free does not hold it.
    """
    if size <= _HARMLESS:
        return
    check_compression(path, size)
    free = _free()
    if _COPIES * size > free:
        raise MicrographError(
            f"{path.name}: the image takes {_readable(_COPIES * size)} of memory and {_readable(free)} are "
            "free; cut out a part of it, or close other programs."
        )


def check_compression(path: Path, size: int) -> None:
    """See that a compression can have made so little of the decoded size, whether it is ever read or not.

    Parameters
    ----------
    path : pathlib.Path
    size : int
        Bytes once decoded, by the header.

    Raises
    ------
    MicrographError
        If no compression can.
    """
    on_disk = path.stat().st_size
    if size > max(_HARMLESS, _LARGEST_RATIO * on_disk):
        raise MicrographError(
            f"{path.name}: the header speaks of {_readable(size)} of pixels and the file has "
            f"{_readable(on_disk)}; it is damaged, so copy it again."
        )


def _free() -> int:
    """Bytes that can be allocated, within what the system allows this process."""
    free = int(psutil.virtual_memory().available)
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return free
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return free
    return min(free, max(0, limit - int(psutil.Process().memory_info().vms)))


def _readable(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
