"""The convolutional blocks of the image branch: as they learn, and folded for prediction alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

#: Of a pixel, in y and x.
_PARITIES = ((0, 0), (0, 1), (1, 0), (1, 1))


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation and a residual path."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first: nn.Module = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm_first: nn.Module = nn.BatchNorm2d(outputs)
        self.second: nn.Module = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm_second: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        return self.after_first(self.first(x))

    def after_first(self, x: Tensor) -> Tensor:
        """Go on from what the first convolution makes of the input."""
        in_place = not torch.is_grad_enabled()
        x = F.silu(self.norm_first(x), inplace=in_place)
        y = self.norm_second(self.second(x))
        return F.silu(y.add_(x) if in_place else x + y, inplace=in_place)

    def fold(self) -> None:
        """Let the convolutions do the normalisation, too; for prediction alone."""
        self.first, self.second = (
            folded(self.first, self.norm_first),
            folded(self.second, self.norm_second),
        )
        self.norm_first, self.norm_second = nn.Identity(), nn.Identity()


class UpBlock(ConvBlock):
    """A `ConvBlock` of an image beside a coarser one, whose pixels are doubled."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__(coarse + fine, fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:  # type: ignore[override]
        """Map (B, coarse, H, W) and (B, fine, 2 H, 2 W) to (B, fine, 2 H, 2 W)."""
        assert isinstance(self.first, nn.Conv2d)
        return self.after_first(doubling_conv(coarse, fine, self.first.weight, self.first.bias))


def doubling_conv(coarse: Tensor, fine: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Apply a 3 x 3 convolution to doubled pixels beside fine ones, without the doubling.

    Each pixel sees two by two of the coarse pixels, with sums of the weights that fall on one: four ninths of
    the products, and nothing is copied.

    Parameters
    ----------
    coarse : Tensor (B, C, H, W)
    fine : Tensor (B, D, 2 H, 2 W)
    weight : Tensor (E, C + D, 3, 3)
        Of the coarse channels, then the fine ones.
    bias : Tensor (E,) or None

    Returns
    -------
    Tensor (B, E, 2 H, 2 W)
    """
    height, width = coarse.shape[2:]
    of_coarse, of_fine = weight[:, : coarse.shape[1]], weight[:, coarse.shape[1] :]
    made = F.conv2d(fine, of_fine, bias, padding=1)
    parts = F.conv2d(coarse, _seen_doubled(of_coarse), padding=1).chunk(4, dim=1)
    placed = [
        part[:, :, row : row + height, column : column + width]
        for part, (row, column) in zip(parts, _PARITIES, strict=True)
    ]
    if not torch.is_grad_enabled():
        for part, (row, column) in zip(placed, _PARITIES, strict=True):
            made[:, :, row::2, column::2] += part
        return made
    # the same, by joining: its gradient is a sum of slices, that of adding to slices copies all every time
    last = [part.permute(0, 2, 3, 1) for part in placed]
    rows = [torch.stack(pair, dim=3).flatten(2, 3) for pair in (last[:2], last[2:])]
    return made + torch.stack(rows, dim=2).flatten(1, 2).permute(0, 3, 1, 2)


def _seen_doubled(weight: Tensor) -> Tensor:
    """Sum the weights that fall on one of two by two coarse pixels.

    Parameters
    ----------
    weight : Tensor (E, C, 3, 3)

    Returns
    -------
    Tensor (4 E, C, 2, 2)
        Channels last; for pixels that are even in y and x, even and odd, odd and even, odd in both.
    """
    for axis in (3, 2):  # what is asked of y last comes first
        first, second, third = weight.unbind(axis)
        even, odd = (first, second + third), (first + second, third)
        weight = torch.cat([torch.stack(even, dim=axis), torch.stack(odd, dim=axis)])
    return weight.contiguous(memory_format=torch.channels_last)


def folded(convolution: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """Return one convolution that does the batch normalisation behind it, too; for prediction alone."""
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(convolution, norm)


def pointwise(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a 1 x 1 convolution as a product of matrices; on a CPU in a third of the time.

    Parameters
    ----------
    layer : Conv2d
    x : Tensor (B, C, H, W)
        Channels last.
    """
    return F.linear(x.permute(0, 2, 3, 1), layer.weight[:, :, 0, 0], layer.bias).permute(0, 3, 1, 2)


def planar(weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    """Apply a 1 x 1 convolution to channels that lie last, and return channels that lie first.

    Parameters
    ----------
    weight : Tensor (D, C), (B, D, C) or (D, C, 1, 1)
    bias : Tensor (D,) or (B, D)
    x : Tensor (B, C, H, W)
        Channels last.

    Returns
    -------
    Tensor (B, D, H, W)
        Contiguous.
    """
    assert bias is not None
    batch, _, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1).flatten(1, 2)
    weight = weight.flatten(2)[..., 0] if weight.ndim == 4 else weight
    made = weight @ pixels.transpose(1, 2)
    return made.add_(bias[..., None]).reshape(batch, -1, height, width)
