"""How much memory there is, and how to say it."""

from __future__ import annotations

import psutil


def free_memory() -> int:
    """Return the bytes that can be allocated, within what the system allows this process."""
    free = int(psutil.virtual_memory().available)
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return free
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return free
    return min(free, max(0, limit - int(psutil.Process().memory_info().vms)))


def readable_size(size: float) -> str:
    """Return a number of bytes in GiB or MiB."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
