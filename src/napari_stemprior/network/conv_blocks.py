"""The convolutional blocks of the image branch, and their form for prediction alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval


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
        if isinstance(self.first, DoublingConv):
            return self.after_first(self.first(coarse, fine))
        return super().forward(_joined(coarse, fine))

    def fold(self) -> None:
        """Let the convolutions do the normalisation and the doubling, too; for prediction alone."""
        super().fold()
        assert isinstance(self.first, nn.Conv2d)
        self.first = DoublingConv(self.first, self.first.out_channels)


class DoublingConv(nn.Module):
    """A 3 x 3 convolution of doubled pixels beside fine ones, without the doubling.

    Each pixel sees two by two of the coarse pixels, with sums of the weights that fall on one: four ninths of
    the products, and nothing is copied.

    Parameters
    ----------
    plain : Conv2d
        Of the coarse channels, doubled, then the fine ones.
    fine : int
        How many of its input channels are fine.
    """

    def __init__(self, plain: nn.Conv2d, fine: int) -> None:
        super().__init__()
        coarse = plain.in_channels - fine
        weight = plain.weight.detach()
        self.fine = nn.Conv2d(fine, plain.out_channels, 3, 1, 1)
        self.fine.weight.data = weight[:, coarse:].contiguous(memory_format=torch.channels_last)
        assert plain.bias is not None
        assert self.fine.bias is not None
        self.fine.bias.data = plain.bias.detach().clone()
        # by the parity of the pixel, in y, then in x: which of the three rows fall on which coarse one
        seen = weight.new_tensor([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]])
        parts = torch.einsum("pyi,qxj,ocij->pqocyx", seen, seen, weight[:, :coarse])
        self.coarse = nn.Conv2d(coarse, 4 * plain.out_channels, 2, 1, 1, bias=False)
        self.coarse.weight.data = parts.flatten(0, 2).contiguous(memory_format=torch.channels_last)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Map (B, C, H, W) and (B, D, 2 H, 2 W) to (B, outputs, 2 H, 2 W)."""
        height, width = coarse.shape[2:]
        found: Tensor = self.fine(fine)
        for number, part in enumerate(self.coarse(coarse).chunk(4, dim=1)):
            row, column = divmod(number, 2)
            found[:, :, row::2, column::2] += part[:, :, row : row + height, column : column + width]
        return found


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


def _joined(coarse: Tensor, fine: Tensor) -> Tensor:
    """Put (B, C, H, W) at twice its resolution beside (B, D, 2 H, 2 W), both channels last.

    Pixels are doubled by joining, whose gradient is a sum of two slices: that of a broadcast takes seven
    times as long on a CPU.
    """
    batch, width, height, columns = coarse.shape
    pixels = coarse.permute(0, 2, 3, 1)[:, :, :, None]
    rows = torch.cat([pixels, pixels], dim=3).reshape(batch, height, 1, 2 * columns, width)
    doubled = torch.cat([rows, rows], dim=2).reshape(batch, 2 * height, 2 * columns, width)
    return torch.cat([doubled, fine.permute(0, 2, 3, 1)], dim=-1).permute(0, 3, 1, 2)
