"""Headers that contradict the size of their file, told before a library takes them at their word."""

from __future__ import annotations

import struct
from pathlib import Path

from napari_stemprior.errors import MicrographError

#: Bytes a pixel of each mode of an MRC file; 101 packs two pixels into one.
_MRC_BYTES = {0: 1, 1: 2, 2: 4, 3: 4, 4: 8, 6: 2, 12: 2, 16: 3, 101: 1}
_MRC_HEADER = 1024


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
    with path.open("rb") as file:
        header = file.read(34)
    if len(header) < 34:
        raise MicrographError(f"{path.name}: the file is cut off within its header; copy it again.")
    version = struct.unpack("<H", header[4:6])[0]
    _, _, total, valid = struct.unpack("<4I", header[6:22])
    width = 4 if version <= 0x210 else 8
    offset = struct.unpack("<I" if width == 4 else "<Q", header[22 : 22 + width])[0]
    size = path.stat().st_size
    if not 0 < valid <= total or offset + 2 * width * total > size:
        raise MicrographError(
            f"{path.name}: the header speaks of {valid} of {total} images, which the file does not hold; it "
            "is damaged or cut short, so copy it again."
        )
