"""The micrograph: an image that knows its pixel size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.recording import inverted
from napari_stemprior.recording.image_check import LEAST_SIDE, checked_image
from napari_stemprior.recording.pixel_size_range import checked_pixel_size
from napari_stemprior.recording.stored_image import StoredImage, is_stored, stored


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

    Raises
    ------
    MicrographError
        If it is no two-dimensional image of real numbers, is smaller than 16 pixels on a side, is constant,
        or has no finite pixel; see `recording.checked_image`.
    PixelSizeError
        If the pixel size cannot show atoms, see `recording.pixel_size_range`.
    """

    image: NDArray[np.float32]
    pixel_size: float | None
    name: str = "micrograph"
    source: Path | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        image: Any = self.image
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
