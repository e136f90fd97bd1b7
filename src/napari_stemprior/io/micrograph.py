"""The micrograph: an image that knows its pixel size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import MicrographError
from napari_stemprior.recording import PreparedImage, inverted, prepare
from napari_stemprior.recording.image_check import LEAST_SIDE, checked_image
from napari_stemprior.recording.pixel_size_range import checked_pixel_size
from napari_stemprior.recording.stored_image import StoredImage, is_large, is_stored, stored

#: What the analysis takes: an image, or one that was prepared without what a person excluded.
Analysed = NDArray[np.float32] | StoredImage | PreparedImage


@dataclass(frozen=True, eq=False)
class Micrograph:
    """One image with its calibration.

    Parameters
    ----------
    image : (H, W) array of float32
        One that is large and not in memory (Zarr, Dask, a memory map) becomes a `StoredImage`, which can be
        sliced as an array and comes into memory as a whole only where that is asked for.
    pixel_size : float or None
        Å per pixel; None where the file does not say.
    name : str
    source : pathlib.Path or None
        The file that it was read from.
    metadata : dict
        What the file says about the microscope; plain values only.
    excluded : (H, W) array of bool, optional
        Where a person wants no atoms; None where that is nowhere. The pixels there stay as they are.

    Raises
    ------
    MicrographError
        If it is no two-dimensional image of real numbers, is smaller than 16 pixels on a side, is constant,
        or has no finite pixel; see `recording.checked_image`. If the mask is of another shape.
    PixelSizeError
        If the pixel size cannot show atoms, see `recording.pixel_size_range`.
    """

    image: NDArray[np.float32]
    pixel_size: float | None
    name: str = "micrograph"
    source: Path | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    excluded: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        image: Any = self.image
        self._check_mask()
        if is_stored(image):  # what its pixels are is looked at strip by strip, when it is prepared
            object.__setattr__(self, "image", stored(image, self.name))
            self._check_size()
            return
        image = checked_image(self.image, self.name, LEAST_SIDE)
        finite = np.isfinite(image)
        if not finite.all():  # dead pixels: fill with the median so that no filter spreads them
            image = np.where(finite, image, np.median(image[finite])).astype(np.float32)
        object.__setattr__(self, "image", image)
        self._check_size()

    def _check_size(self) -> None:
        if self.pixel_size is not None:
            object.__setattr__(self, "pixel_size", checked_pixel_size(self.pixel_size, self.name))

    def _check_mask(self) -> None:
        if self.excluded is None:
            return
        mask = np.asarray(self.excluded)
        if mask.shape != np.shape(self.image):
            raise MicrographError(
                f"{self.name}: the mask is {_size(mask.shape)} and the image {_size(np.shape(self.image))}; "
                "give a mask of the same size."
            )
        # no copy: the same mask is known again by what has prepared the image
        object.__setattr__(self, "excluded", mask.astype(bool, copy=False) if mask.any() else None)

    @cached_property
    def analysed(self) -> Analysed:
        """What the analysis takes: the image; where places are excluded, made fit for it without them."""
        if self.excluded is None:
            return self.image
        if is_large(self.image):
            return stored(self.image, self.name).excluding(self.excluded)
        try:
            return prepare(self.image, self.excluded)
        except MicrographError as error:
            raise MicrographError(f"{self.name}: {str(error)[0].lower()}{str(error)[1:]}") from error

    def cropped(self, rows: slice, columns: slice) -> Micrograph:
        """Return a part of it."""
        mask = None if self.excluded is None else self.excluded[rows, columns]
        return replace(self, image=self.image[rows, columns], excluded=mask)

    def inverted(self) -> Micrograph:
        """Return it with bright and dark exchanged, so that dark columns (ABF, bright field) are bright."""
        metadata = {**self.metadata, "inverted": not self.is_inverted}
        image: Any = self.image
        turned: Any = image.inverted() if isinstance(image, StoredImage) else inverted(image)
        return replace(self, image=turned, metadata=metadata)

    @property
    def is_inverted(self) -> bool:
        """Whether bright and dark are exchanged against what the microscope recorded."""
        return bool(self.metadata.get("inverted"))

    @property
    def field_of_view(self) -> tuple[float, float] | None:
        """Height and width in Å, or None without a pixel size."""
        if self.pixel_size is None:
            return None
        height, width = self.image.shape
        return height * self.pixel_size, width * self.pixel_size


def _size(shape: tuple[int, ...]) -> str:
    """Return a shape as a person reads it, width first."""
    return f"{' x '.join(str(n) for n in reversed(shape))} pixels"
