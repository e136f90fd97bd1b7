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
    finite become None, since JSON has none.

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
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    raise TypeError(f"a value of type {type(value).__name__} is neither number, text, list nor mapping")
