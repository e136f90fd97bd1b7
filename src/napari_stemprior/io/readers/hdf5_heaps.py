"""Heaps of an HDF5 file in which its library would go round for ever.

Texts of variable length lie in global heap collections (HDF5 File Format Specification 3.0, III.E): objects
one after another, each with its size; the object of number 0 is the free space at the end and its size holds
its own head. Where a damaged file gives that size as 0, the library, which is C and cannot be stopped from
Python, looks at the same object again and again.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

#: How a collection begins: signature, version 1, three zeros; its size follows.
_BEGIN = b"GCOL\x01\x00\x00\x00"
#: Number, references and size of an object.
_OBJECT = struct.Struct("<HH4xQ")
#: Bytes of a file up to which all of it is searched, and of a larger one at its beginning and its end.
_WHOLE, _PART = 2**28, 2**25


def has_endless_heap(path: Path) -> bool:
    """Tell whether a heap of an HDF5 file holds free space of no size.

    Parameters
    ----------
    path : pathlib.Path
        Not empty. Above 256 MiB its first and last 32 MiB are searched.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        length = len(content)
        parts = [(0, length)] if length <= _WHOLE else [(0, _PART), (length - _PART, length)]
        for start, stop in parts:
            at = content.find(_BEGIN, start, stop)
            while at >= 0:
                if _is_endless(content, at):
                    return True
                at = content.find(_BEGIN, at + len(_BEGIN), stop)
    return False


def _is_endless(content: mmap.mmap, at: int) -> bool:
    head = content[at + 8 : at + 16]
    if len(head) < 8:
        return False
    end = min(at + int.from_bytes(head, "little"), len(content))
    place = at + 16
    while place + _OBJECT.size <= end:
        number, _, size = _OBJECT.unpack_from(content, place)
        step = _OBJECT.size + -(-size // 8) * 8 if number else size
        if step == 0:
            return True
        place += step
    return False
