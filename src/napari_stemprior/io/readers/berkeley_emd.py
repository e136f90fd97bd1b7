"""Berkeley EMD: images whose dimensions say by name which is x and which is y.

Writers disagree about the order: ncempy writes rows first, Prismatic and HyperSpy columns first. The names of
the dimensions (``dim1``, ``dim2``, ...) decide; a file that names none is read as HyperSpy writes it where
its names ("undefined") or attributes say so, and rows first otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array
import h5py
import numpy as np

#: Names of datasets that can be images; the cubes of 4D-STEM are none.
_IMAGES = ("data", "realslice", "array")
_UNNAMED = ("", "none", "undefined")
#: Attributes of a group that HyperSpy wrote.
_OF_HYPERSPY = ("record_by", "signal_origin")


def read_berkeley(path: Path) -> list[dict[str, Any]]:
    """List the images and stacks of a Berkeley EMD as RosettaSciIO lists signals; pixels stay on the disk.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    list of dict
        ``data`` (a lazy array with y and x last), ``axes``, ``metadata``, ``original_metadata`` and ``file``,
        which the caller closes.
    """
    file = h5py.File(path, "r")
    signals: list[dict[str, Any]] = []

    def look(name: str, item: Any) -> None:
        last = name.rpartition("/")[2]
        if not (isinstance(item, h5py.Dataset) and last in _IMAGES and item.dtype.kind in "iufbc"):
            return
        group = item.parent
        if "emd_group_type" in group.attrs and item.ndim in (2, 3, 4):
            title = group.name.rpartition("/")[2]
            order, axes = _axes(group, item)
            signals.append(
                {
                    "data": dask.array.from_array(item, chunks=item.chunks or item.shape).transpose(order),
                    "axes": axes,
                    "file": file,
                    "metadata": {"General": {"title": title}},
                    "original_metadata": {},
                }
            )

    file.visititems(look)
    if not signals:
        file.close()
    return signals


def _axes(group: Any, dataset: Any) -> tuple[list[int], list[dict[str, Any]]]:
    """Return the order of the dimensions that brings y and x to the end, and the axes in that order."""
    first = 0 if "dim0" in group else 1
    dimensions = [group.get(f"dim{first + i}") for i in range(dataset.ndim)]
    names = [_text(d, "name") for d in dimensions]
    y, x = _image_axes(names, any(name in group.attrs for name in _OF_HYPERSPY))
    axes = []
    for i, (dimension, name, size) in enumerate(zip(dimensions, names, dataset.shape, strict=True)):
        axes.append(
            {
                "name": "y" if i == y else "x" if i == x else name,
                "size": int(size),
                "scale": _step(dimension, int(size)),
                "units": _text(dimension, "units"),
                "navigate": i not in (y, x),
            }
        )
    order = [i for i in range(dataset.ndim) if i not in (y, x)] + [y, x]
    return order, [axes[i] for i in order]


def _image_axes(names: list[str], by_hyperspy: bool) -> tuple[int, int]:
    """Return which dimensions are y and x."""
    short = [name.lower().replace("_", "").replace(" ", "") for name in names]
    found = [[i for i, name in enumerate(short) if name.endswith(axis)] for axis in "yx"]
    if len(found[0]) == len(found[1]) == 1:
        return found[0][0], found[1][0]
    last = len(names) - 1
    if by_hyperspy or any("undefined" in name for name in short):  # which turns the order round
        return 1, 0
    return last - 1, last


def _step(dimension: Any, size: int) -> float:
    """Return the distance between two pixels; NaN where the dimension does not tell one."""
    try:
        values = np.asarray(dimension[()], dtype=np.float64).ravel()
    except (TypeError, ValueError, OSError):
        return float("nan")
    if len(values) == size > 1:
        return float((values[-1] - values[0]) / (size - 1))
    return float(values[1] - values[0]) if len(values) == 2 else float("nan")


def _text(dimension: Any, name: str) -> str:
    value = None if dimension is None else dimension.attrs.get(name)
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else None
    if isinstance(value, bytes | np.bytes_):
        value = value.decode("utf-8", "replace")
    text = str(value).strip().strip("<>[]").strip()
    return "" if text.lower() in _UNNAMED[:2] else text
