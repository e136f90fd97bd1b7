"""A prior as the network takes it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_stemprior.inference.canonical import CanonicalImage
from napari_stemprior.network.prompt import LIKENESS_FEATURES, StructurePrompt, describe_columns
from napari_stemprior.structure import Prior
from napari_stemprior.structure.lattice_sites import LatticeSites


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
    layers = prior.layers
    heights = [layer.heights - (layer.heights.min() if len(layers) > 1 else 0) for layer in layers]
    return describe_columns(
        [torch.from_numpy(layer.cell.copy()) for layer in layers],
        [len(layer.columns) for layer in layers],
        torch.from_numpy(np.concatenate([layer.fractional for layer in layers])),
        torch.from_numpy(np.concatenate([layer.atomic_numbers for layer in layers])).double(),
        torch.from_numpy(np.concatenate([layer.z_weights for layer in layers])),
        torch.from_numpy(np.concatenate(heights)),
        torch.from_numpy(np.concatenate([layer.layer_numbers for layer in layers])),
    )


def equivalent_columns(columns: Tensor) -> NDArray[np.int64]:
    """Number the columns of a prompt so that those of like atoms in one depth share a number.

    What is usual among equals is learned from the micrograph: the more equals, the better. Columns of one
    composition look alike wherever they stand in the cell, so all of them count.

    Parameters
    ----------
    columns : Tensor (1, N, COLUMN_FEATURES)
        Of `described`.

    Returns
    -------
    (N,) array
    """
    alike = np.round(columns[0][:, list(LIKENESS_FEATURES)].numpy(), 3)
    return np.asarray(np.unique(alike, axis=0, return_inverse=True)[1]).reshape(-1)


def placed_prompt(prior: Prior, registered: LatticeSites, canonical: CanonicalImage) -> StructurePrompt:
    """Return a prior with its registered columns, in canonical pixels.

    Parameters
    ----------
    prior : StructurePrior or Stack
    registered : LatticeSites
        In pixels.
    canonical : CanonicalImage
    """
    columns, lattice = described(prior)
    sites = torch.from_numpy(canonical.to_canonical(registered.yx)).float()
    found = len(sites) > 0
    return StructurePrompt(
        columns,
        torch.ones(columns.shape[:2], dtype=torch.bool),
        lattice,
        torch.ones(1, dtype=torch.bool),
        (sites if found else torch.zeros(1, 2))[None],
        (torch.from_numpy(registered.column) if found else torch.zeros(1, dtype=torch.int64))[None],
        torch.full((1, max(1, len(sites))), found),
    )


def unplaced_prompt(prior: Prior) -> StructurePrompt:
    """Return a prior of which nobody knows where it lies: its tokens, and no registered column.

    Parameters
    ----------
    prior : StructurePrior or Stack
    """
    return StructurePrompt.unplaced(*described(prior))
