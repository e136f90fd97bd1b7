"""Headers that contradict the size of their file, told before a library takes them at their word."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import IO

from napari_stemprior.errors import MicrographError

#: Bytes a pixel of each mode of an MRC file; 101 packs two pixels into one.
_MRC_BYTES = {0: 1, 1: 2, 2: 4, 3: 4, 4: 8, 6: 2, 12: 2, 16: 3, 101: 1}
_MRC_HEADER = 1024
#: Bytes a number of each type of a TIA series, and what stands before the numbers of a spectrum and an image.
_SER_BYTES = {1: 1, 2: 2, 3: 4, 4: 1, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 16}
_SER_HEADS = {0x4120: "<20xHI", 0x4122: "<40xHII"}


def check_mrc(path: Path) -> None:
    """See that an MRC file is as long as its header says.

    Raises
    ------
    MicrographError
        If it is not, or the mode is unknown.
    """
    with path.open("rb") as file:
        header = file.read(_MRC_HEADER)
    if len(header) < _MRC_HEADER:
        raise MicrographError(f"{path.name}: the file is cut off within its header; copy it again.")
    for order in "<>":
        nx, ny, nz, mode = struct.unpack(f"{order}4i", header[:16])
        extended = struct.unpack(f"{order}i", header[92:96])[0]
        if mode in _MRC_BYTES and min(nx, ny, nz) > 0 and extended >= 0:
            needed = _MRC_HEADER + extended + nx * ny * nz * _MRC_BYTES[mode] // (2 if mode == 101 else 1)
            if needed <= path.stat().st_size:
                return
    raise MicrographError(
        f"{path.name}: the header speaks of more pixels than the file has, or of none; it is damaged or cut "
        "short, so copy it again."
    )


def check_ser(path: Path) -> None:
    """See that a TIA series has room for as many images as its header says.

    Raises
    ------
    MicrographError
        If it has not.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(34)
        if len(header) < 34:
            raise MicrographError(f"{path.name}: the file is cut off within its header; copy it again.")
        whole = _holds_series(file, header, size)
    if not whole:
        raise MicrographError(
            f"{path.name}: the header speaks of images that the file does not hold; it is damaged or cut "
            "short, so copy it again."
        )


def _holds_series(file: IO[bytes], header: bytes, size: int) -> bool:
    """Tell whether a file of a size holds every image that its header speaks of."""
    version = struct.unpack("<H", header[4:6])[0]
    kind, _, total, valid = struct.unpack("<4I", header[6:22])
    width = 4 if version <= 0x210 else 8
    offset = struct.unpack("<I" if width == 4 else "<Q", header[22 : 22 + width])[0]
    if not 0 < valid <= total or offset + 2 * width * total > size or kind not in _SER_HEADS:
        return False
    head = struct.Struct(_SER_HEADS[kind])
    file.seek(offset)
    for (place,) in struct.iter_unpack("<I" if width == 4 else "<Q", file.read(width * valid)):
        if place + head.size > size:
            return False
        file.seek(place)
        number, *shape = head.unpack(file.read(head.size))
        if place + head.size + math.prod(shape) * _SER_BYTES.get(number, 1) > size:
            return False
    return True
