"""From corrected atoms to the numbers of a paper."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.measurement.clustering import PairCorrelation, pair_correlation
from napari_stemprior.measurement.column_fit import ColumnFit, fit_columns
from napari_stemprior.measurement.column_table import column_table
from napari_stemprior.measurement.defects import Defects, concentrations, find_defects
from napari_stemprior.measurement.displacements import displacements
from napari_stemprior.measurement.intensities import CellIntensities, cell_intensities
from napari_stemprior.measurement.lattice_indices import LatticeIndices, index_atoms
from napari_stemprior.measurement.layers import LayerPair, measure_layers
from napari_stemprior.measurement.measurements import Measurements
from napari_stemprior.measurement.mixture import Mixture, fit_mixture
from napari_stemprior.measurement.neighbours import neighbour_distances
from napari_stemprior.measurement.polarisation import Polarisation, polarisation
from napari_stemprior.measurement.reference_lattice import reference_lattice
from napari_stemprior.measurement.region_statistics import region_statistics
from napari_stemprior.measurement.scan_errors import ScanErrors, scan_errors, without_scan_errors
from napari_stemprior.measurement.strain import local_strain, strain_of_field
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.fit_lattice import fit_lattice, follow_strain, known_pixel_size
from napari_stemprior.workflow.measure_questions import Questions, answers, tried
from napari_stemprior.workflow.operations import Operations


@dataclass(frozen=True)
class MeasureSettings:
    """What is measured, and against what.

    Parameters
    ----------
    intensities, strain, defects, layers, scan_errors : bool
    polarisation : (str, str) or None
        Centre and cage: site labels or elements.
    remove_scan_errors : bool
        Take the shifts of rows out of displacements, strain and off-centring.
    region : tuple of (float, float) or None
        Corners of the reference region, pixels (y, x); two are those of a rectangle. None takes the mean
        lattice.
    part : int
        Connected part (grain) whose mean lattice that is; 0 is the largest.
    axis : float
        Direction of the first axis of strain: degrees from the image's x towards its y.
    power, false_alarms : float
        Of the test for vacancies at this dose, which concentrations are corrected for.
    questions : Questions
        What else is asked: tilts, numbers of atoms, planes, lines, picked atoms, regions.
    """

    intensities: bool = True
    strain: bool = True
    defects: bool = True
    layers: bool = True
    scan_errors: bool = True
    polarisation: tuple[str, str] | None = None
    remove_scan_errors: bool = False
    region: tuple[tuple[float, float], ...] | None = None
    part: int = 0
    axis: float = 0.0
    power: float = 1.0
    false_alarms: float = 0.0
    questions: Questions = field(default_factory=Questions)


def measure(
    operations: Operations,
    micrograph: Micrograph,
    table: AtomTable,
    prior: Prior,
    fit: LatticeFit | None,
    settings: MeasureSettings,
) -> Generator[Progress, None, Measurements]:
    """Measure the atoms of a micrograph.

    Parameters
    ----------
    operations : Operations
    micrograph : Micrograph
        Columns bright.
    table : AtomTable
        Rejected rows and vacancies are left out.
    prior : StructurePrior or Stack
    fit : LatticeFit, optional
        Where the lattice lies, if that is known.
    settings : MeasureSettings

    Returns
    -------
    Measurements
        What cannot be measured is named in its ``reasons``.

    Raises
    ------
    MeasurementError
        If the lattice does not fit, there are too few atoms on it, or the reference region is no good.
    PixelSizeError, RegistrationError, MicrographError
        As of `fit_lattice`.
    """
    size = known_pixel_size(micrograph)
    atoms = table.atoms
    if not np.isclose(size, atoms.pixel_size, rtol=1e-3):
        raise MeasurementError(
            f"The atoms are on pixels of {atoms.pixel_size:.4g} Å and the image has {size:.4g} Å; give the "
            "image that they were found on, or its right pixel size."
        )
    high = np.array(micrograph.image.shape) - 0.5
    if len(atoms) and ((atoms.yx < -0.5) | (atoms.yx > high)).any():
        raise MeasurementError(
            f"Atoms lie outside of {micrograph.name} ({high[0] + 0.5:g} × {high[1] + 0.5:g} pixels); "
            "give the "
            "image that they were found on."
        )
    if fit is None:
        fit = yield from fit_lattice(operations, micrograph, prior)
    elif micrograph.excluded is not None:  # its sites in the mask are no vacancies
        fit = yield from follow_strain(operations, micrograph, fit)
    if not fit.is_fit:
        raise MeasurementError(
            f"The lattice of {prior.name} does not fit {micrograph.name}, so nothing can be measured against "
            "it; choose another prior or pixel size."
        )
    yield Progress(1, 6, "Counting cells")
    indices = index_atoms(atoms, fit)
    reference = reference_lattice(atoms, indices, settings.region, settings.part)
    yield Progress(2, 6, "Fitting columns")
    prepared = operations.prepare(micrograph.analysed)
    columns, cells = _columns(prepared, atoms) if settings.intensities else (None, None)
    sigma = None if columns is None else columns.position_error
    moved = displacements(atoms, indices, reference, sigma)
    reasons: dict[str, str] = {}
    yield Progress(3, 6, "Measuring strain")
    scan: ScanErrors | None = None
    placed = atoms
    if settings.scan_errors or settings.remove_scan_errors:
        scan = tried("scan_errors", reasons, scan_errors, atoms, indices, moved)
        if scan is not None and settings.remove_scan_errors:
            raw, moved = moved, without_scan_errors(atoms, indices, moved, scan, sigma)
            placed = _moved(atoms, moved.xy - raw.xy)
    strain = local_strain(indices, moved, axis=settings.axis) if settings.strain else None
    polar: Polarisation | None = None
    if settings.polarisation is not None:
        centre, cage = settings.polarisation
        polar = polarisation(placed, indices, moved.position_error, centre=centre, cage=cage)
    fringes = strain_of_field(fit, size, settings.axis) if settings.strain else None
    yield Progress(4, 6, "Looking for defects")
    found, arrangement = _defects(atoms, fit, micrograph, cells, settings, reasons)
    counted = concentrations(found, settings.power, settings.false_alarms) if found is not None else []
    layers: list[LayerPair] = []
    if settings.layers and len(fit.layers) > 1:
        layers = tried("layers", reasons, measure_layers, indices, reference, moved.position_error) or []
    yield Progress(5, 6, "Sorting intensities")
    mixtures = _mixtures(indices, cells, reasons) if cells is not None else {}
    distances = neighbour_distances(atoms, indices, moved.position_error, columns)
    found_all = Measurements(
        atoms, fit, indices, reference, moved, pd.DataFrame(), strain, fringes, columns, cells, mixtures,
        polar, found, counted, arrangement, layers, scan, settings.remove_scan_errors, settings.axis, reasons,
    )  # fmt: skip
    found_all = replace(found_all, **answers(settings.questions, found_all, prepared, settings.layers))
    rows = column_table(
        atoms, indices, moved, strain=strain, fit=columns, cells=cells, distances=distances, polar=polar,
        tilts=found_all.tilts, bonds=found_all.bonds, counts=found_all.counts, stacking=found_all.stacking,
    )  # fmt: skip
    statistics = None
    if settings.questions.statistics_in is not None:
        statistics = tried("statistics", reasons, region_statistics, rows, settings.questions.statistics_in)
    return replace(found_all, columns=rows, statistics=statistics)


def _moved(atoms: AtomTable, shift: NDArray[np.float64]) -> AtomTable:
    """Return the atoms at other places, by (N, 2) Å (x, y); those whose shift is not known stay."""
    steps = np.nan_to_num(shift) / atoms.pixel_size
    rows = atoms.rows.assign(x_px=atoms.rows["x_px"] + steps[:, 0], y_px=atoms.rows["y_px"] + steps[:, 1])
    return AtomTable(rows, atoms.pixel_size, atoms.provenance)


def _columns(prepared: PreparedImage, atoms: AtomTable) -> tuple[ColumnFit, CellIntensities]:
    fitted = fit_columns(prepared.image, atoms, prepared.valid)
    return fitted, cell_intensities(prepared.image, atoms, fitted.noise, prepared.valid)


def _defects(
    atoms: AtomTable,
    fit: LatticeFit,
    micrograph: Micrograph,
    cells: CellIntensities | None,
    settings: MeasureSettings,
    reasons: dict[str, str],
) -> tuple[Defects | None, PairCorrelation | None]:
    if not settings.defects:
        return None, None
    shape = (micrograph.image.shape[0], micrograph.image.shape[1])
    intensity = None if cells is None else cells.value
    found: Defects | None = tried("defects", reasons, find_defects, atoms, fit, shape, intensity)
    if found is None:
        return None, None
    places = found.of("vacancy")[["y_angstrom", "x_angstrom"]].to_numpy(float)
    sites = found.examined.yx * atoms.pixel_size
    return found, tried("pair_correlation", reasons, pair_correlation, places, sites)


def _mixtures(indices: LatticeIndices, cells: CellIntensities, reasons: dict[str, str]) -> dict[str, Mixture]:
    found = {}
    for site in dict.fromkeys(indices.site[indices.known]):
        mixture: Mixture | None = tried(
            f"intensities of {site}", reasons, fit_mixture, cells.value[indices.site == site]
        )
        if mixture is not None:
            found[str(site)] = mixture
    return found
