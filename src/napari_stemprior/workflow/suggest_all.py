"""A crystal for each of many images, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from napari_stemprior.errors import StempriorError, telling_out_of_memory
from napari_stemprior.progress import Progress, told_of
from napari_stemprior.structure import StructurePrior
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.segment_all import WaitingImage
from napari_stemprior.workflow.segment_frame import named
from napari_stemprior.workflow.suggest import read_library, suggest


@dataclass(frozen=True, eq=False)
class SuggestedPrior:
    """What the library says of an image.

    Parameters
    ----------
    number : int
        Tells images apart.
    prior : StructurePrior or None
        The one that fits best.
    alike : tuple of str
        Names of others that the image does not tell from it.
    problem : str
        Why there is none.
    """

    number: int
    prior: StructurePrior | None = None
    alike: tuple[str, ...] = ()
    problem: str = ""


def suggest_all(
    operations: Operations, images: Sequence[WaitingImage], found: Callable[[SuggestedPrior], None]
) -> Generator[Progress, None, int]:
    """Rank the library for images, each by itself; close the generator to cancel: what was found stays.

    Parameters
    ----------
    operations : Operations
    images : sequence of WaitingImage
        Their priors are not asked for.
    found : callable
        Gets what the library says of each image as soon as it is there; one that fails stops no other.

    Returns
    -------
    int
        How many images show a crystal of the library.
    """
    priors = yield from read_library(operations)
    by_name = {prior.name: prior for prior in priors}
    done = 0
    for count, image in enumerate(images):
        yield Progress(count, len(images), f"{image.name}: reading")
        try:
            with telling_out_of_memory():
                micrograph = image.read()
                if image.inverted:
                    micrograph = micrograph.inverted()
                work = suggest(operations, micrograph, priors)
                ranked = yield from told_of(image.name, count, len(images), work)
        except StempriorError as error:
            found(SuggestedPrior(image.number, problem=named(error, image.name)))
            continue
        if not ranked or not ranked[0].is_fit:
            problem = f"{image.name}: no crystal of the library fits; choose a prior for it in step 2."
            found(SuggestedPrior(image.number, problem=problem))
            continue
        alike = tuple(one.name for one in ranked[1:] if one.is_fit and one.tie == ranked[0].tie)
        found(SuggestedPrior(image.number, by_name[ranked[0].name], alike))
        done += 1
    return done
