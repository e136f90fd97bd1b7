"""Training pairs as layers, to be corrected further.

Each pair gives its image, its atoms with the confirmed vacancies, and the reviewed region where it is not
the whole image.
"""

from __future__ import annotations

import secrets
from pathlib import Path

import pandas as pd
from napari.layers import Image, Layer

from napari_stemprior.errors import DatasetError
from napari_stemprior.io import TrainingPair, TrainingPairDataset
from napari_stemprior.io.region import rectangles
from napari_stemprior.qt.layers.atom_layers import (
    KEY,
    LINK,
    RING,
    LayerData,
    layer_from_micrographs,
)
from napari_stemprior.qt.layers.linked_layers import linked_atoms, linked_region

#: More than these would bury the viewer; a single pair is opened by its ``meta.json``.
MOST = 12
_DIAMETER = 1.0


def is_pair_file(path: str | Path) -> bool:
    """Say whether a path is a dataset of pairs, its ``dataset.json``, or the ``meta.json`` of one pair."""
    path = Path(path)
    if path.is_dir():
        return (path / "dataset.json").is_file() and (path / "pairs").is_dir()
    if path.name == "dataset.json":
        return is_pair_file(path.parent)
    return path.name == "meta.json" and path.parent.parent.name == "pairs"


def layers_from_path(path: str | Path) -> list[LayerData]:
    """Open the newest revision of every pair of a dataset, or the one pair of a ``meta.json``.

    Raises
    ------
    DatasetError
        If it cannot be read, holds no pair, or too many to look at.
    """
    path = Path(path)
    if path.name == "meta.json":
        dataset, hashes = TrainingPairDataset(path.parent.parent.parent), [path.parent.name]
    else:
        dataset = TrainingPairDataset(path if path.is_dir() else path.parent)
        hashes = [entry.hash for entry in dataset.latest_entries()]
    if not hashes:
        raise DatasetError(f"{dataset.folder}: there are no training pairs in this folder; save one first.")
    if path.name != "meta.json" and len(hashes) > MOST:
        raise DatasetError(
            f"{dataset.folder}: these are {len(hashes)} pairs, more than {MOST}; "
            "open the meta.json of one in its folder under pairs."
        )
    return [layer for one in hashes for layer in layers_from_pair(dataset.load(one), one)]


def layers_from_pair(pair: TrainingPair, digest: str) -> list[LayerData]:
    """Turn a pair into layers.

    Parameters
    ----------
    pair : TrainingPair
    digest : str
        Its hash.

    Returns
    -------
    list of LayerData
        Image, points, and shapes where only a part was reviewed.
    """
    word = f"{digest} {secrets.token_hex(4)}"  # the same pair may be open twice
    image = Layer.create(*layer_from_micrographs([pair.micrograph])[0])
    assert isinstance(image, Image)
    image.metadata[KEY] |= {LINK: word}
    size = pair.atoms.pixel_size
    diameter = _DIAMETER if pair.prior is None else RING * pair.prior.neighbour_distance
    rows = pd.concat([pair.atoms.rows, pair.vacancies.rows], ignore_index=True)
    atoms = linked_atoms(image, rows, size, diameter, word, provenance=dict(pair.atoms.provenance))
    made: list[Layer] = [image, atoms]
    if not pair.reviewed.all():
        corners = rectangles(pair.reviewed)
        outlines = [
            ("rectangle", [[top, left], [top, right], [bottom, right], [bottom, left]])
            for top, left, bottom, right in corners
        ]
        made.append(linked_region(image, outlines, word))
    return [layer.as_layer_data_tuple() for layer in made]
