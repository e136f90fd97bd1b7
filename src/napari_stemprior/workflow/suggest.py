"""Which crystals of the library an image shows."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.structure import StructurePrior
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.prior_groups import prior_groups

if TYPE_CHECKING:
    from napari_stemprior.registration.ranking import Suggestion


def suggest(
    operations: Operations,
    micrograph: Micrograph,
    priors: Sequence[StructurePrior] | None = None,
    prepared: PreparedImage | None = None,
) -> Generator[Progress, None, list[Suggestion]]:
    """Rank crystals for an image, best first.

    Parameters
    ----------
    operations : Operations
    micrograph : Micrograph
        Its pixel size may be unknown.
    priors : sequence of StructurePrior, optional
        The library without it.
    prepared : PreparedImage, optional
        The image of the micrograph, where it has been prepared already.
    """
    if priors is None:
        names, priors = [name for group in prior_groups().values() for name in group], []
        for number, name in enumerate(names):
            yield Progress(number, len(names), "Reading the library")
            priors.append(operations.load_prior(name, ""))
    image = micrograph.analysed if prepared is None else prepared
    return (yield from operations.rank_priors(image, micrograph.pixel_size, priors))
