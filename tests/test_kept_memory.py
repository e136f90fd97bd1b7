"""Freed memory is kept for the next array."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

#: Makes and frees an array twenty times, and prints how often the system had to hand out a page for it.
_CODE = """
import resource
from napari_stemprior.kept_memory import keep_freed_memory
assert keep_freed_memory(whole={whole})
bytearray(b"x" * {size})
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    bytearray(b"x") * {size}
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="only glibc is told what to keep"
)
@pytest.mark.parametrize(("size", "whole"), [(2**24, False), (2**24, True), (2**27, True)])
def test_the_system_is_not_asked_again(size: int, whole: bool) -> None:
    command = [sys.executable, "-c", _CODE.format(size=size, whole=whole)]
    asked = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(asked) < 2 * size / 4096  # of twenty times as many


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_stemprior import kept_memory

    monkeypatch.setattr(kept_memory.ctypes, "CDLL", lambda name: object())
    assert not kept_memory.keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not kept_memory.keep_freed_memory()
