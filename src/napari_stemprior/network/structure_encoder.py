"""The structure branch: a set transformer over the columns of the cell."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_stemprior.network.prompt import (
    CELL_FEATURES,
    COLUMN_FEATURES,
    LATTICE_FEATURES,
    VECTOR_FEATURES,
    StructurePrompt,
)


class StructureEncoder(nn.Module):
    """Encode the columns of a cell and its lattice as tokens that know of each other.

    No output is tied to a material or to the number or order of the columns.

    Parameters
    ----------
    width : int
        Of a token.
    depth, heads : int
        Of the transformer.
    surroundings : bool
        Whether the tokens also tell what depends on no pose (`network.surroundings`). These parts begin at
        zero, so that a network may be given them later without another answer at first.
    """

    def __init__(self, width: int, depth: int = 2, heads: int = 4, *, surroundings: bool = False) -> None:
        super().__init__()
        self.column = nn.Sequential(nn.Linear(CELL_FEATURES, width), nn.GELU(), nn.Linear(width, width))
        self.lattice = nn.Sequential(nn.Linear(VECTOR_FEATURES, width), nn.GELU(), nn.Linear(width, width))
        if surroundings:
            self.around = _from_zero(COLUMN_FEATURES - CELL_FEATURES, width)
            self.rings = _from_zero(LATTICE_FEATURES - VECTOR_FEATURES, width)
        self.surroundings = surroundings
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, prompt: StructurePrompt) -> tuple[Tensor, Tensor]:
        """Encode a batch of priors.

        Returns
        -------
        tokens : Tensor (B, N + 1, width)
            The columns, then the lattice.
        mask : Tensor (B, N + 1) of bool
            True where there is a token; all False where the prior is absent.
        """
        columns = self.column(prompt.columns[..., :CELL_FEATURES])
        lattice = self.lattice(prompt.lattice[:, :VECTOR_FEATURES])
        if self.surroundings:
            columns = columns + self.around(prompt.columns[..., CELL_FEATURES:])
            lattice = lattice + self.rings(prompt.lattice[:, VECTOR_FEATURES:])
        tokens = torch.cat([columns, lattice[:, None]], dim=1)
        mask = torch.cat([prompt.column_mask, prompt.present[:, None]], dim=1)
        # A row without any token would give NaN in the softmax: let it see itself, it is masked later.
        blocked = ~mask & mask.any(dim=1, keepdim=True)
        for layer in self.layers:
            tokens = layer(tokens, src_key_padding_mask=blocked)
        return self.norm(tokens) * mask[..., None], mask


def _from_zero(inputs: int, width: int) -> nn.Sequential:
    layers = nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, width))
    last = layers[2]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return layers
