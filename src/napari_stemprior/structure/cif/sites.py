"""Every site of a cell, from the rows of a CIF and the symmetry operators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.cif.operators import Symmetry
from napari_stemprior.structure.cif.rows import FULL, Row
from napari_stemprior.structure.elements import Content
from napari_stemprior.structure.file_checks import MOST_ATOMS
from napari_stemprior.structure.near_pairs import near_groups, near_pairs
from napari_stemprior.structure.periodic import minimum_image

#: Points nearer than this (Å) are one site.
_ONE_PLACE = 0.1
#: Images of a site nearer than this (Å) are one site on a special position given with few digits, unless it
#: is filled so rarely that all of them can be there: then it is a split site.
_SPECIAL = 0.3


@dataclass(frozen=True, eq=False)
class AtomSites:
    """The sites of one cell.

    Parameters
    ----------
    fractional : (N, 3) array
        Each in [0, 1).
    contents : tuple of N contents
        Atomic numbers with their share of the site, the largest first.
    """

    fractional: NDArray[np.float64]
    contents: tuple[Content, ...]


def fill_cell(path: Path, rows: Sequence[Row], symmetry: Symmetry, cell: NDArray[np.float64]) -> AtomSites:
    """Apply symmetry operators to every row, and join what shares a site.

    Parameters
    ----------
    path : pathlib.Path
        Named in the errors.
    rows : sequence of Row
    symmetry : Symmetry
    cell : (3, 3) array
        Rows are the cell vectors in Å.

    Raises
    ------
    StructureError
        If there are too many atoms, or more on a site than fits.
    """
    places, owners, count = [], [], 0
    for owner, row in enumerate(rows):
        images = _orbit(row, symmetry, cell)
        count += len(images)
        if count > MOST_ATOMS:
            raise StructureError(
                f"{path}: the cell holds more than {MOST_ATOMS} atoms; give one unit cell of the crystal."
            )
        places.append(images)
        owners.append(np.full(len(images), owner))
    return _shared(path, rows, np.concatenate(places), np.concatenate(owners), cell)


def _orbit(row: Row, symmetry: Symmetry, cell: NDArray[np.float64]) -> NDArray[np.float64]:
    images: NDArray[np.float64] = np.mod(
        symmetry.rotations @ np.array(row.place) + symmetry.translations, 1.0
    )
    if len(images) == 1:
        return images
    images = _joined(images, cell, _ONE_PLACE)[0]
    joined, most = _joined(images, cell, _SPECIAL)
    share = sum(part for _, part in row.content)
    return joined if share * most > FULL else images


def _joined(
    places: NDArray[np.float64], cell: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.float64], int]:
    """Join points that lie within `reach` of each other; return them and how many the largest was made of."""
    first, second, _ = near_pairs(places, cell, reach)
    if not len(first):
        return places, 1
    group = near_groups(len(places), first, second)
    heads = np.unique(group, return_index=True)[1]
    delta = minimum_image(places - places[heads[group]])
    sizes = np.bincount(group)
    mean = np.stack([np.bincount(group, delta[:, axis]) / sizes for axis in range(3)], axis=1)
    return np.mod(places[heads] + mean, 1.0), int(sizes.max())


def _shared(
    path: Path,
    rows: Sequence[Row],
    places: NDArray[np.float64],
    owners: NDArray[np.int64],
    cell: NDArray[np.float64],
) -> AtomSites:
    first, second, _ = near_pairs(places, cell, _ONE_PLACE)
    group = near_groups(len(places), first, second)
    members: dict[int, list[int]] = defaultdict(list)
    for index, number in enumerate(group.tolist()):
        members[number].append(index)
    kept, contents = [], []
    for indices in members.values():
        counts: dict[int, float] = defaultdict(float)
        for index in indices:
            for z, part in rows[owners[index]].content:
                counts[z] += part
        total = sum(counts.values())
        if total > FULL:
            labels = list(dict.fromkeys(rows[owners[index]].label for index in indices))
            who = f"the atoms {' and '.join(labels[:3])}" if len(labels) > 1 else f"the atom {labels[0]}"
            raise StructureError(
                f"{path}: {who} fill one site {total:.2f} times; "
                "list each atom once, and give what shares a site its occupancy."
            )
        kept.append(indices[0])
        contents.append(
            tuple(sorted(((z, round(p, 6)) for z, p in counts.items()), key=lambda c: (-c[1], c[0])))
        )
    return AtomSites(places[kept], tuple(contents))
