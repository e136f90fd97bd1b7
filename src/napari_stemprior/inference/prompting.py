"""A prior as the network takes it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_stemprior.network.prompt import describe_columns
from napari_stemprior.structure import Prior, Stack, layers_of


def described(prior: Prior) -> tuple[Tensor, Tensor]:
    """Return the tokens of the columns and of the lattice; those of a stack as training joins layers.

    The lattice token of a stack is that of its first layer, and every layer has its own depths.

    Parameters
    ----------
    prior : StructurePrior or Stack

    Returns
    -------
    columns : Tensor (1, N, COLUMN_FEATURES)
    lattice : Tensor (1, LATTICE_FEATURES)
    """
    layers = layers_of(prior)
    heights = [layer.heights - (layer.heights.min() if isinstance(prior, Stack) else 0) for layer in layers]
    return describe_columns(
        torch.from_numpy(layers[0].cell.copy()),
        torch.from_numpy(np.concatenate([layer.fractional for layer in layers])),
        torch.from_numpy(np.concatenate([layer.atomic_numbers for layer in layers])).double(),
        torch.from_numpy(np.concatenate([layer.z_weights for layer in layers])),
        torch.from_numpy(np.concatenate(heights)),
        torch.from_numpy(np.concatenate([layer.layers for layer in layers])),
    )


def hidden_columns(prior: Prior) -> NDArray[np.bool_]:
    """(N,) whether each column of the prior lies below the entrance layer."""
    return np.concatenate([layer.layers for layer in layers_of(prior)]) > 0
