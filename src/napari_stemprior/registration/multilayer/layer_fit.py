"""What one layer contributes to an image, so that it can be taken out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_stemprior.registration.fourier.normalized_image import BACKGROUND_WIDTH, NormalizedImage
from napari_stemprior.registration.pose import Pose
from napari_stemprior.structure import StructurePrior

#: Standard deviations in Å of a column's image that are tried.
WIDTHS = (0.3, 0.42, 0.55, 0.7)


@dataclass(frozen=True)
class Layer:
    """A layer and where it lies on a normalised image.

    Parameters
    ----------
    prior : StructurePrior
    pose : Pose
        To pixels of the normalised image.
    """

    prior: StructurePrior
    pose: Pose


class LayerModel:
    """Fits the images of several layers to a normalised image at once.

    Parameters
    ----------
    normalized : NormalizedImage
    width : float, optional
        Standard deviation in Å of a column's image; without it the best of `WIDTHS` is found first.
    """

    def __init__(self, normalized: NormalizedImage, width: float | None = None) -> None:
        self.normalized = normalized
        self.width = width
        self._pad = int(np.ceil(3 * BACKGROUND_WIDTH / normalized.pixel_size))
        self._size = tuple(fft.next_fast_len(n + 2 * self._pad, real=True) for n in normalized.image.shape)

    def without_others(self, layers: Sequence[Layer], only: int | None = None) -> list[NDArray[np.float32]]:
        """Take all layers but one from the image.

        Parameters
        ----------
        layers : sequence of Layer
        only : int, optional
            Return what is left for this layer alone.

        Returns
        -------
        list of (H, W) arrays
            One for each layer, or for the one that was asked for.
        """
        height, matrix, owner = self._fitted(layers)
        target = self.normalized.image.ravel()
        numbers = range(len(layers)) if only is None else [only]
        return [
            (target - (height * (owner != number)).astype(np.float32) @ matrix).reshape(
                self.normalized.image.shape
            )
            for number in numbers
        ]

    def explained_variance(self, layers: Sequence[Layer]) -> float:
        """Return the share of the image's variance that the layers explain, 0 to 1."""
        height, matrix, _ = self._fitted(layers)
        target = self.normalized.image.ravel()
        left = target - height.astype(np.float32) @ matrix
        return 1 - float((left**2).sum()) / float((target**2).sum())

    def brightness(self, layers: Sequence[Layer]) -> list[float]:
        """Return how bright the columns of each layer are, per atom of the heaviest column's weight."""
        height, _, owner = self._fitted(layers)
        weights = np.concatenate([layer.prior.z_weights for layer in layers])
        return [float(height[owner == n].sum() / weights[owner == n].sum()) for n in range(len(layers))]

    def _fitted(
        self, layers: Sequence[Layer]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.int64]]:
        """Return the height of every column of the cells, their images, and whose they are."""
        transforms = [spots for layer in layers for spots in self._spots(layer)]
        counts = [len(layer.prior.columns) for layer in layers]
        owner = np.repeat(np.arange(len(layers)), counts)
        target = self.normalized.image.ravel()
        best: tuple[float, float, NDArray[np.float64], NDArray[np.float32]] | None = None
        for width in WIDTHS if self.width is None else (self.width,):
            matrix = self._images(transforms, width)
            gram = (matrix @ matrix.T).astype(np.float64)
            gram += 1e-6 * np.trace(gram) * np.eye(len(gram))
            height = np.linalg.solve(gram, (matrix @ target).astype(np.float64))
            height = np.maximum(height, 0)  # a column never makes the image darker
            left = float(((target - height.astype(np.float32) @ matrix) ** 2).sum())
            if best is None or left < best[0]:
                best = (left, width, height, matrix)
        assert best is not None
        self.width = best[1]
        return best[2], best[3], owner

    def _spots(self, layer: Layer) -> list[NDArray[np.complex128]]:
        """Return the transform of unit points at each column of the cell."""
        height, width = self._size
        yx, index = layer.pose.columns(layer.prior, self._shape, self._pad - 2)
        places = yx + self._pad
        low = np.floor(places).astype(int)
        part = places - low
        transforms = []
        for column in range(len(layer.prior.columns)):
            mine = index == column
            image = np.zeros(height * width)
            for dy in (0, 1):
                for dx in (0, 1):
                    weight = np.abs(1 - dy - part[mine, 0]) * np.abs(1 - dx - part[mine, 1])
                    y = np.clip(low[mine, 0] + dy, 0, height - 1)
                    x = np.clip(low[mine, 1] + dx, 0, width - 1)
                    image += np.bincount(y * width + x, weight, height * width)
            transforms.append(fft.rfft2(image.reshape(height, width).astype(np.float32)))
        return transforms

    def _images(self, transforms: list[NDArray[np.complex128]], width: float) -> NDArray[np.float32]:
        """Blur the points to columns and take the background away, as preprocessing does."""
        rows = fft.fftfreq(self._size[0], self.normalized.pixel_size)[:, None]
        columns = fft.rfftfreq(self._size[1], self.normalized.pixel_size)[None]
        square = -2 * np.pi**2 * (rows**2 + columns**2)
        passed = (np.exp(width**2 * square) * (1 - np.exp(BACKGROUND_WIDTH**2 * square))).astype(np.float32)
        height, wide = self._shape
        inner = (slice(self._pad, self._pad + height), slice(self._pad, self._pad + wide))
        images = np.stack([fft.irfft2(t * passed, self._size)[inner].ravel() for t in transforms])
        return images if self.normalized.weight is None else images * self.normalized.weight.ravel()

    @property
    def _shape(self) -> tuple[int, int]:
        return self.normalized.image.shape[0], self.normalized.image.shape[1]
