"""Values that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it.

    Tuples and arrays become lists, NumPy scalars Python numbers, paths text; numbers that are not
    finite become None, since JSON has none. Bytes of a file name that are no text are written as an escape.

    Parameters
    ----------
    value : object

    Raises
    ------
    TypeError
        If there is no such form, with the type in the message.
    """
    if isinstance(value, np.generic | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str | PurePath):
        return printable(str(value))
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, Mapping):
        return {printable(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    raise TypeError(f"a value of type {type(value).__name__} is neither number, text, list nor mapping")


def printable(text: str) -> str:
    """Return a text that can be encoded: bytes of a file name that are no UTF-8 are written as an escape."""
    escaped = "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c for c in text)
    return escaped.encode("utf-8", "backslashreplace").decode("utf-8")
