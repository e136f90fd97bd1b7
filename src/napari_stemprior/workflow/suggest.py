"""Which crystals of the library an image shows."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_stemprior.errors import MicrographError
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.recording.image_check import LEAST_SIDE
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
    part: tuple[slice, slice] | None = None,
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
        The image of the micrograph, where it has been prepared already; a part of it is prepared by itself.
    part : two slices, optional
        Rows and columns that are looked at, such as one grain; the whole image by default. The poses are
        those on the whole image all the same.

    Raises
    ------
    MicrographError, RegistrationError
        If the part is too small.
    """
    if priors is None:
        priors = yield from read_library(operations)
    if part is None:
        image = micrograph.analysed if prepared is None else prepared
        return (yield from operations.rank_priors(image, micrograph.pixel_size, priors))
    image = micrograph.cropped(*part).analysed
    found = yield from operations.rank_priors(image, micrograph.pixel_size, priors)
    corner = [side.start or 0 for side in part]
    return [replace(one, pose=one.pose.moved(corner)) for one in found]


def read_library(operations: Operations) -> Generator[Progress, None, list[StructurePrior]]:
    """Read the built-in crystals, one after the other."""
    names = [name for group in prior_groups().values() for name in group]
    priors = []
    for number, name in enumerate(names):
        yield Progress(number, len(names), "Reading the library")
        priors.append(operations.load_prior(name, ""))
    return priors


def part_of(shape: tuple[int, int], low: Sequence[float], high: Sequence[float]) -> tuple[slice, slice]:
    """Return the rows and columns between two corners, as far as they lie on an image.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the image.
    low, high : (float, float)
        First and last pixel (y, x).

    Raises
    ------
    MicrographError
        If less than `LEAST_SIDE` pixels along a side are left.
    """
    first = [max(0, math.floor(edge + 0.5)) for edge in low]
    last = [min(side, math.floor(edge + 0.5) + 1) for side, edge in zip(shape, high, strict=True)]
    if any(stop - start < LEAST_SIDE for start, stop in zip(first, last, strict=True)):
        size = " × ".join(str(max(0, stop - start)) for start, stop in zip(first, last, strict=True))
        raise MicrographError(
            f"The part covers {size} pixels of the image ({shape[0]} × {shape[1]}); take one with at least "
            f"{LEAST_SIDE} along each side."
        )
    rows, columns = (slice(start, stop) for start, stop in zip(first, last, strict=True))
    return rows, columns
