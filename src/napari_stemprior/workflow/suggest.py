"""Which crystals of the library an image shows."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.prior_groups import prior_groups


def suggest(operations: Operations, micrograph: Micrograph) -> Generator[Progress, None, list[Any]]:
    """Rank the library for an image, best first."""
    names = [name for group in prior_groups().values() for name in group]
    priors = []
    for number, name in enumerate(names):
        yield Progress(number, len(names), "Reading the library")
        priors.append(operations.load_prior(name, ""))
    return (yield from operations.rank_priors(micrograph.image, micrograph.pixel_size, priors))
