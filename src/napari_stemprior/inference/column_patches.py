"""The pixels around every column, and the sums over them that a fit of Gaussians needs.

A column at ``centre + place`` (whole pixel and remainder) has the bell ``exp(-((u - y)² + (v - x)²) / 2w²)``
on the window ``(u, v)`` that all columns share. Its derivatives are the bell times polynomials of u and v of
second degree at most, so all sums of their products are those of ``weight × bell²`` with ten monomials. The
window is a disc of `_DRAWN` around the pixel, of which the inner `_REACH` is fitted.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_stemprior.network.devices import exact_dtype
from napari_stemprior.progress import Progress

Floats = NDArray[np.float64]

#: Å: how far around a column its pixels count, and how far its Gaussian is drawn.
_REACH, _DRAWN = 1.1, 1.7
#: Pixels of patches that are worked on together: on a CPU what its cache holds, on a GPU what fills it.
_TOGETHER_ON_CPU, _TOGETHER_ON_GPU = 2**18, 2**25
#: Classes of signal in which the noise is estimated, and the bins that these are made of.
_CLASSES, _BINS = 8, 4096
#: Indices of pixels that are kept from one round to the next; more are made anew each time.
_KEPT = 2**24
#: Pixels of the image that are read together.
_READ = 2**20
#: Seconds of work after which progress is told.
_PATIENCE = 0.05


@dataclass(frozen=True, eq=False)
class Sums:
    """Weighted sums over the pixels of each column.

    Here a bell is multiplied by 1, u, v and u² + v² in turn; the floor is 1 on all pixels.

    Parameters
    ----------
    bells : Tensor (N, 4, 4)
        Of the products of the four bells.
    with_floor, residual : Tensor (N, 4)
        Of the four bells, and of them times what the fit leaves over.
    floor, floor_residual : Tensor (N,)
        Of the weights, and of them times what the fit leaves over.
    """

    bells: Tensor
    with_floor: Tensor
    residual: Tensor
    floor: Tensor
    floor_residual: Tensor


class ColumnPatches:
    """The patches of all columns of an image.

    Per-pixel values are float32 with the image scaled to unit standard deviation; what there is of a column
    is float64 where the device has it.

    Parameters
    ----------
    image : (H, W) array
        Any unit.
    pixel_size : float
        Å per pixel.
    yx : (N, 2) array
        The columns, pixels.
    valid : (H, W) array of bool, or None
        Pixels that count; None where all do.
    device : torch.device

    Attributes
    ----------
    unit : float
        Standard deviation of the image, once it is `read`.
    """

    unit: float

    def __init__(
        self,
        image: NDArray[np.floating],
        pixel_size: float,
        yx: Floats,
        valid: NDArray[np.bool_] | None,
        device: torch.device,
    ) -> None:
        self.device = device
        self.dtype = exact_dtype(device)
        window, near = _window(pixel_size)
        shape = np.array(image.shape)
        # floor, since round() would take both 1.5 and 2.5 to 2
        self._centre = np.clip(np.floor(yx + 0.5).astype(np.int64), 0, shape - 1)
        pad = int(np.abs(window).max())
        height, across = (size + 2 * pad for size in image.shape)
        self._given, self._inner = (image, valid), np.s_[pad : height - pad, pad : across - pad]
        self._image = torch.zeros(height, across, device=device)
        width = image.shape[1] + 2 * pad
        base = (self._centre + pad) @ np.array([width, 1])
        self._base = torch.from_numpy(base).to(device)
        self._offset = torch.from_numpy(window @ np.array([width, 1])).to(device)
        self._near = near
        # a bell is the product of one along each axis, of which there are few values
        self._axis = torch.arange(-pad, pad + 1, device=device)
        self._window = torch.from_numpy(np.ascontiguousarray(window.T + pad)).to(device)
        u, v = torch.from_numpy(window[:near].T.astype(np.float32)).to(device)
        self._four = torch.stack([torch.ones_like(u), u, v, u**2 + v**2])
        rows, columns = torch.triu_indices(4, 4, device=device)
        self._products, self._rows, self._columns = self._four[rows] * self._four[columns], rows, columns
        together = _TOGETHER_ON_CPU if device.type == "cpu" else _TOGETHER_ON_GPU
        self._block = max(1, together // len(window))
        keep = len(yx) * (len(window) + near) <= _KEPT
        self._indices: dict[tuple[int, bool], Tensor] | None = {} if keep else None
        self._inside, self._values, self._signal, self._bells = torch.empty(4, len(yx), near, device=device)
        self._last = time.monotonic()

    def read(self, stage: str) -> Generator[Progress, None, None]:
        """Read the pixels of all columns, once for all rounds of a fit."""
        here, (image, valid) = Progress(0, 1, stage), self._given
        some = max(1, _READ // image.shape[1])
        strips = [slice(first, first + some) for first in range(0, len(image), some)]
        level, square = float(np.mean(image, dtype=np.float64)), 0.0
        for rows in strips:
            if self._is_due():
                yield here
            square += float(np.sum((image[rows].astype(np.float64) - level) ** 2))
        self.unit = float(np.sqrt(square / image.size)) or 1.0
        counts = torch.zeros_like(self._image)
        inner, counted = self._image[self._inner], counts[self._inner]
        for rows in strips:
            if self._is_due():
                yield here
            inner[rows] = torch.from_numpy(((image[rows] - level) / self.unit).astype(np.float32))
            counted[rows] = 1.0 if valid is None else torch.from_numpy(valid[rows].astype(np.float32))
        self._image, counts = self._image.reshape(-1), counts.reshape(-1)
        for block in self._blocks():
            if self._is_due():
                yield here
            flat = self._flat(block)
            self._inside[block] = _taken(counts, flat)
            self._values[block] = _taken(self._image, flat)

    def local(self, yx: Floats) -> Tensor:
        """Return (N, 2) places relative to the pixels that the columns are on."""
        return torch.from_numpy(yx - self._centre).to(self.dtype).to(self.device)

    def to_image(self, place: Tensor) -> Floats:
        """Return (N, 2) pixels of the image of what `local` made."""
        return np.asarray(place.cpu().numpy().astype(np.float64) + self._centre)

    def first_guess(self, stage: str) -> Generator[Progress, None, tuple[Tensor, Tensor]]:
        """Return (N,) heights above, and levels of, the surroundings of the columns."""
        n = len(self._base)
        height, low = torch.zeros(2, n, dtype=torch.float32, device=self.device)
        for block in self._blocks():
            if self._is_due():
                yield Progress(0, 1, stage)
            values, inside = self._values[block], self._inside[block]
            low[block] = _fifth(values, inside)
            core = inside[:, :9]
            mean = (values[:, :9] * core).sum(1) / core.sum(1).clamp(min=1)
            height[block] = (mean - low[block]).clamp(min=0.0)
        return height.to(self.dtype), low.to(self.dtype)

    def sums(
        self, place: Tensor, amplitude: Tensor, background: Tensor, width: float, progress: Progress
    ) -> Generator[Progress, None, Sums]:
        """Sum over the pixels of every column.

        Parameters
        ----------
        place : Tensor (N, 2)
            Local pixels.
        amplitude, background : Tensor (N,)
        width : float
            Standard deviation of the Gaussians, pixels.
        progress : Progress
            What to say meanwhile.
        """
        along, height = self._along_axes(place, width), amplitude.float()[:, None]
        level = background.float()[:, None]
        drawn = torch.zeros_like(self._image)
        for block in self._blocks():
            if self._is_due():
                yield progress
            down, across = (
                one[block].index_select(1, at) for one, at in zip(along, self._window, strict=True)
            )
            bells = down.mul_(across)
            self._bells[block] = bells[:, : self._near]
            bells *= height[block]
            drawn.scatter_add_(0, self._flat(block, drawn=True).reshape(-1), bells.reshape(-1))
        line = yield from self._noise(drawn, level, progress)
        n = len(place)
        products = torch.empty(n, 10, dtype=self.dtype, device=self.device)
        with_floor, residual_sums = torch.empty(2, n, 4, dtype=self.dtype, device=self.device)
        floor, floor_residual = torch.empty(2, n, dtype=self.dtype, device=self.device)
        for block in self._blocks():
            if self._is_due():
                yield progress
            signal = self._signal[block]
            residual = self._values[block] - signal
            weight = self._inside[block] / (line[0] + line[1] * signal).clamp(min=line[2])
            bell = self._bells[block]
            weighted = weight * bell
            residual *= weight
            with_floor[block] = F.linear(weighted, self._four)
            products[block] = F.linear(weighted.mul_(bell), self._products)
            residual_sums[block] = F.linear(residual * bell, self._four)
            floor[block], floor_residual[block] = weight.sum(1), residual.sum(1)
        bells = torch.empty(n, 4, 4, dtype=self.dtype, device=self.device)
        bells[:, self._rows, self._columns] = bells[:, self._columns, self._rows] = products
        return Sums(bells, with_floor, residual_sums, floor, floor_residual)

    def _along_axes(self, place: Tensor, width: float) -> tuple[Tensor, Tensor]:
        """Return the bells along y and along x, (N, A) each, at the A pixels of a window along an axis."""
        y, x = (((self._axis - place[:, axis, None]) / width).square_().mul_(-0.5) for axis in (0, 1))
        return y.exp_().float(), x.exp_().float()

    def _noise(
        self, drawn: Tensor, level: Tensor, progress: Progress
    ) -> Generator[Progress, None, tuple[float, float, float]]:
        """Estimate the variance of a pixel: offset and slope in the signal, and the least it is taken for.

        From what is left over in classes of signal with equally many pixels. The signal as it is fitted, of
        drawn columns and level, is kept for each column's pixels.
        """
        low = level.min()
        scale = (_BINS - 1) / (level.max() + drawn.max() - low).clamp(min=1e-30)
        count, error = torch.zeros(2, _BINS, dtype=torch.float32, device=self.device)
        for block in self._blocks():
            if self._is_due():
                yield progress
            signal = torch.add(_taken(drawn, self._flat(block)), level[block], out=self._signal[block])
            residual = self._values[block] - signal
            inside = self._inside[block]
            index = ((signal - low) * scale).long().clamp_(0, _BINS - 1).reshape(-1)
            count.scatter_add_(0, index, inside.reshape(-1))
            error.scatter_add_(0, index, residual.square_().mul_(inside).reshape(-1))
        counts, errors = count.cpu().numpy().astype(float), error.cpu().numpy().astype(float)
        signals = (np.arange(_BINS) + 0.5) / float(scale) + float(low)
        mean = max(errors.sum() / max(counts.sum(), 1.0), 1e-30)
        total = np.cumsum(counts)
        classes = np.minimum((total - counts / 2) * _CLASSES / max(total[-1], 1.0), _CLASSES - 1).astype(int)
        pixels = np.maximum(np.bincount(classes, counts, _CLASSES), 1)
        x = np.bincount(classes, counts * signals, _CLASSES) / pixels
        y = np.bincount(classes, errors, _CLASSES) / pixels
        if np.ptp(x) <= 0:
            return mean, 0.0, mean
        slope = max(0.0, float(np.polyfit(x, y, 1)[0]))
        return float(y.mean() - slope * x.mean()), slope, 0.1 * mean

    def _flat(self, which: slice, *, drawn: bool = False) -> Tensor:
        """Return (B, P) indices into the padded image: of fitted pixels, or of all `drawn` ones."""
        known = None if self._indices is None else self._indices.get((which.start, drawn))
        if known is None:
            known = self._base[which, None] + (self._offset if drawn else self._offset[: self._near])
            if self._indices is not None:
                self._indices[which.start, drawn] = known
        return known

    def _blocks(self) -> Iterator[slice]:
        for first in range(0, len(self._base), self._block):
            yield slice(first, first + self._block)

    def _is_due(self) -> bool:
        """Tell whether progress should be told."""
        now = time.monotonic()
        due = now - self._last > _PATIENCE
        if due:
            self._last = now
        return due


def _window(pixel_size: float) -> tuple[NDArray[np.int64], int]:
    """Return the (P, 2) pixels of a disc of `_DRAWN`, the nearest first, and how many are fitted."""
    radius = max(2, int(np.ceil(_DRAWN / pixel_size)))
    step = np.arange(-radius, radius + 1)
    window = np.stack(np.meshgrid(step, step, indexing="ij"), -1).reshape(-1, 2)
    distance = np.hypot(*window.T) * pixel_size
    order = np.argsort(distance, kind="stable")
    window, distance = window[order], distance[order]
    return (
        window[distance <= max(_DRAWN, 2.0 * pixel_size)],
        int((distance <= max(_REACH, 1.5 * pixel_size)).sum()),
    )


def _taken(values: Tensor, flat: Tensor) -> Tensor:
    """Return ``values[flat]``; on a CPU in a third of the time."""
    return values.index_select(0, flat.reshape(-1)).view(flat.shape)


def _fifth(values: Tensor, inside: Tensor) -> Tensor:
    """Return the 20th percentile of each row of (B, P) values where `inside` is 1."""
    count = inside.sum(1).long()
    few = min(int(0.2 * (values.shape[1] - 1)) + 2, values.shape[1])
    ranked = values.masked_fill(inside == 0, torch.inf).topk(few, dim=1, largest=False).values
    rank = 0.2 * (count - 1).clamp(min=0).to(values.dtype)
    lower = rank.floor().long()[:, None]
    upper = torch.minimum(lower + 1, (count[:, None] - 1).clamp(min=0))
    low, high = ranked.gather(1, lower)[:, 0], ranked.gather(1, upper)[:, 0]
    return torch.where(count > 0, low + (rank - rank.floor()) * (high - low), torch.zeros_like(low))
