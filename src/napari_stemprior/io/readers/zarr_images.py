"""Zarr: a plain array, or the images of an OME-Zarr (NGFF 0.4 and 0.5); their pixels stay on the disk."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemprior.errors import MicrographError
from napari_stemprior.io.readers.decoded_size import check_decoded_size
from napari_stemprior.io.readers.length_units import to_angstrom
from napari_stemprior.io.readers.raw_image import RawImage
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
        If it holds no image.
    Exception
        Whatever zarr raises on a folder that it cannot read.
    """
    import zarr  # takes a quarter of a second, and most micrographs are files

    node: Any = zarr.open(path, mode="r")
    attributes = dict(node.attrs)
    array, size, title = node, _stated(attributes), ""
    if not hasattr(node, "shape"):
        array, size, title = _full_resolution(node, attributes, path)
    if array.ndim < 2 or array.size == 0:
        raise MicrographError(f"{path.name}: the Zarr array has shape {array.shape}; give an image.")
    leading = tuple(int(n) for n in array.shape[:-2])
    if math.prod(leading) > _FRAMES:
        raise MicrographError(
            f"{path.name}: the Zarr array has shape {array.shape}, so its last two axes are no image; export "
            "the image itself."
        )
    frames: Any
    if is_large_shape(array.shape):
        frames = [_Frame(array, index) for index in np.ndindex(*leading)]
    else:
        check_decoded_size(path, array.size * array.dtype.itemsize, compressed=False)
        frames = np.asarray(array[...]).reshape(-1, *array.shape[-2:])
    return [RawImage(frames, stacked=len(frames) > 1, pixel_size=size, title=title)]


class _Frame:
    """One image of an array of more dimensions, as something that gives blocks when sliced."""

    def __init__(self, array: Any, index: tuple[int, ...]) -> None:
        self._array, self._index = array, index
        self.shape, self.dtype = tuple(array.shape[-2:]), np.dtype(array.dtype)

    def __getitem__(self, part: Any) -> Any:
        part = part if isinstance(part, tuple) else (part, slice(None))
        return self._array[(*self._index, *part)]


def _full_resolution(
    group: Any, attributes: Mapping[str, Any], path: Path
) -> tuple[Any, tuple[float | None, float | None], str]:
    """Return the first array of the first multiscale image, its pixel size in Å, and its name."""
    described = attributes.get("ome", attributes)
    try:
        image = described["multiscales"][0]
        dataset = image["datasets"][0]
        array = group[str(dataset["path"])]
        steps = dataset.get("coordinateTransformations", ()), image.get("coordinateTransformations", ())
        scale = np.prod([step for steps_of in steps for step in _scales(steps_of)], axis=0)
        units = [axis.get("unit") for axis in image["axes"]]
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise MicrographError(
            f"{path.name}: the Zarr folder holds neither an array nor the multiscales of an OME-Zarr; give "
            "the folder of the image itself."
        ) from error
    if not hasattr(array, "shape") or np.ndim(scale) == 0 or len(units) < 2:
        return array, (None, None), str(image.get("name", ""))
    y, x = (to_angstrom(scale[axis], units[axis]) for axis in (-2, -1))
    return array, (y, x), str(image.get("name", ""))


def _scales(steps: Sequence[Mapping[str, Any]]) -> Iterator[list[float]]:
    for step in steps:
        if step.get("type") == "scale":
            yield [float(value) for value in step["scale"]]


def _stated(attributes: Mapping[str, Any]) -> tuple[float | None, float | None]:
    size = to_angstrom(attributes.get("pixel_size_angstrom"), "Å")
    return size, size
