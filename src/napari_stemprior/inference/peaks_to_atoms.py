"""Columns on the canonical grid become rows of an atom table: refined, named, and marked where in doubt."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from napari_stemprior.atoms import UNKNOWN_ELEMENT, AtomTable
from napari_stemprior.atoms.inferred import NO_TRACE, inferred_kinds
from napari_stemprior.atoms.review_queue import LOW_EVIDENCE, REVIEW_CONFIDENCE
from napari_stemprior.inference.canonical import CanonicalImage
from napari_stemprior.inference.canonical_strips import CanonicalStrips
from napari_stemprior.inference.decoding import Peaks
from napari_stemprior.inference.refinement import refine
from napari_stemprior.inference.site_labels import site_labels
from napari_stemprior.inference.strip_segmentation import refine_by_blocks
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.recording.prepared_strips import PreparedStrips
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import Prior

#: Between two steps of the table.
TABLE = Progress(0, 1, "making the table")


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording as the network and the refinement see it.

    Parameters
    ----------
    prepared : PreparedImage or PreparedStrips
    canonical : CanonicalImage or CanonicalStrips
    pixel_size : float
        Å/px.
    device : torch.device
        That positions are refined on.
    """

    prepared: PreparedImage | PreparedStrips
    canonical: CanonicalImage | CanonicalStrips
    pixel_size: float
    device: torch.device


def peaks_to_atoms(
    recording: Recording,
    peaks: Peaks,
    lattice: tuple[Prior, LatticeFit] | None,
    provenance: dict[str, Any],
    *,
    refined: bool,
    named: bool,
) -> Generator[Progress, None, AtomTable]:
    """Make the table, step by step.

    Parameters
    ----------
    recording : Recording
    peaks : Peaks
        In canonical pixels.
    lattice : (StructurePrior or Stack, LatticeFit), optional
        That the columns are named after.
    provenance : dict
    refined : bool
        Fit the positions to the micrograph.
    named : bool
        Whether the lattice tells elements; one that the image itself shows does not.
    """
    prepared, canonical, size = recording.prepared, recording.canonical, recording.pixel_size
    yx = canonical.to_pixels(peaks.yx)
    shown = prepared.is_valid_at(yx)
    yx, peaks = yx[shown], peaks.where(shown)
    if refined:
        known = peaks.sigma / float(canonical.scale.mean())
        if isinstance(prepared, PreparedStrips):
            yx = yield from refine_by_blocks(prepared, size, yx, known, recording.device)
        else:
            yx = (yield from refine(prepared.image, size, yx, known, prepared.valid, recording.device)).yx
        yield TABLE
        shown = prepared.is_valid_at(yx)  # the fit may carry an atom onto bad pixels
        yx, peaks = yx[shown], peaks.where(shown)
    columns: dict[str, Any] = {"layer": peaks.hidden.astype(int)}
    columns |= {"element": [UNKNOWN_ELEMENT] * len(yx), "site": [""] * len(yx)}
    yield TABLE
    if lattice is not None:
        prior, fit = lattice
        labels = site_labels(yx, peaks.hidden, peaks.site, prior, fit.registered, size)
        columns |= labels if named else {"site": labels["site"]}
    source = np.where(peaks.evidence < LOW_EVIDENCE, "lattice", "model").astype(object)
    # of a kind that leaves no trace no single atom can be judged: they are no doubts of their own
    doubtful = (peaks.confidence < REVIEW_CONFIDENCE) & (peaks.evidence > NO_TRACE)
    status = np.where(doubtful, "review", "ok").astype(object)
    yield TABLE
    table = AtomTable.from_positions(
        yx,
        size,
        provenance=provenance,
        confidence=peaks.confidence,
        evidence=peaks.evidence,
        source=source,
        status=status,
        **columns,
    )
    yield TABLE
    table.provenance["inferred"] = inferred_kinds(table.rows)
    return table
