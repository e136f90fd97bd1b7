"""What is asked of an image beside the usual: tilts, numbers of atoms, planes, lines, picked atoms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.atom_counting import AtomCounts, count_atoms
from napari_stemprior.measurement.boundaries import find_boundaries
from napari_stemprior.measurement.line_profile import line_profile
from napari_stemprior.measurement.measurements import Measurements
from napari_stemprior.measurement.octahedra import bond_angles, octahedral_tilts
from napari_stemprior.measurement.picked_atoms import measure_picked
from napari_stemprior.measurement.plane_spacings import plane_spacings
from napari_stemprior.measurement.stacking import stacking_map
from napari_stemprior.recording import PreparedImage

T = TypeVar("T")
Place = tuple[float, float]


@dataclass(frozen=True)
class Questions:
    """What else is measured.

    Parameters
    ----------
    tilts : (str, str) or None
        Centre and corner of octahedra, such as Ti and O; also gives the bond angles.
    count : str or None
        Site label or element of the columns whose atoms are counted.
    first_count : int or None
        Atoms in the faintest columns, where known.
    boundaries : bool
    planes : (int, int) or None
        Miller indices of planes whose spacings are measured, of `planes_site`.
    planes_site : str or None
    planes_region, statistics_in : tuple of (float, float) or None
        Corners of polygons, pixels (y, x).
    lines : tuple of (start, end)
        Lines of profiles, pixels (y, x).
    line_width : float
        Å.
    picked : tuple of tuple of int
        Numbers of two or three atoms each.
    """

    tilts: tuple[str, str] | None = None
    count: str | None = None
    first_count: int | None = None
    boundaries: bool = False
    planes: tuple[int, int] | None = None
    planes_site: str | None = None
    planes_region: tuple[Place, ...] | None = None
    statistics_in: tuple[Place, ...] | None = None
    lines: tuple[tuple[Place, Place], ...] = ()
    line_width: float = 0.0
    picked: tuple[tuple[int, ...], ...] = ()


def answers(asked: Questions, found: Measurements, prepared: PreparedImage, layers: bool) -> dict[str, Any]:
    """Return the fields of `Measurements` that the questions fill; why one is missing goes to its reasons.

    Parameters
    ----------
    asked : Questions
    found : Measurements
        So far.
    prepared : PreparedImage
        Of the micrograph.
    layers : bool
        Whether the layers of a stack are measured.
    """
    atoms, indices, reasons = found.atoms, found.indices, found.reasons
    error = found.displacements.position_error
    if found.column_fit is not None:
        # tilts scatter oxygen about its mean lattice, which is no error of its position
        fitted = found.column_fit.position_error
        error = np.where(np.isfinite(fitted), fitted, error)
    out: dict[str, Any] = {}
    if asked.tilts is not None:
        centre, corner = asked.tilts
        out["tilts"] = tried(
            "octahedral tilts", reasons, octahedral_tilts, atoms, indices, error, centre=centre, corner=corner
        )
        out["bonds"] = tried(
            "bond angles", reasons, bond_angles, atoms, indices, error, end=centre, middle=corner
        )
    if asked.count is not None:
        out["counts"] = _counts(asked, found)
    if asked.boundaries:
        out["boundaries"] = tried("boundaries", reasons, find_boundaries, atoms, indices, error) or []
    if layers and len(found.fit.layers) > 1:
        out["stacking"] = tried("stacking", reasons, stacking_map, atoms, indices, found.reference, error)
    if asked.planes is not None:
        out["planes"] = tried(
            "planes", reasons, plane_spacings, atoms, indices, found.reference, error, asked.planes,
            asked.planes_site, asked.planes_region,
        )  # fmt: skip
    lines = [
        tried(f"profile {i + 1}", reasons, line_profile, prepared.image, atoms.pixel_size, start, end,
              asked.line_width, prepared.valid)
        for i, (start, end) in enumerate(asked.lines)
    ]  # fmt: skip
    out["profiles"] = [line for line in lines if line is not None]
    picked = [
        tried(
            f"atoms {', '.join(map(str, ids))}", reasons, measure_picked, atoms, error, ids, found.column_fit
        )
        for ids in asked.picked
    ]
    out["picked"] = [one for one in picked if one is not None]
    return out


def _counts(asked: Questions, found: Measurements) -> dict[str, AtomCounts]:
    """Count the atoms of each site that was named, and note why one cannot be counted."""
    sites = [
        c.site for prior in found.indices.priors for c in prior.columns if asked.count in (c.site, c.element)
    ]
    if found.cells is None:
        found.reasons["atom counts"] = "Atoms are counted by intensities, which were not measured."
        return {}
    if not sites:
        found.reasons["atom counts"] = f"The prior has no site {asked.count}."
    out = {}
    for site in dict.fromkeys(sites):
        own = found.indices.site == site
        counted = tried(
            f"atom counts of {site}",
            found.reasons,
            count_atoms,
            found.cells.value[own],
            first=asked.first_count,
        )
        if counted is not None:
            out[site] = counted
    return out


def tried(
    name: str, reasons: dict[str, str], function: Callable[..., T], *arguments: Any, **more: Any
) -> T | None:
    """Return what a measurement gives, or None and note why it gives nothing."""
    try:
        return function(*arguments, **more)
    except MeasurementError as error:
        reasons[name] = str(error)
        return None
