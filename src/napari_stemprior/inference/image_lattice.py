"""The lattice that an image itself shows, where no prior is given or the prior does not fit.

The spectrum tells the cell, the mean of all cells its columns, and the counts, site by site, which of them
are there. So a crystal that nobody has named is seen at doses at which no single column is.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.errors import PixelSizeError, RegistrationError
from napari_stemprior.inference.cell_columns import cell_columns
from napari_stemprior.inference.cell_prior import prior_of_cell
from napari_stemprior.inference.cell_repeats import repeating_cell
from napari_stemprior.inference.closed_triplets import strongest_triplet
from napari_stemprior.inference.mode_strengths import mode_strengths_steps
from napari_stemprior.inference.predictor import Predictor
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.recording.prepared_strips import PreparedStrips
from napari_stemprior.recording.stored_image import middle_of
from napari_stemprior.registration import LatticeFit
from napari_stemprior.registration.fit_lattice import fit_lattice_steps
from napari_stemprior.registration.fourier.features import FourierFeatures, fourier_features
from napari_stemprior.registration.fourier.normalized_image import preprocess_steps
from napari_stemprior.registration.unit_cell.larger_cell import larger_cell
from napari_stemprior.registration.unit_cell.mean_cell import MeanCell, average_cells, follow_basis
from napari_stemprior.registration.unit_cell.reciprocal_basis import (
    ReciprocalBasis,
    basis_through,
    find_bases,
    shortest_cell,
)
from napari_stemprior.structure import StructurePrior

Floats = NDArray[np.float64]

#: What the progress says.
STAGE = "looking for a lattice in the image"
#: Pixels in the middle of an image that tell its cell.
_MIDDLE = 2**22
#: Coherence of the fringes below which a basis is not that of the lattice. In 99 micrographs of the
#: validation set right ones have at least 0.96, and those that mix grains or miss the strain at most 0.9.
_COHERENT = 0.95
#: Coherence from which on faint reflections are told from what strain leaves around the strong ones: of the
#: strained views of the validation set it is at most 0.985, of the others at least 0.998.
_SHARP = 0.99
#: `MeanCell.crossed` below which an image shows planes and no columns. In 29 micrographs, real and simulated
#: from 300 e/Å² on, it is at least 0.42, in all but two of them 0.7 and more; in tilted gold particles 0.08.
_CROSSED = 0.2
#: Score of a lattice through three modes from which on it is one. Of 85 micrographs without a crystal
#: (`benchmarks.validation.no_crystal`) one has a lattice at all, of 0.51; of graphene at 300 and 600 e/Å²
#: 13 of 18, of 0.81 and more.
_FITS_WELL = 0.7
#: Noise with which the mean cell is shown to the network, over its contrast.
_NOISES = (0.0, 0.05, 0.15, 0.3)
#: Columns expected with the lattice over those without, by the sums of their confidence: with fewer, the mean
#: cell lacks columns that the image shows.
_SEES = 0.95
#: The network alone is this sure of the columns that are compared with a lattice: of many, noise cancels.
SURE = 0.5
#: Å: a column this near to a site is compared with it.
_NEAR = 0.75
#: Neighbours of the same site whose columns are compared.
_NEIGHBOURS = 4
#: Å: columns of the image alone, and their neighbours, that are off the sites by more than this in common,
#: but not everywhere, do not stand on the lattice: two lattices lie on each other, or the strain is not
#: followed. In 132 micrographs of the validation set none is between 0.13 and 0.25.
_OFF = 0.17


@dataclass(frozen=True, eq=False)
class ImageLattice:
    """A lattice found in an image without a prior.

    Parameters
    ----------
    prior : StructurePrior
        Its cell and columns; the elements stand for brightness.
    fit : LatticeFit
        Where it lies.
    cells : float
        How many unit cells were averaged.
    stretch : float, optional
        How many times as long its vectors are as those of the prior that its columns are from; None where the
        image has told them.
    """

    prior: StructurePrior
    fit: LatticeFit
    cells: float
    stretch: float | None = None

    def told(self) -> dict[str, Any]:
        """Return plain values for the provenance."""
        return {
            **({} if self.stretch is None else {"prior": self.prior.name, "stretch": self.stretch}),
            "cell": self.prior.cell_text,
            "cell_vectors": self.prior.cell.tolist(),
            "columns": len(self.prior.columns),
            "cells": round(self.cells),
            "score": self.fit.pose.score,
        }


def find_image_lattice(
    image: PreparedImage | PreparedStrips,
    pixel_size: float,
    bases: CandidateBases,
    predictor: Predictor,
    alone: Floats,
) -> Generator[Progress, None, ImageLattice | None]:
    """Look for the lattice of an image, step by step.

    Parameters
    ----------
    image : PreparedImage or PreparedStrips
    pixel_size : float
        Å/px.
    bases : CandidateBases
        Of the image.
    predictor : Predictor
    alone : (N, 2) array
        Columns of the image alone, pixels: where they repeat over a larger cell, that one is taken.

    Returns
    -------
    ImageLattice or None
        None where the image shows no lattice, or several, or one whose columns cannot be told.
    """
    for basis in bases.bases:
        yield Progress(0, 1, STAGE)
        seen = yield from follow_basis(bases.features, basis)
        if seen.phases.coherence < _COHERENT:
            continue
        larger = larger_cell(seen) if seen.phases.coherence > _SHARP else None
        yield Progress(0, 1, STAGE)
        mean = average_cells(seen, seen.cell if larger is None else larger)
        if mean.crossed < _CROSSED:
            continue
        lattice = yield from _lattice_of(image, pixel_size, mean, predictor)
        if lattice is None or (bases.faint and lattice.fit.pose.score < _FITS_WELL):
            continue
        yield Progress(0, 1, STAGE)
        repeating = repeating_cell(lattice.prior, lattice.fit, pixel_size, alone)
        if repeating is not None:
            mean = average_cells(seen, shortest_cell(repeating))
            lattice = yield from _lattice_of(image, pixel_size, mean, predictor)
        return lattice
    return None


@dataclass(frozen=True, eq=False)
class CandidateBases:
    """The lattices that the peaks in the spectrum of an image may belong to.

    Parameters
    ----------
    features : FourierFeatures
        The spectrum.
    bases : list of ReciprocalBasis
        Likeliest first.
    faint : bool
        Whether too few peaks stand out, and three modes that close are all there is.
    """

    features: FourierFeatures
    bases: list[ReciprocalBasis]
    faint: bool

    @classmethod
    def of(
        cls, image: PreparedImage | PreparedStrips, pixel_size: float, ordered: bool = True
    ) -> Generator[Progress, None, CandidateBases | None]:
        """Look at the spectrum of an image, step by step; None where the image has no contrast.

        Parameters
        ----------
        image : PreparedImage or PreparedStrips
            Of a large one the middle is looked at.
        pixel_size : float
            Å/px.
        ordered : bool
            Whether the image shows order without a lattice (`order`). Where it does not, only the three modes
            that close and stand out most are asked.
        """
        yield Progress(0, 1, STAGE)
        try:
            normalized = yield from preprocess_steps(_middle(image), pixel_size)
        except RegistrationError:
            return None
        features = yield from fourier_features(normalized)
        bases = find_bases(features) if ordered else []
        if bases:
            return cls(features, bases, False)
        return cls(features, (yield from _faint_bases(features)), True)


def _faint_bases(features: FourierFeatures) -> Generator[Progress, None, list[ReciprocalBasis]]:
    """Return the lattice of the three modes that close and stand out most, if there are any.

    Whether it is one is told by what follows: coherent fringes, columns in the mean cell, and a lattice that
    fits better than chance.
    """
    image = features.normalized
    triplet = strongest_triplet((yield from mode_strengths_steps(image.image, image.pixel_size)))
    return [] if triplet is None else [basis_through(triplet.vectors, features.whole)]


def _lattice_of(
    image: PreparedImage | PreparedStrips,
    pixel_size: float,
    mean: MeanCell,
    predictor: Predictor,
) -> Generator[Progress, None, ImageLattice | None]:
    """Find the columns of a mean cell and lay them on the image; None where they cannot be told or placed."""
    candidates = []
    for noise in _NOISES:
        candidates.append((yield from cell_columns(predictor, mean, STAGE, noise)))
    prior = prior_of_cell(mean, candidates)
    if prior is None:
        return None
    yield Progress(0, 1, STAGE)
    try:
        fit = yield from fit_lattice_steps(image, pixel_size, prior)
    except (RegistrationError, PixelSizeError):  # the cell is too large for the image, or too fine
        return None
    return ImageLattice(prior, fit, mean.cells) if fit.is_fit else None


def _middle(image: PreparedImage | PreparedStrips) -> PreparedImage:
    """Return the middle of a large image, and a small one whole."""
    if isinstance(image, PreparedStrips):
        return image.block(*middle_of(image.shape, _MIDDLE))
    if image.shape[0] * image.shape[1] <= _MIDDLE:
        return image
    return image.cropped(*middle_of(image.shape, _MIDDLE))


def borne_out(
    lattice: ImageLattice,
    pixel_size: float,
    alone: tuple[Floats, Floats],
    with_lattice: Floats,
) -> bool:
    """Tell whether the image alone bears a lattice out.

    Parameters
    ----------
    lattice : ImageLattice
    pixel_size : float
        Å/px.
    alone : (N, 2) array and (N,) array
        Columns of the image alone, pixels, and their confidence.
    with_lattice : (M,) array
        Confidence of the columns with the lattice.
    """
    yx, confidence = alone
    if with_lattice.sum() < _SEES * confidence.sum():
        return False
    sure = confidence >= SURE
    return common_offset(lattice, pixel_size, yx[sure], confidence[sure]) < _OFF


def common_offset(lattice: ImageLattice, pixel_size: float, yx: Floats, confidence: Floats) -> float:
    """Measure by how much columns are off the sites of a lattice in common with their neighbours, in Å.

    Noise moves each column on its own; where a second lattice lies beside the first, or the lattice is not
    theirs, neighbours are off in the same direction. What is the same all over the image does not count:
    tilt, coma and the afterglow of a detector give columns a foot on one side, and their centre of mass,
    where the lattice has them, is not where they are brightest. Of several columns at one site the surest is
    meant: such a foot may look like another.

    Parameters
    ----------
    lattice : ImageLattice
    pixel_size : float
        Å/px.
    yx : (N, 2) array
        Pixels.
    confidence : (N,) array
    """
    sites = lattice.fit.registered
    if not len(sites) or not len(yx):
        return 0.0
    surest = np.argsort(-confidence, kind="stable")
    yx = yx[surest]
    distance, nearest = cKDTree(sites.yx).query(yx)
    near = distance * pixel_size < _NEAR
    site, first = np.unique(np.asarray(nearest)[near], return_index=True)
    place = yx[near][first]
    off = (place - sites.yx[site]) * pixel_size
    kind = sites.column[site]
    shared = []
    for one in np.unique(kind):
        mine = kind == one
        if mine.sum() > _NEIGHBOURS:
            beside = np.asarray(cKDTree(place[mine]).query(place[mine], k=_NEIGHBOURS + 1)[1])[:, 1:]
            moved = off[mine] - off[mine].mean(axis=0)
            shared.append((moved * moved[beside].mean(axis=1)).sum(axis=1))
    return float(np.sqrt(max(float(np.concatenate(shared).mean()), 0.0))) if shared else 0.0
