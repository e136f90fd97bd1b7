"""The multislice engine: images of a crystal by abTEM.

Slow and exact where the incoherent engine is fast and approximate. The specimen is periodic across
the beam; its cell is scanned at the Nyquist rate, and `PeriodicScan` gives the value at any position.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_stemprior.errors import StructureError
from napari_stemprior.optics.incoherent.object_function import THERMAL_DISPLACEMENT
from napari_stemprior.optics.instrument import Instrument
from napari_stemprior.optics.multislice.periodic_scan import PeriodicScan
from napari_stemprior.optics.multislice.wave_passes import (
    MAX_SAMPLING,
    PROBE_REACH,
    Potential,
    grid_of,
    prism_pass,
    probe_pass,
    quiet,
    slice_count,
)
from napari_stemprior.progress import Progress

if TYPE_CHECKING:
    from ase import Atoms

#: A gap along the beam (Å) that is vacuum and need not be simulated.
VACUUM_GAP = 5.5
#: Part of the Nyquist distance between probe positions: the aperture has a soft edge.
FILL = 0.8
# The scattering matrix of more values than this (complex64) takes too much memory.
_MOST_PRISM_VALUES = 6e7
# Gathering one probe from one plane wave, in units of one wave through one slice.
_GATHER = 0.01
# A rectangle of more cells than this is too large to simulate.
_MOST_CELLS = 24.5


def scan(
    atoms: Atoms,
    instrument: Instrument,
    *,
    phonons: int = 0,
    displacement: float | Mapping[str, float] = THERMAL_DISPLACEMENT,
    seed: int = 0,
) -> Generator[Progress, None, PeriodicScan]:
    """Scan one cell of a crystal by multislice; no source size, no noise.

    Parameters
    ----------
    atoms : ase.Atoms
        In an orthogonal cell with the beam along z, periodic across it; the electrons come from
        the top (high z). A gap wider than `VACUUM_GAP` along z is cut out. Of a thick crystal give
        all repeats along the beam.
    instrument : Instrument
    phonons : int
        Frozen-phonon configurations to average; 0 leaves the atoms at rest. Crystals thicker than
        some 20 Å need a few, or their light columns fade for want of thermal diffuse scattering.
    displacement : float or mapping
        Root mean square displacement along one direction in Å, of all elements or of each.
    seed : int
        Of the displacements.

    Yields
    ------
    Progress
        One step per block of probe positions.

    Returns
    -------
    PeriodicScan

    Raises
    ------
    StructureError
        If the cell is not orthogonal.
    MissingPackageError
        If abTEM is not installed.
    """
    work = scan_series(atoms, instrument, phonons=phonons, displacement=displacement, seed=seed)
    return (yield from work)[0][0]


def scan_series(
    atoms: Atoms,
    instrument: Instrument,
    *,
    depths: Sequence[float] | None = None,
    defoci: Sequence[float] | None = None,
    period: float = 0.0,
    phonons: int = 0,
    displacement: float | Mapping[str, float] = THERMAL_DISPLACEMENT,
    seed: int = 0,
    sampling: float = MAX_SAMPLING,
    prism: bool | None = None,
) -> Generator[Progress, None, list[list[PeriodicScan]]]:
    """Scan one cell at several depths and defoci, the waves going through the crystal once.

    Parameters
    ----------
    atoms, instrument, phonons, displacement, seed
        As in `scan`.
    depths : sequence of float, optional
        Å of crystal after which the intensity is taken, ascending; the whole crystal by default.
    defoci : sequence of float, optional
        Å; that of the instrument by default.
    period : float, optional
        Å after which the crystal repeats along the beam. Each repeat is then cut into the same slices: depths
        of whole repeats are exact, and planes of atoms keep their distance, which atoms at rest need.
    sampling : float
        Coarsest grid of the wave in Å; coarser is quicker and less exact.
    prism : bool, optional
        Send the plane waves of the aperture through the crystal rather than a probe for each position
        (Ophus, Adv. Struct. Chem. Imaging 3 (2017) 13; without interpolation, so the result is the
        same). By default where that is less work.

    Yields
    ------
    Progress

    Returns
    -------
    list of list of PeriodicScan
        For each depth, for each defocus.

    Raises
    ------
    StructureError
        If the cell is not orthogonal.
    MissingPackageError
        If abTEM is not installed.
    """
    lengths = atoms.cell.lengths()
    if len(atoms) == 0 or not np.allclose(atoms.cell.array, np.diag(lengths), atol=1e-4):
        raise StructureError("The multislice engine needs atoms in an orthogonal cell with the beam along z.")
    crystal = _entrance_first(atoms)
    reach = 2 * PROBE_REACH + 2.0
    repeats = [max(1, int(np.ceil(reach / length - 0.25))) for length in lengths[:2]]
    crystal = crystal * (*repeats, 1)
    steps = [
        _odd(length * 4 * instrument.convergence_semi_angle * 1e-3 / instrument.wavelength / FILL)
        for length in lengths[:2]
    ]
    defocused = [replace(instrument, defocus=d) for d in (defoci or [instrument.defocus])]
    slices = slice_count(float(crystal.cell.lengths()[2]), period)
    exits = _exit_slices(depths, slices, crystal.cell.lengths()[2])
    if prism is None:
        prism = _prism_pays(crystal, instrument, steps, slices, len(exits), len(defocused), sampling)
    rng = np.random.default_rng(seed)
    step = lengths[:2] / np.array(steps)
    result = np.zeros((len(exits), len(defocused), *steps))
    configurations = max(1, phonons)
    total = 1
    for configuration in range(configurations):
        moved = _shaken(crystal, displacement, rng) if phonons else crystal
        with quiet():
            potential = Potential.of(moved, instrument, sampling, slices)
        method = prism_pass if prism else probe_pass
        for part in method(potential, defocused, steps, step, exits):
            if isinstance(part, Progress):
                total = configurations * part.total
                yield Progress(configuration * part.total + part.done, total, "multislice")
            else:
                result += part
    yield Progress(total, total, "multislice")
    cell = (float(lengths[0]), float(lengths[1]))
    return [[PeriodicScan(image.T / configurations, cell) for image in row] for row in result]


def orthogonal(atoms: Atoms) -> tuple[Atoms, float]:
    """Find the smallest cell that is rectangular across the beam.

    For a third of the built-in crystals `abtem.orthogonalize_cell` takes cells two or three times as large,
    and it strains those of which no small cell is rectangular.

    Parameters
    ----------
    atoms : ase.Atoms
        Whose first two cell vectors lie across z.

    Returns
    -------
    box : ase.Atoms
        The same crystal in an orthogonal cell, turned about z so that its first vector lies along x.
    angle : float
        Degrees by which the box's x axis is ahead of the x axis of `atoms`.

    Raises
    ------
    StructureError
        If the cell leans along the beam or no rectangle of a few dozen cells fits.
    """
    from ase.build import make_supercell

    cell = np.array(atoms.cell.array, float)
    if np.abs(cell[:2, 2]).max() > 1e-3 or np.linalg.matrix_rank(cell[:2]) < 2:
        raise StructureError(
            "The multislice engine needs two cell vectors across the beam; give a zone axis."
        )
    if np.abs(cell[2, :2]).max() > 1e-3 and _gap(atoms)[0] < VACUUM_GAP:
        raise StructureError("The third cell vector leans against the beam; give a cell along the zone axis.")
    box = atoms.copy()
    box.cell[2] = [0, 0, cell[2, 2]]
    vectors = np.array([v for v in product(range(13), range(-12, 13)) if any(v)])
    plane = vectors @ cell[:2, :2]
    length = np.linalg.norm(plane, axis=1)
    area = np.outer(plane[:, 0], plane[:, 1]) - np.outer(plane[:, 1], plane[:, 0])
    across = np.abs(plane @ plane.T) < 3e-4 * np.outer(length, length)
    cells = area / abs(np.linalg.det(cell[:2, :2]))
    area[~across | (cells < 0.5) | (cells > _MOST_CELLS)] = np.inf
    # the smallest rectangle; of equal ones that whose first side is short and nearest to a
    best = np.lexsort((np.abs(vectors[:, 1]), length.round(3), area.min(axis=1).round(3)))[0]
    if not np.isfinite(area[best].min()):
        raise StructureError(
            "The cell has no small rectangle across the beam, so multislice would be too large."
        )
    second = vectors[np.argmin(area[best])]
    matrix = np.array([[*vectors[best], 0], [*second, 0], [0, 0, 1]])
    box = make_supercell(box, matrix, wrap=True)
    angle = float(np.degrees(np.arctan2(box.cell[0][1], box.cell[0][0])))
    box.rotate(-angle, "z", rotate_cell=True)
    box.set_cell(np.diag(box.cell.lengths()))
    box.wrap()
    return box, angle


def _gap(atoms: Atoms) -> tuple[float, float]:
    """Return the widest gap along z and the height at its upper end, both in Å."""
    period = float(atoms.cell.lengths()[2])
    z = np.sort(np.mod(atoms.positions[:, 2], period))
    gaps = np.diff(z, append=z[0] + period)
    widest = int(np.argmax(gaps))
    return float(gaps[widest]), float(z[(widest + 1) % len(z)])


def _entrance_first(atoms: Atoms) -> Atoms:
    """Turn the specimen so that abTEM's beam, along +z, meets its top first; cut the vacuum."""
    out = atoms.copy()
    period = float(atoms.cell.lengths()[2])
    gap, bottom = _gap(atoms)
    z = np.mod(out.positions[:, 2] - bottom + 1e-9, period)
    height = float(z.max()) + 2.0 if gap > VACUUM_GAP else period
    # no plane of atoms on the border of two slices or repeats, where rounding noise would choose its side
    out.positions[:, 2] = (z.max() - z) + (1.0 if gap > VACUUM_GAP else 0.5 * gap)
    out.set_cell([*atoms.cell.lengths()[:2], height])
    out.pbc = True
    return out


def _odd(least: float) -> int:
    """Round up to an odd number: a Fourier series without a lone Nyquist term shifts exactly."""
    n = int(np.ceil(least))
    return n + 1 - n % 2


def _exit_slices(depths: Sequence[float] | None, slices: int, height: float) -> list[int]:
    """Return the last slice that each depth takes in."""
    if depths is None:
        return [slices - 1]
    return [int(np.clip(round(depth / height * slices), 1, slices)) - 1 for depth in depths]


def _prism_pays(
    crystal: Atoms,
    instrument: Instrument,
    steps: list[int],
    slices: int,
    depths: int,
    defoci: int,
    sampling: float,
) -> bool:
    """Compare the work of plane waves with that of probes, from what both were seen to take."""
    lengths = crystal.cell.lengths()[:2]
    waves = np.pi * (1e-3 * instrument.convergence_semi_angle / instrument.wavelength) ** 2 * lengths.prod()
    pixels = grid_of(lengths, instrument, sampling).prod()
    probes = steps[0] * steps[1]
    if waves * pixels > _MOST_PRISM_VALUES:
        return False
    through, gather = waves * slices, _GATHER * probes * waves * depths * defoci
    window = min(1.0, (2 * PROBE_REACH + 3.0) ** 2 / lengths.prod())
    return bool(through + gather < 0.8 * window * probes * slices * defoci)


def _shaken(atoms: Atoms, displacement: float | Mapping[str, float], rng: np.random.Generator) -> Atoms:
    out = atoms.copy()
    if isinstance(displacement, Mapping):
        sigma = np.array([displacement.get(s, THERMAL_DISPLACEMENT) for s in out.get_chemical_symbols()])
    else:
        sigma = np.full(len(out), float(displacement))
    out.positions += rng.normal(size=out.positions.shape) * sigma[:, None]
    out.wrap()
    return out
