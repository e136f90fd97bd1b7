"""What an image that goes by strips takes of memory and disk, asked before it is begun."""

from __future__ import annotations

import math

from napari_stemprior.errors import MicrographError
from napari_stemprior.free_memory import free_memory, readable_size
from napari_stemprior.inference.canonical import CanonicalGrid
from napari_stemprior.recording.stored_image import STRIP
from napari_stemprior.registration.binned_fit import binning_at
from napari_stemprior.scratch_arrays import free_disk, scratch_place

#: Bytes a pixel of a strip that is prepared, of the image in coarse pixels in which a lattice is looked for,
#: and of the rows of tiles that are blended; bytes an Å² of the specimen for its sites and atoms. Measured
#: by ``python -m benchmarks.speed.large_images``.
_PREPARED, _FITTED, _BLENDED, _ATOMS = 70, 40, 200, 150
#: Rows of tiles in memory, and bytes for what does not depend on the image.
_TILES, _ALWAYS = 640, 2**29


def check_room(shape: tuple[int, int], pixel_size: float, name: str = "") -> None:
    """See that an image can be segmented with the memory and the disk that are free.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    pixel_size : float
        Å per pixel.
    name : str, optional
        What the sentence calls the image.

    Raises
    ------
    MicrographError
        If it cannot.
    """
    needed, disk = room_for(shape, pixel_size)
    free, left = free_memory(), free_disk()
    if needed <= free and disk <= left:
        return
    image = f"{name}: the image of" if name else "The image of"
    short = (
        f"of {readable_size(free)} of memory that are free; cut out a part of it, or close other programs."
        if needed > free
        else f"of {readable_size(left)} that are free in {scratch_place()}; make room there, or name another "
        "place in TMPDIR."
    )
    wanted = readable_size(needed if needed > free else disk)
    raise MicrographError(f"{image} {shape[1]} x {shape[0]} pixels takes {wanted} {short}")


def room_for(shape: tuple[int, int], pixel_size: float) -> tuple[int, int]:
    """Return the bytes of memory and of disk that it takes to segment an image by strips.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    pixel_size : float
        Å per pixel.
    """
    pixels = shape[0] * shape[1]
    canonical = CanonicalGrid.of(shape, pixel_size).shape
    at_once = max(
        _PREPARED * min(pixels, max(STRIP, 384 * shape[1])),
        _FITTED * pixels // binning_at(pixel_size) ** 2,
        _BLENDED * _TILES * canonical[1],
    )
    kept = math.ceil(_ATOMS * pixels * pixel_size**2)
    return _ALWAYS + at_once + kept, 5 * pixels + 4 * math.prod(canonical) + 4 * shape[0] * canonical[1]
