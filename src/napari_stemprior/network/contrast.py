"""An optional part of the network: whole images and whole structures in one space, to be contrasted."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class WholeImageContrast(nn.Module):
    """Embed an image and a structure so that their product tells how well they agree.

    After Radford et al., CLIP (arXiv:2103.00020), with its learned temperature.

    Parameters
    ----------
    width : int
        Channels of the image.
    token_width : int
        Of a structure token.
    embedding_width : int
    """

    def __init__(self, width: int, token_width: int, embedding_width: int) -> None:
        super().__init__()
        self.project_image = nn.Linear(width, embedding_width)
        self.project_structure = nn.Linear(token_width, embedding_width)
        self.temperature = nn.Parameter(torch.tensor(2.3))  # log of the inverse

    def of_image(self, x: Tensor) -> Tensor:
        """Embed (B, C, H, W) features as (B, E) unit vectors times the inverse of the temperature."""
        image = F.normalize(self.project_image(x.mean(dim=(2, 3))).float(), dim=-1)
        return image * self.temperature.exp().clamp(max=50.0)

    def of_structure(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Embed structures as (B, E) unit vectors.

        Parameters
        ----------
        tokens : Tensor (B, N, token_width)
        mask : Tensor (B, N) of bool
        """
        count = mask.sum(dim=1, keepdim=True).clamp(min=1)
        pooled = (tokens * mask[..., None]).sum(dim=1) / count
        return F.normalize(self.project_structure(pooled).float(), dim=-1)
