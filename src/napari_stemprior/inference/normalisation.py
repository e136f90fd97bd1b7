"""The network's input channels of an image of any size, the same however it is cut into tiles.

The network was trained on fields of some 26 Å and normalises each by its own mean and deviation. A whole
micrograph may be bright at one end and empty at the other, so each pixel is normalised by the square of
`WINDOW` around it; near an edge that is the outermost such square. A field no larger than that is normalised
as one. What changes slowly is taken away first where it would leave little of the columns.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

import torch
from torch import Tensor

from napari_stemprior.network.devices import exact_dtype
from napari_stemprior.network.image_encoder import REACH, local_contrast, normalised
from napari_stemprior.progress import Progress, drain

#: Canonical pixels on a side of the square that a pixel is normalised by: 51 Å.
WINDOW = 256
#: Canonical pixels on a side of the square whose mean is the ground of a pixel: 16 Å, several columns wide.
_GROUND = 80
#: Share of the variance in `WINDOW` that is not the ground's, up to which all of the ground is taken away,
#: and from which on none is. In 31 images of crystals that fill the field, or have a hole, it is at least
#: 0.86; in a small particle on vacuum 0.57; in a real image of thick gold particles 0.02 to 0.1.
_SHARE = (0.1, 0.25)
#: How far from a pixel the image decides its channels.
SEEN = 3 * WINDOW // 2 + _GROUND // 2 + REACH
#: Canonical pixels on a side of the parts in which local contrast is computed.
_PART = 256
#: Pixels whose sums are made together.
_TOGETHER = 2**19


def normalised_image(image: Tensor, stage: str) -> Generator[Progress, None, Tensor]:
    """Make the input channels of a whole image, step by step.

    Parameters
    ----------
    image : Tensor (H, W)
        At the canonical pixel size, any unit.
    stage : str
        What the progress says.

    Returns
    -------
    Tensor (IMAGE_CHANNELS, H, W)
        See `network.image_encoder.normalised`.
    """
    ground, mean, deviation = yield from _ground(image, stage)
    if ground is not None:
        image = image - ground
    if max(image.shape) <= WINDOW:
        return normalised(image[None, None])[0]
    if ground is not None:
        mean, deviation = yield from _moments(image, WINDOW, stage)
    del ground
    yield Progress(0, 1, stage)
    flat = (image - mean) / deviation.clamp(min=1e-8)
    del mean, deviation
    yield Progress(0, 1, stage)
    local, smooth = torch.empty_like(flat), torch.empty_like(flat)
    for rows, rows_around in _parts(image.shape[0]):
        for columns, columns_around in _parts(image.shape[1]):
            parts = local_contrast(flat[rows_around, columns_around][None, None])
            inner = (_within(rows, rows_around), _within(columns, columns_around))
            for whole, part in zip((local, smooth), parts, strict=True):
                whole[rows, columns] = part[0, 0][inner]
        yield Progress(0, 1, stage)
    _, deviation = yield from _moments(smooth, WINDOW, stage)
    smooth /= deviation.clamp_(min=1e-4)
    yield Progress(0, 1, stage)
    seen = image.new_empty(3, *image.shape)
    seen[0] = _asinh(flat)
    yield Progress(0, 1, stage)
    seen[1] = _asinh(local)
    seen[2] = smooth
    return seen


def _ground(image: Tensor, stage: str) -> Generator[Progress, None, tuple[Tensor | None, Tensor, Tensor]]:
    """Find what changes slowly, as far as columns are a small part of the contrast around a pixel.

    Where a thick particle lies beside the vacuum, the deviation is that of its outline, and columns would be
    too faint for `local_contrast`.

    Returns
    -------
    ground : Tensor (H, W), or None
        To be taken away; None where there is nothing to take away.
    mean, deviation : Tensor (H, W)
        Of the image, see `moments_around`.
    """
    mean, deviation = yield from _moments(image, WINDOW, stage)
    ground, _ = yield from _moments(image, _GROUND, stage)
    _, fine = yield from _moments(image - ground, WINDOW, stage)
    share = (fine / deviation.clamp(min=1e-30)).square_()
    little, much = _SHARE
    if bool((share >= much).all()):
        return None, mean, deviation
    return ground * ((much - share) / (much - little)).clamp_(0, 1), mean, deviation


def _asinh(x: Tensor) -> Tensor:
    """Return ``torch.asinh`` to 1e-7; on a CPU in a third of its time."""
    size = x.abs()
    return (size + (size * size + 1).sqrt_()).log_().copysign_(x)


def moments_around(image: Tensor, window: int = WINDOW) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of an (H, W) image in the window that each pixel is the middle of.

    Near an edge the window stays inside; where the image is smaller, the window is all of it.
    """
    return drain(_moments(image, window, ""))


def _moments(image: Tensor, window: int, stage: str) -> Generator[Progress, None, tuple[Tensor, Tensor]]:
    """Return `moments_around`, step by step."""
    exact = exact_dtype(image.device)  # sums of many pixels
    level = image.mean()
    shifted = (image - level).to(exact)
    count = min(window, image.shape[0]) * min(window, image.shape[1])
    mean = (yield from _sums(shifted, window, stage)) / count
    square = (yield from _sums(shifted.square_(), window, stage)) / count
    variance = (square - mean**2).clamp_(min=0).mul_(count / max(count - 1, 1))
    return (mean + level).to(image.dtype), variance.sqrt_().to(image.dtype)


def _sums(image: Tensor, window: int, stage: str) -> Generator[Progress, None, Tensor]:
    """Sum an (H, W) image over the square windows of its pixels."""
    for axis in (0, 1):
        size, across = image.shape[axis], image.shape[1 - axis]
        width = min(window, size)
        first = (torch.arange(size, device=image.device) - width // 2).clamp(0, size - width)
        sums, some = torch.empty_like(image), max(1, _TOGETHER // size)
        for begin in range(0, across, some):
            yield Progress(0, 1, stage)
            part = image.narrow(1 - axis, begin, min(some, across - begin))
            running = torch.nn.functional.pad(part.cumsum(axis), (1, 0, 0, 0) if axis else (0, 0, 1, 0))
            low, high = running.index_select(axis, first), running.index_select(axis, first + width)
            torch.sub(high, low, out=sums.narrow(1 - axis, begin, part.shape[1 - axis]))
        image = sums
    return image


def _parts(size: int) -> Iterator[tuple[slice, slice]]:
    """Cut an axis into parts; yield each, and what its filters see around it."""
    for first in range(0, size, _PART):
        last = min(first + _PART, size)
        # the last one may be narrow: the filters need something to be mirrored in
        begin = min(first, max(size - _PART, 0))
        yield slice(first, last), slice(max(begin - REACH, 0), min(last + REACH, size))


def _within(part: slice, around: slice) -> slice:
    return slice(part.start - around.start, part.stop - around.start)
