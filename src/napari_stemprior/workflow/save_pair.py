"""Keep a corrected region as a training pair."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import ModelError
from napari_stemprior.io import TrainingPair, TrainingPairDataset
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.structure import Prior


def save_pair(
    folder: Path,
    micrograph: Micrograph,
    table: AtomTable,
    reviewed: NDArray[np.bool_],
    prior: Prior | None,
    provenance: dict[str, Any],
) -> Generator[Progress, None, str]:
    """Save a training pair into a dataset folder and return its hash; what is masked counts as unknown."""
    yield Progress(0, 0, "Saving the training pair")
    if micrograph.excluded is not None:  # nobody says what is there
        reviewed = reviewed & ~micrograph.excluded
    pair = TrainingPair(micrograph, table, reviewed, prior, provenance)
    return str(TrainingPairDataset(folder).save(pair))


def network_file(table: AtomTable) -> Path | None:
    """Find the weights that found the atoms, if they are still there.

    Parameters
    ----------
    table : AtomTable
        Its provenance names the network.
    """
    from napari_stemprior.inference.models import model_path

    try:
        return model_path(table.provenance["model"]) if table.provenance.get("model") else None
    except ModelError:
        return None
