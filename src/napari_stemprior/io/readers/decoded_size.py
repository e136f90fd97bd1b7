"""What an image takes once it is decoded, checked against its file and the memory before any is allocated."""

from __future__ import annotations

from pathlib import Path

from napari_stemprior.errors import MicrographError
from napari_stemprior.free_memory import free_memory, readable_size

#: No usual compression makes more than this many bytes of one (deflate ends at 1032).
_LARGEST_RATIO = 1100
#: Up to this many bytes nothing is asked: they harm nobody.
_HARMLESS = 256 * 2**20
#: Pixels as they lie in the file, and a copy as float32 with its mask.
_COPIES = 2


def check_decoded_size(path: Path, size: int, *, compressed: bool = True) -> None:
    """See that the pixels of a file can be held before they are read.

    Parameters
    ----------
    path : pathlib.Path
    size : int
        Bytes of the decoded pixels, by the header.
    compressed : bool
        Whether the path is a file that holds them, which says how many there can be.

    Raises
    ------
    MicrographError
        If no compression can make so much of the file, or the memory that is free does not hold it.
    """
    if size <= _HARMLESS:
        return
    if compressed:
        check_compression(path, size)
    free = free_memory()
    if _COPIES * size > free:
        takes, have = readable_size(_COPIES * size), readable_size(free)
        raise MicrographError(
            f"{path.name}: the image takes {takes} of memory and {have} are free; cut out a part of it, or "
            "close other programs."
        )


def check_compression(path: Path, size: int, on_disk: int | None = None) -> None:
    """See that a compression can have made so little of the decoded size, whether it is ever read or not.

    Parameters
    ----------
    path : pathlib.Path
    size : int
        Bytes once decoded, by the header.
    on_disk : int, optional
        Bytes that there are, where the path is no single file.

    Raises
    ------
    MicrographError
        If no compression can.
    """
    on_disk = path.stat().st_size if on_disk is None else on_disk
    if size > max(_HARMLESS, _LARGEST_RATIO * on_disk):
        raise MicrographError(
            f"{path.name}: the header speaks of {readable_size(size)} of pixels and the file has "
            f"{readable_size(on_disk)}; it is damaged, so copy it again."
        )
