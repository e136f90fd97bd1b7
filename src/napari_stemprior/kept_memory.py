"""Memory that was freed, kept for the next array.

The C library of Linux gives the memory of large arrays back to the system as soon as they are freed, and the
system fills what it hands out with zeros, page by page. A network makes and frees arrays of many MB in every
layer: of a segmentation of 1024² pixels this was a sixth of the processor time.
"""

from __future__ import annotations

import ctypes
import sys

#: Parameters of ``mallopt`` in glibc's ``malloc.h``.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
#: Bytes: a larger array gets memory of its own, which is given back (the largest value that glibc takes), and
#: what is free beyond so much is given back as well.
_LARGEST, _KEPT = 2**25, 2**29
#: The most that can be kept.
_ALL = 2**31 - 1


def keep_freed_memory(*, whole: bool = False) -> bool:
    """Let this process keep the memory of freed arrays for the next ones; return whether that is possible.

    For a program of its own, not for a plugin, whose host decides about memory. Where the C library is not
    glibc nothing is changed.

    Parameters
    ----------
    whole : bool
        Keep that of arrays of any size, for work that makes the same arrays again and again until it ends:
        a training step of `paper` on two cores takes 12 s instead of 21
        (``python -m benchmarks.speed.training_step --device cpu``).
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    if whole:
        return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _ALL))
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
