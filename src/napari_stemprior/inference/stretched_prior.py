"""A prior whose lattice does not fit, on the cell that the image itself shows.

Where the pixel size is wrong, the scan drifted or the crystal is strained too far, the cell of the right
prior is refused, while its columns stand in the same places of the cell that is seen. The prior takes over
that cell, and counts where it explains the mean of all cells, every one of its columns is seen there, and the
lattice then fits beyond doubt. No element is named by it: the spacings that would tell the crystal speak
against it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np

from napari_stemprior.errors import PixelSizeError, RegistrationError
from napari_stemprior.inference.cell_columns import CellColumns
from napari_stemprior.inference.cell_fit import fit_cell
from napari_stemprior.inference.image_lattice import STAGE, CandidateBases, ImageLattice
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.recording.prepared_strips import PreparedStrips
from napari_stemprior.registration.fit_lattice import fit_lattice_steps
from napari_stemprior.registration.unit_cell.mean_cell import (
    MeanCell,
    SeenLattice,
    average_cells,
    follow_basis,
)
from napari_stemprior.registration.unit_cell.structure_match import (
    SeenAmplitudes,
    StructureMatch,
    match_structure,
)
from napari_stemprior.structure import Prior, StructurePrior

#: How much larger than the prior's the cell that is seen may be. With pixels of another size than this the
#: network does not know columns.
_SCALES = (0.7, 1.4)
#: Likeness of the structure factors from which on the columns explain the mean cell. In the validation set at
#: 300 and 1,000 e/Å² right priors have at least 0.97 where the strain is followed, on three real micrographs
#: 0.955 to 0.99; priors that lack a column have 0.47.
_LIKE = 0.9
#: Brightness of each column in the mean cell, over what its atoms would have, from which on it is seen: atoms
#: are not put where the crystal shows none. In the validation set right priors have at least 0.38 (oxygen),
#: wrong ones with a column too many 0 to 0.34.
_SEEN = 0.35


def find_stretched_prior(
    image: PreparedImage | PreparedStrips, pixel_size: float, bases: CandidateBases, prior: Prior
) -> Generator[Progress, None, ImageLattice | None]:
    """Lay a prior on the lattice that the image itself shows, step by step.

    Parameters
    ----------
    image : PreparedImage or PreparedStrips
    pixel_size : float
        Å/px.
    bases : CandidateBases
        Of the image.
    prior : StructurePrior or Stack
        A stack has no cell to take over.

    Returns
    -------
    ImageLattice or None
        None where the image shows no lattice, or none that is like the prior's.
    """
    if not isinstance(prior, StructurePrior):
        return None
    best: tuple[StructureMatch, SeenLattice] | None = None
    for basis in bases.bases:
        yield Progress(0, 1, STAGE)
        seen = yield from follow_basis(bases.features, basis)
        match = match_structure(SeenAmplitudes(seen), prior, *_SCALES)
        if match is not None and match.likeness > (_LIKE if best is None else best[0].likeness):
            best = match, seen
    if best is None:
        return None
    match, seen = best
    yield Progress(0, 1, STAGE)
    mean = average_cells(seen, match.cell)
    if not _all_seen(match, mean):
        return None
    stretched = replace(prior, cell=np.ascontiguousarray((prior.cell @ match.linear.T)[:, ::-1]))
    yield Progress(0, 1, STAGE)
    try:
        fit = yield from fit_lattice_steps(image, pixel_size, stretched)
    except (RegistrationError, PixelSizeError):
        return None
    return ImageLattice(stretched, fit, mean.cells, match.scale) if fit.pose.is_clean else None


def _all_seen(match: StructureMatch, mean: MeanCell) -> bool:
    """Tell whether a mean cell shows every column of a prior."""
    count = len(match.fractional)
    columns = CellColumns(match.fractional, match.prior.layer_numbers > 0, np.ones(count))
    brightness = fit_cell(mean, columns, rounds=0).brightness
    expected = match.prior.intensities()
    usual = float(brightness @ expected) / float(expected @ expected)
    return bool((brightness >= _SEEN * usual * expected).all())
