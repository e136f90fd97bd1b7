"""An optional part of the network: the structure as a whole tunes what the image branch looks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class StructureModulation(nn.Module):
    """Scale and shift the features of the image by what the structure is.

    After Perez et al., FiLM (arXiv:1709.07871). Spacings, kinds and brightness ratios are known before a
    lattice is laid on the image; they say which patterns to look for. Without a prior nothing is changed: no
    part has a bias. At first nothing is changed with one either, so that a network may be given this part
    later.

    Parameters
    ----------
    token_width : int
        Of a structure token.
    widths : sequence of int
        Channels of the features that are modulated, one after the other.
    """

    def __init__(self, token_width: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.pooled = nn.Linear(2 * token_width, 2 * token_width, bias=False)
        self.out = nn.Linear(2 * token_width, 2 * sum(widths), bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, tokens: Tensor, mask: Tensor) -> Callable[[Tensor, int], Tensor]:
        """Look at a structure.

        Parameters
        ----------
        tokens : Tensor (B, N + 1, token_width)
            The columns, then the lattice; zero where masked.
        mask : Tensor (B, N + 1) of bool

        Returns
        -------
        callable
            Takes (B, C, H, W) features and which of `widths` they have, and returns them modulated.
        """
        count = mask[:, :-1].sum(dim=1, keepdim=True).clamp(min=1)
        columns = tokens[:, :-1].sum(dim=1) / count
        hidden = nn.functional.silu(self.pooled(torch.cat([columns, tokens[:, -1]], dim=1)))
        parts = self.out(hidden).split([2 * width for width in self.widths], dim=1)

        def modulated(x: Tensor, level: int) -> Tensor:
            scale, shift = parts[level][:, :, None, None].to(x.dtype).chunk(2, dim=1)
            return torch.addcmul(x + shift, x, scale)

        return modulated
