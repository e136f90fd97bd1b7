"""The network: image branch, structure branch, fusion and heads, read from top to bottom.

Which of its parts it has is a choice of `NetworkConfig`; those that not every network has are in files of
their own, `self_attention`, `modulation` and `contrast`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE, STRIDE, NetworkConfig
from napari_stemprior.network.contrast import WholeImageContrast
from napari_stemprior.network.conv_blocks import ConvBlock, UpBlock, folded, planar, pointwise
from napari_stemprior.network.fusion import CellAttention, SiteAttention, nearest_sites
from napari_stemprior.network.image_encoder import IMAGE_CHANNELS, normalised
from napari_stemprior.network.modulation import StructureModulation
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.network.self_attention import SelfAttention
from napari_stemprior.network.structure_encoder import StructureEncoder

T = TypeVar("T")
#: The features of the four levels, and how the structure modulates features; None where it does not.
_Levels: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor, Callable[[Tensor, int], Tensor] | None]
#: Work that stops between two layers, so that whoever asked can say how far it is.
Layers: TypeAlias = Generator[None, None, T]

#: Pixels per side of the blocks in which nearest sites are looked up.
_BLOCK = 4
#: The layers at a quarter of the resolution and below.
_COARSE = (
    "level2", "level3", "site_coarse", "contrast", "self_attention", "cell_attention", "up2",
)  # fmt: skip


@dataclass(eq=False)
class NetworkOutput:
    """What the network says of a batch of images.

    Parameters
    ----------
    heat : Tensor (B, 2, H, W)
        Logits of "a column lies here": of the entrance layer (and of all that can be seen), and of
        the layers hidden below.
    offset : Tensor (B, 2, H, W)
        From the pixel to the column, canonical pixels (y, x).
    log_variance : Tensor (B, 1, H, W)
        Of the offset, log of pixels².
    decoded : Tensor (B, widths[0], H, W)
        The features of all pixels, which the heads read.
    project_pixel : callable
        Takes (..., widths[0]) of `decoded` to (..., E), see `features_at`.
    tokens : Tensor (B, N, E)
        The columns of the cell in the space of `features_at`; padding is masked by `token_mask`.
    token_mask : Tensor (B, N) of bool
    image_embedding, structure_embedding : Tensor (B, E) or None
        Of the image alone, whatever the prompt, and of the prompt.
        Their product tells how well image and structure agree: unit vectors, the image's times the inverse
        of the learned temperature. None in a network without.
    negative_embedding : Tensor (B, K, E) or None
        Of structures that the image does not show, while training.
    """

    heat: Tensor
    offset: Tensor
    log_variance: Tensor
    decoded: Tensor
    project_pixel: Callable[[Tensor], Tensor]
    tokens: Tensor
    token_mask: Tensor
    image_embedding: Tensor | None
    structure_embedding: Tensor | None
    negative_embedding: Tensor | None = None

    def features_at(self, pixels: Tensor) -> Tensor:
        """Return what is compared with `tokens` to tell which column of the cell a pixel shows.

        Parameters
        ----------
        pixels : Tensor (B, M, 2) of int64
            (y, x).

        Returns
        -------
        Tensor (B, M, E)
            Their dot product with a token is the logit of that column.
        """
        batch = torch.arange(len(pixels), device=pixels.device)[:, None]
        return self.project_pixel(self.decoded[batch, :, pixels[..., 0], pixels[..., 1]].float())


class StructurePromptedNet(nn.Module):
    """A U-Net whose attention is conditioned on a crystal structure."""

    def __init__(self, config: NetworkConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetworkConfig()
        #: Number format of `_COARSE` where it is not that of the rest, see `folded`.
        self.coarse_precision: torch.dtype | None = None
        self._folded: tuple[tuple[object, ...], StructurePromptedNet] | None = None
        c = self.config
        w0, w1, w2, w3 = c.widths
        self.structure = StructureEncoder(c.token_width, surroundings=c.surroundings)
        self.stem = nn.Sequential(
            nn.Conv2d(IMAGE_CHANNELS, w0, 5, 1, 2, bias=False), nn.BatchNorm2d(w0), nn.SiLU()
        )
        if c.site_attention:
            self.site_fine = SiteAttention(w0, c.token_width, c.neighbours_fine)
            self.site_coarse = SiteAttention(w2, c.token_width, c.neighbours_coarse)
        self.level0 = ConvBlock(w0, w0)
        self.level1 = ConvBlock(w0, w1, stride=2)
        self.level2 = ConvBlock(w1, w2, stride=2)
        self.level3 = ConvBlock(w2, w3, stride=2)
        if c.self_attention:
            spacing = STRIDE * CANONICAL_PIXEL_SIZE
            self.self_attention = nn.ModuleList([SelfAttention(w3, c.heads, spacing) for _ in range(2)])
        if c.cell_attention:
            self.cell_attention = CellAttention(w3, c.token_width, c.heads)
        if c.modulation:
            self.modulation = StructureModulation(c.token_width, (w1, w2, w2, w1))
        self.up2 = UpBlock(w3, w2)
        self.up1 = UpBlock(w2, w1)
        self.up0 = UpBlock(w1, w0)
        self.head = nn.Conv2d(w0, 5, 1)
        self.project_pixel = nn.Conv2d(w0, c.embedding_width, 1)
        self.project_token = nn.Linear(c.token_width, c.embedding_width)
        if c.embeddings:
            self.contrast = WholeImageContrast(w3, c.token_width, c.embedding_width)
        with torch.no_grad():  # most pixels hold no column: start from their prior odds
            self.head.bias[:2].fill_(-2.5)  # type: ignore[index]

    def channels(self, seen: Tensor, prompt: StructurePrompt) -> Tensor:
        """Make what the stem takes of a `normalised` image; the structure enters later, by attention."""
        return seen

    @property
    def sees_image_first(self) -> bool:
        """Whether `image_features` are the same for all prompts."""
        return type(self).channels is StructurePromptedNet.channels

    def image_features(self, seen: Tensor, prompt: StructurePrompt) -> Tensor:
        """Return the (B, widths[0], H, W) features that the structure is fused with, see `forward`.

        Parameters
        ----------
        seen : Tensor (B, IMAGE_CHANNELS, H, W)
            The image, `normalised`.
        prompt : StructurePrompt
        """
        channels = self.channels(seen, prompt)
        features: Tensor = self.stem(channels.to(memory_format=torch.channels_last))
        return features

    def folded(self, precision: torch.dtype = torch.float32) -> StructurePromptedNet:
        """Return a copy in which the convolutions do the normalisation, too; for prediction alone.

        It answers the same to the rounding of float32, in less time. The copy is kept until a weight changes.

        Parameters
        ----------
        precision : torch.dtype
            Of the layers at a quarter of the resolution and below. What is finer stays in float32, for it
            decides positions: in bfloat16 throughout they move by 0.009 px (median, MoS2 at 0.1 Å/px and
            3,000 e/Å²), with the half resolution in it by 0.0018, with the quarter alone by 0.0008.
        """
        first = next(self.parameters())
        # what was loaded under inference_mode has no version, and nothing changes it
        versions = (0 if parameter.is_inference() else parameter._version for parameter in self.parameters())
        state = (precision, first.device, *versions)
        if self._folded is not None and self._folded[0] == state:
            return self._folded[1]
        self._folded = None
        network = deepcopy(self).eval()
        network.stem = nn.Sequential(folded(network.stem[0], network.stem[1]), nn.SiLU(inplace=True))
        for block in network.modules():
            if isinstance(block, ConvBlock | UpBlock):
                block.fold()
        if precision != torch.float32:
            network.coarse_precision = precision
            for name in _COARSE:
                if hasattr(network, name):
                    getattr(network, name).to(precision)
        self._folded = state, network
        return network

    def _coarse(self, x: Tensor) -> Tensor:
        """Give a tensor to the layers of `_COARSE`; while training autocast does that."""
        return x if self.coarse_precision is None else x.to(self.coarse_precision)

    def forward(self, image: Tensor, prompt: StructurePrompt) -> NetworkOutput:
        """Segment a batch.

        Parameters
        ----------
        image : Tensor (B, 1, H, W)
            At `CANONICAL_PIXEL_SIZE`, any unit; H and W are multiples of `STRIDE`.
        prompt : StructurePrompt
            Same batch.
        """
        with torch.autocast(image.device.type, enabled=False):  # normalisation needs all digits
            seen = normalised(image.float())
        return self.fused(self.image_features(seen, prompt), prompt)

    def fused(self, features: Tensor, prompt: StructurePrompt) -> NetworkOutput:
        """Segment a batch of `image_features`; see `forward`."""
        tokens, mask = self.structure(prompt)
        levels = _finished(self._encoded(features, tokens, mask, prompt))
        image_embedding = structure_embedding = None
        if self.config.embeddings:
            seen = levels[3]
            # what the image shows, not what the prompt says of it; to ask would make a GPU wait
            if self.training or bool(prompt.present.any()):
                seen = self._unprompted(features)
            image_embedding = self.contrast.of_image(seen)
            structure_embedding = self.contrast.of_structure(self._coarse(tokens), mask)
        x = _finished(self._decoded(levels, tokens, mask))
        head = pointwise(self.head, x).float()
        return NetworkOutput(
            heat=head[:, :2],
            offset=head[:, 2:4],
            log_variance=_bounded(head[:, 4:5]),
            decoded=x,
            project_pixel=self._projected,
            tokens=self.project_token(tokens[:, :-1]),
            token_mask=mask[:, :-1],
            image_embedding=image_embedding,
            structure_embedding=structure_embedding,
        )

    def _projected(self, pixels: Tensor) -> Tensor:
        """Take (..., widths[0]) features of pixels to the space of the columns' tokens."""
        layer = self.project_pixel
        return F.linear(pixels, layer.weight[:, :, 0, 0], layer.bias)

    def maps(self, features: Tensor, prompt: StructurePrompt) -> tuple[Tensor, Tensor | None]:
        """Say of a batch of `image_features` what is told of it; see `maps_steps`."""
        return _finished(self.maps_steps(features, prompt))

    def maps_steps(self, features: Tensor, prompt: StructurePrompt) -> Layers[tuple[Tensor, Tensor | None]]:
        """Say of a batch of `image_features` what is told of it, step by step; for prediction alone.

        Parameters
        ----------
        features : Tensor (B, widths[0], H, W)
        prompt : StructurePrompt
            Same batch, of one prior.

        Returns
        -------
        maps : Tensor (B, 5, H, W)
            Probabilities of a column of the entrance layer and of a hidden one, offset (y, x) in canonical
            pixels, and its variance; see `NetworkOutput`.
        column : Tensor (B, H, W) of int32, or None
            The column of the cell that a pixel shows most likely; None without a prior.
        """
        tokens, mask = self.structure(prompt)
        levels = yield from self._encoded(features, tokens, mask, prompt)
        x = yield from self._decoded(levels, tokens, mask)
        yield
        maps = planar(self.head.weight, self.head.bias, x).float()
        maps[:, :2].sigmoid_()
        maps[:, 4:].copy_(_bounded(maps[:, 4:]).exp_())
        if not bool(prompt.present.any()):
            return maps, None
        # the features of a pixel are linear in it: their products with the tokens are taken at once
        embedded = self.project_token(tokens[:, :-1]).float()
        weight, bias = self.project_pixel.weight[:, :, 0, 0].float(), self.project_pixel.bias
        assert bias is not None
        likely = planar(embedded @ weight, embedded @ bias.float(), x.float())
        # of many tokens `max` finds the largest in a tenth of the time of `argmax`
        return maps, likely.max(dim=1).indices.to(torch.int32)

    def _decoded(
        self,
        levels: _Levels,
        tokens: Tensor,
        mask: Tensor,
    ) -> Layers[Tensor]:
        """Take what `_encoded` returns back up to all pixels, (B, widths[0], H, W)."""
        c = self.config
        x0, x1, x2, x3, modulate = levels
        if c.self_attention:
            x3 = self.self_attention[0](x3)
        if c.cell_attention:
            x3 = self.cell_attention(x3, self._coarse(tokens), mask)
        if c.self_attention:
            x3 = self.self_attention[1](x3)
        yield
        x = self.up2(x3, x2)
        if modulate:
            x = modulate(x, 2)
        yield
        x = self.up1(x.to(x1.dtype), x1)
        if modulate:
            x = modulate(x, 3)
        yield
        decoded: Tensor = self.up0(x.to(x0.dtype), x0)
        return decoded

    def structure_embedding(self, prompt: StructurePrompt) -> Tensor:
        """Return the (B, E) unit vectors of a batch of priors, for a network with embeddings."""
        tokens, mask = self.structure(prompt)
        embedding: Tensor = self.contrast.of_structure(self._coarse(tokens), mask)
        return embedding

    def image_embedding(self, image: Tensor) -> Tensor:
        """Return the (B, E) embeddings of (B, 1, H, W) images alone, for a network with embeddings."""
        seen = normalised(image.float())
        features = self.image_features(seen, StructurePrompt.absent(len(image), image.device))
        embedding: Tensor = self.contrast.of_image(self._unprompted(features))
        return embedding

    def _unprompted(self, features: Tensor) -> Tensor:
        """Return the coarsest features of images without a prior."""
        absent = StructurePrompt.absent(len(features), features.device)
        nothing, nowhere = self.structure(absent)
        coarsest: Tensor = _finished(self._encoded(features, nothing, nowhere, absent))[3]
        return coarsest

    def _encoded(
        self, features: Tensor, tokens: Tensor, mask: Tensor, prompt: StructurePrompt
    ) -> Layers[_Levels]:
        """Take the image down to the coarsest level, looking at the structure where it lies."""
        c = self.config
        # while training the answer is wanted on all paths; to ask would make a GPU wait
        placed = c.site_attention and (self.training or bool(prompt.site_mask.any()))
        x = features
        if placed:
            site_tokens = tokens.gather(1, prompt.site_index[..., None].expand(-1, -1, tokens.shape[-1]))
            with torch.autocast(features.device.type, enabled=False):  # positions need all digits
                shape = (features.shape[2], features.shape[3])
                nearest, valid = nearest_sites(
                    prompt.sites, prompt.site_mask, shape, c.neighbours_coarse, _BLOCK
                )
            yield
            x = self.site_fine(x, site_tokens, prompt.sites, nearest, valid, 1)
        elif c.site_attention:
            x = self.site_fine.without_sites(x)
        told = c.modulation and (self.training or bool(prompt.present.any()))
        modulate: Callable[[Tensor, int], Tensor] | None = self.modulation(tokens, mask) if told else None
        yield
        x0 = self.level0(x)
        yield
        x1 = self.level1(x0)
        if modulate:
            x1 = modulate(x1, 0)
        yield
        x2 = self.level2(self._coarse(x1))
        if modulate:
            x2 = modulate(x2, 1)
        yield
        if placed:
            x2 = self.site_coarse(x2, self._coarse(site_tokens), prompt.sites, nearest, valid, _BLOCK)
        elif c.site_attention:
            x2 = self.site_coarse.without_sites(x2)
        return x0, x1, x2, self.level3(x2), modulate


def _finished(layers: Layers[T]) -> T:
    """Run all layers."""
    while True:
        try:
            next(layers)
        except StopIteration as stop:
            return stop.value


def _bounded(log_variance: Tensor) -> Tensor:
    return log_variance.clamp(-8.0, 4.0)
