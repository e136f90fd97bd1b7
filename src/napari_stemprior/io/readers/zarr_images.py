"""Zarr: a plain array, or the images of an OME-Zarr (NGFF 0.4 and 0.5); their pixels stay on the disk."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemprior.errors import MicrographError
from napari_stemprior.io.readers.length_units import to_angstrom
from napari_stemprior.io.readers.raw_image import RawImage
from napari_stemprior.io.readers.zarr_guard import check_zarr_array, check_zarr_folder
from napari_stemprior.recording.stored_image import is_large_shape

#: Most frames of one array.
_FRAMES = 10_000


def read_zarr(path: Path) -> list[RawImage]:
    """Read the image of a Zarr folder at its full resolution.

    Parameters
    ----------
    path : pathlib.Path
        An array, with ``pixel_size_angstrom`` among its attributes if that is known, or a group
        with the ``multiscales`` of an OME-Zarr.

    Raises
    ------
    MicrographError
        If it holds no image, a part of it lies elsewhere, or its description and files do not fit.
    Exception
        Whatever zarr raises on a folder that it cannot read.
    """
    import zarr  # takes a quarter of a second, and most micrographs are files

    on_disk = check_zarr_folder(path)
    node: Any = zarr.open(path, mode="r")
    attributes = dict(node.attrs)
    array, size, title, names = node, _stated(attributes), "", ""
    if not hasattr(node, "shape"):
        array, size, title, names = _full_resolution(node, attributes, path)
    if array.ndim < 2 or array.size == 0:
        raise MicrographError(f"{path.name}: the Zarr array has shape {array.shape}; give an image.")
    leading = tuple(int(n) for n in array.shape[:-2])
    if math.prod(leading) > _FRAMES:
        raise MicrographError(
            f"{path.name}: the Zarr array has shape {array.shape}, so its last two axes are no image; export "
            "the image itself."
        )
    remarks = check_zarr_array(array, path, on_disk)
    turned = names == "xy"
    frames: Any
    if is_large_shape(array.shape):
        frames = [_Frame(array, index, turned) for index in np.ndindex(*leading)]
    else:
        frames = np.asarray(array[...]).reshape(-1, *array.shape[-2:])
        frames = frames.swapaxes(-1, -2) if turned else frames
    metadata = {"remarks": remarks} if remarks else {}
    return [RawImage(frames, stacked=len(frames) > 1, pixel_size=size, title=title, metadata=metadata)]


class _Frame:
    """One image of an array of more dimensions, as something that gives blocks when sliced.

    `turned` says that the array has x before y.
    """

    def __init__(self, array: Any, index: tuple[int, ...], turned: bool = False) -> None:
        self._array, self._index, self._turned = array, index, turned
        shape = tuple(array.shape[-2:])
        self.shape, self.dtype = shape[::-1] if turned else shape, np.dtype(array.dtype)

    def __getitem__(self, part: Any) -> Any:
        rows, columns = part if isinstance(part, tuple) else (part, slice(None))
        if self._turned:
            return np.asarray(self._array[(*self._index, columns, rows)]).T
        return self._array[(*self._index, rows, columns)]


def _full_resolution(
    group: Any, attributes: Mapping[str, Any], path: Path
) -> tuple[Any, tuple[float | None, float | None], str, str]:
    """Return the first array of the first multiscale image, its pixel size in Å along y and x, and its name.

    At last come the names of its last two axes in one word.
    """
    described = attributes.get("ome", attributes)
    try:
        image = described["multiscales"][0]
        dataset = image["datasets"][0]
        array = group[str(dataset["path"])]
        steps = dataset.get("coordinateTransformations", ()), image.get("coordinateTransformations", ())
        scale = np.prod([step for steps_of in steps for step in _scales(steps_of)], axis=0)
        axes = [(str(axis["name"]).lower(), axis.get("unit")) for axis in image["axes"]]
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise MicrographError(
            f"{path.name}: the Zarr folder holds neither an array nor the multiscales of an OME-Zarr; give "
            "the folder of the image itself."
        ) from error
    if not hasattr(array, "shape"):
        raise MicrographError(f"{path.name}: the image in the Zarr folder has no pixels; copy it again.")
    title = str(image.get("name", ""))
    if len(axes) != array.ndim or array.ndim < 2:
        return array, (None, None), title, ""
    names = axes[-2][0] + axes[-1][0]
    if np.shape(scale) != (array.ndim,):
        return array, (None, None), title, names
    sizes = [to_angstrom(scale[axis], axes[axis][1]) for axis in (-2, -1)]
    y, x = sizes[::-1] if names == "xy" else sizes
    return array, (y, x), title, names


def _scales(steps: Sequence[Mapping[str, Any]]) -> Iterator[list[float]]:
    for step in steps:
        if step.get("type") == "scale":
            yield [float(value) for value in step["scale"]]


def _stated(attributes: Mapping[str, Any]) -> tuple[float | None, float | None]:
    size = to_angstrom(attributes.get("pixel_size_angstrom"), "Å")
    return size, size
