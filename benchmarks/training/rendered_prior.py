"""The rival of attention: a U-Net that sees the registered prior as two more image channels."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.image_encoder import IMAGE_CHANNELS
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.network.stemprior_net import StructurePromptedNet

#: Canonical pixels: width of the spots that are drawn, 0.3 Å.
_SIGMA = 1.5
#: Place of the square root of the relative Z-weight among the features of a column.
_ROOT_WEIGHT = 8


class RenderedPriorNet(StructurePromptedNet):
    """The same network without any cross-attention; the prior is drawn beside the image."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__(replace(config, site_attention=False, cell_attention=False))
        stem = self.stem[0]
        assert isinstance(stem, nn.Conv2d)
        self.stem[0] = nn.Conv2d(IMAGE_CHANNELS + 2, stem.out_channels, 5, 1, 2, bias=False)

    def channels(self, seen: Tensor, prompt: StructurePrompt) -> Tensor:
        """Return the image's channels, the columns, and the columns by their scattering."""
        return torch.cat([super().channels(seen, prompt), rendered(prompt, seen.shape[-2:])], dim=1)


def rendered(prompt: StructurePrompt, shape: tuple[int, ...]) -> Tensor:
    """Draw the sites of a prompt.

    Returns
    -------
    Tensor (B, 2, H, W)
        Spots of height one; spots as high as the square root of the relative Z-weight.
    """
    batch = prompt.sites.shape[0]
    height, width = shape
    step = torch.arange(-4, 5, device=prompt.sites.device)
    window = torch.stack(torch.meshgrid(step, step, indexing="ij"), -1).reshape(1, 1, -1, 2)
    pixel = prompt.sites.round().long()[:, :, None] + window
    spot = torch.exp(-((pixel - prompt.sites[:, :, None]) ** 2).sum(-1) / (2 * _SIGMA**2))
    inside = (pixel >= 0).all(-1) & (pixel[..., 0] < height) & (pixel[..., 1] < width)
    spot = spot * (inside & prompt.site_mask[..., None])
    flat = (pixel[..., 0].clamp(0, height - 1) * width + pixel[..., 1].clamp(0, width - 1)).flatten(1)
    weight = prompt.columns[..., _ROOT_WEIGHT].gather(1, prompt.site_index)[..., None]
    maps = spot.new_zeros(batch, 2, height * width)
    maps[:, 0].scatter_reduce_(1, flat, spot.flatten(1), "amax")
    maps[:, 1].scatter_reduce_(1, flat, (spot * weight).flatten(1), "amax")
    return maps.reshape(batch, 2, height, width)
