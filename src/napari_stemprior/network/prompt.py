"""The structure as the network takes it: column tokens of the cell and, where a pose is known, sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from napari_stemprior.network.devices import sent
from napari_stemprior.network.surroundings import RING_FEATURES, SURROUNDING_FEATURES, surroundings

#: Features of a column token that tell where it stands in the cell and what it is.
CELL_FEATURES = 13
#: All features of a column token: those, and what stands around it at which distance (`surroundings`).
COLUMN_FEATURES = CELL_FEATURES + SURROUNDING_FEATURES
#: Those of them that say what a column is made of and whether it is hidden, not where it stands.
LIKENESS_FEATURES = (6, 7, 12)
#: The feature that says that a column lies below the entrance layer.
HIDDEN_FEATURE = 12
#: The first features of the lattice token: the two cell vectors' lengths, the cosine between them, the area.
VECTOR_FEATURES = 4
#: All features of the lattice token: those, and at which spacings it scatters (`surroundings`).
LATTICE_FEATURES = VECTOR_FEATURES + RING_FEATURES


@dataclass(eq=False)
class StructurePrompt:
    """A batch of priors. Padded entries carry ``False`` in the masks; a prior may be absent.

    Parameters
    ----------
    columns : Tensor (B, N, COLUMN_FEATURES)
        One row a column of the cell.
    column_mask : Tensor (B, N) of bool
    lattice : Tensor (B, LATTICE_FEATURES)
    present : Tensor (B,) of bool
        Whether there is a prior at all.
    sites : Tensor (B, M, 2)
        Registered columns, canonical pixels (y, x); M may be 0.
    site_index : Tensor (B, M) of int64
        The column of the cell that each site belongs to.
    site_mask : Tensor (B, M) of bool
    """

    columns: Tensor
    column_mask: Tensor
    lattice: Tensor
    present: Tensor
    sites: Tensor
    site_index: Tensor
    site_mask: Tensor

    def to(self, device: torch.device | str) -> StructurePrompt:
        """Move to a device."""
        return StructurePrompt(**{name: sent(value, device) for name, value in vars(self).items()})

    @classmethod
    def absent(cls, batch: int = 1, device: torch.device | str = "cpu") -> StructurePrompt:
        """Return a batch without any prior."""
        number, index, truth = (
            partial(torch.zeros, dtype=dtype, device=device)
            for dtype in (torch.float32, torch.int64, torch.bool)
        )
        return cls(
            number(batch, 1, COLUMN_FEATURES),
            truth(batch, 1),
            number(batch, LATTICE_FEATURES),
            truth(batch),
            number(batch, 1, 2),
            index(batch, 1),
            truth(batch, 1),
        )

    @classmethod
    def unplaced(cls, columns: Tensor, lattice: Tensor) -> StructurePrompt:
        """Return a prior of which nobody knows where it lies, of the tokens of `describe_columns`."""
        return cls(
            columns,
            torch.ones(columns.shape[:2], dtype=torch.bool),
            lattice,
            torch.ones(1, dtype=torch.bool),
            torch.zeros(1, 1, 2),
            torch.zeros(1, 1, dtype=torch.int64),
            torch.zeros(1, 1, dtype=torch.bool),
        )

    @classmethod
    def collate(cls, prompts: Sequence[StructurePrompt]) -> StructurePrompt:
        """Join prompts into one batch, padding columns and sites."""
        n = max(p.columns.shape[1] for p in prompts)
        m = max(p.sites.shape[1] for p in prompts)

        def padded(values: list[Tensor], length: int) -> Tensor:
            out = values[0].new_zeros((len(values), length, *values[0].shape[2:]))
            for row, value in enumerate(values):
                out[row, : value.shape[1]] = value[0]
            return out

        return cls(
            padded([p.columns for p in prompts], n),
            padded([p.column_mask for p in prompts], n),
            torch.cat([p.lattice for p in prompts]),
            torch.cat([p.present for p in prompts]),
            padded([p.sites for p in prompts], m),
            padded([p.site_index for p in prompts], m),
            padded([p.site_mask for p in prompts], m),
        )


def describe_columns(
    cells: Sequence[Tensor],
    counts: Sequence[int],
    fractional: Tensor,
    atomic_numbers: Tensor,
    weights: Tensor,
    heights: Tensor,
    layers: Tensor,
) -> tuple[Tensor, Tensor]:
    """Turn a projected cell, or those of a stack, into token features.

    Parameters
    ----------
    cells : sequence of Tensor (2, 2)
        In-plane vectors of each lattice as rows, Å; the lattice token is that of the first.
    counts : sequence of int
        How many of the columns, in their order, belong to each lattice.
    fractional : Tensor (N, 2)
    atomic_numbers : Tensor (N,)
        Of the element that scatters most.
    weights : Tensor (N,)
        HAADF weight of the column, any unit.
    heights : Tensor (N,)
        Å below the entrance surface.
    layers : Tensor (N,)

    Returns
    -------
    columns : Tensor (1, N, COLUMN_FEATURES)
    lattice : Tensor (1, LATTICE_FEATURES)
    """
    relative = weights / weights.max()
    # Positions relative to the heaviest column, so that the choice of origin leaves no trace.
    phase = 2 * torch.pi * (fractional - fractional[weights.argmax()])
    top = (layers == 0).to(weights)
    columns = torch.stack(
        [
            torch.cos(phase[:, 0]),
            torch.sin(phase[:, 0]),
            torch.cos(phase[:, 1]),
            torch.sin(phase[:, 1]),
            torch.cos(phase.sum(1)),
            torch.sin(phase.sum(1)),
            atomic_numbers / 50.0 - 0.5,
            relative,
            relative.sqrt(),
            relative.clamp(min=1e-4).log10() / 2 + 0.5,
            heights / 10.0,
            top,
            1.0 - top,
        ],
        dim=1,
    )
    around, rings = surroundings(cells, counts, fractional, weights)
    cell = cells[0]
    lengths = torch.linalg.norm(cell, dim=1)
    area = torch.abs(torch.linalg.det(cell))
    lattice = torch.stack(
        [lengths[0] / 5.0, lengths[1] / 5.0, (cell[0] @ cell[1]) / lengths.prod(), area / 25.0]
    )
    columns = torch.cat([columns.float(), around], dim=1)
    return columns[None], torch.cat([lattice.float(), rings])[None]
