"""The multislice engine: HAADF images of a crystal by abTEM.

Slow and exact where the incoherent engine is fast and approximate. The specimen is periodic across
the beam; its cell is scanned at the Nyquist rate, and `PeriodicScan` gives the value at any position.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import next_fast_len

from napari_stemprior.errors import StructureError
from napari_stemprior.optics.instrument import Instrument
from napari_stemprior.optics.periodic_scan import PeriodicScan
from napari_stemprior.progress import Progress

if TYPE_CHECKING:
    from ase import Atoms

#: Half-width in Å of what a focused probe sees; the specimen beyond is left out of a window.
PROBE_REACH = 5.0
#: Root mean square displacement in Å along one direction at room temperature, where none is given.
THERMAL_DISPLACEMENT = 0.08
#: A gap along the beam (Å) that is vacuum and need not be simulated.
VACUUM_GAP = 5.5
#: Thickness of a slice in Å.
SLICE_THICKNESS = 2.0
#: Part of the Nyquist distance between probe positions: the aperture has a soft edge.
FILL = 0.8
# A rectangle of more cells than this is too large to simulate.
_MOST_CELLS = 24.5
#: Coarsest grid of the wave in Å; at 0.08 equal heavy columns differ by a tenth, at 0.05 by one per cent.
MAX_SAMPLING = 0.05
# How much finer than the wave's grid the potential is built.
_FINER = 3
#: Probe positions across a block that shares one window of the potential.
_BLOCK = 12


def multislice_image(
    atoms: Atoms,
    instrument: Instrument,
    pixel_size: float,
    shape: tuple[int, int],
    *,
    angle: float = 0.0,
    origin: ArrayLike = (0.0, 0.0),
    phonons: int = 0,
    seed: int = 0,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Simulate the HAADF image of a crystal on a pixel grid, source size included.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic across z; the electrons come from its top (high z).
    instrument : Instrument
    pixel_size : float
        Å/px.
    shape : (int, int)
        Rows and columns.
    angle : float
        Degrees from the image's x axis towards its y axis, to the x axis of the atoms.
    origin : (2,) array-like
        Pixel (y, x) of the origin of the atoms.
    phonons, seed : int
        As in `scan`.

    Yields
    ------
    Progress

    Returns
    -------
    (H, W) array of float32
        Fraction of the beam on the detector, no noise.
    """
    box, turn = orthogonal(atoms)
    cell = yield from scan(box, instrument, phonons=phonons, seed=seed)
    return cell.blurred(instrument.source_size).image(pixel_size, shape, angle=angle + turn, origin=origin)


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
    pieces = [list(_blocks(n)) for n in steps]
    rng = np.random.default_rng(seed)
    total = max(1, phonons) * len(pieces[0]) * len(pieces[1])
    done = 0
    result = np.zeros(steps)
    for _ in range(max(1, phonons)):
        moved = _shaken(crystal, displacement, rng) if phonons else crystal
        with _quiet():
            potential = _potential(moved, instrument)
        for rows, columns in product(*pieces):
            yield Progress(done, total, "multislice")
            with _quiet():
                result[rows, columns] += _scan_block(
                    *potential, instrument, (rows, columns), lengths[:2] / np.array(steps)
                )
            done += 1
    yield Progress(total, total, "multislice")
    return PeriodicScan(result.T / max(1, phonons), (float(lengths[0]), float(lengths[1])))


def orthogonal(atoms: Atoms) -> tuple[Atoms, float]:
    """Find the smallest cell that is rectangular across the beam.

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
    out.positions[:, 2] = (z.max() - z) + (1.0 if gap > VACUUM_GAP else 0.0)
    out.set_cell([*atoms.cell.lengths()[:2], height])
    out.pbc = True
    return out


def _odd(least: float) -> int:
    """Round up to an odd number: a Fourier series without a lone Nyquist term shifts exactly."""
    n = int(np.ceil(least))
    return n + 1 - n % 2


def _blocks(n: int) -> Iterator[slice]:
    edges = np.linspace(0, n, int(np.ceil(n / _BLOCK)) + 1).round().astype(int)
    for start, stop in pairwise(edges):
        yield slice(int(start), int(stop))


def _shaken(atoms: Atoms, displacement: float | Mapping[str, float], rng: np.random.Generator) -> Atoms:
    out = atoms.copy()
    if isinstance(displacement, Mapping):
        sigma = np.array([displacement.get(s, THERMAL_DISPLACEMENT) for s in out.get_chemical_symbols()])
    else:
        sigma = np.full(len(out), float(displacement))
    out.positions += rng.normal(size=out.positions.shape) * sigma[:, None]
    out.wrap()
    return out


def _potential(
    atoms: Atoms, instrument: Instrument
) -> tuple[NDArray[np.float32], tuple[float, ...], NDArray[np.float64]]:
    """Slice the potential.

    Returns
    -------
    array : (S, Nx, Ny)
        Projected potential of each slice.
    thickness : (S,) tuple
        Å.
    sampling : (2,) array
        Å along x and y.
    """
    import abtem

    # abTEM keeps two thirds of the band; the rest of 0.97 is room for the edge of the detector
    sampling = min(0.97 * instrument.wavelength / (3e-3 * instrument.detector_outer), MAX_SAMPLING)
    lengths = np.array(atoms.cell.lengths())
    gpts = [next_fast_len(int(np.ceil(length / sampling)), real=False) for length in lengths[:2]]
    slices = max(1, round(lengths[2] / SLICE_THICKNESS))
    # abTEM sets atoms off the grid by linear interpolation, which makes heavy columns differ by several
    # per cent with their place on the grid: build finely, then keep the low frequencies
    fine = abtem.Potential(
        atoms, gpts=tuple(_FINER * n for n in gpts), slice_thickness=lengths[2] / slices
    ).build(lazy=False)
    kept = [np.fft.fftfreq(n, 1 / n).round().astype(int) for n in gpts]
    array = np.empty((slices, *gpts), dtype=np.float32)
    for target, source in zip(array, fine.array, strict=True):
        spectrum = np.fft.fft2(source)[np.ix_(*kept)]
        target[:] = np.fft.ifft2(spectrum).real / _FINER**2
    return array, tuple(fine.slice_thickness), lengths[:2] / np.array(gpts)


def _scan_block(
    array: NDArray[np.float32],
    thickness: tuple[float, ...],
    sampling: NDArray[np.float64],
    instrument: Instrument,
    block: tuple[slice, slice],
    step: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Scan a block of probe positions in a window that is cut from the periodic potential."""
    import abtem

    full = array.shape[-2:]
    take, start, end, count = [], [], [], []
    for axis, part in enumerate(block):
        n = part.stop - part.start
        low, high = part.start * step[axis], part.stop * step[axis]
        width = next_fast_len(int(np.ceil((high - low + 2 * PROBE_REACH) / sampling[axis])), real=False)
        if width >= 0.9 * full[axis]:  # the whole box: it closes on itself without a seam
            first, width = 0, full[axis]
        else:
            first = int(np.floor((0.5 * (low + high)) / sampling[axis] - width / 2))
        take.append(np.arange(first, first + width) % full[axis])
        start.append(low - first * sampling[axis])
        end.append(high - first * sampling[axis])
        count.append(n)
    window = abtem.potentials.iam.PotentialArray(
        np.ascontiguousarray(array[:, take[0][:, None], take[1][None, :]]),
        slice_thickness=thickness,
        sampling=tuple(float(s) for s in sampling),
    )
    probe = abtem.Probe(
        energy=instrument.beam_energy * 1e3,
        semiangle_cutoff=instrument.convergence_semi_angle,
        defocus=instrument.defocus,
        Cs=instrument.spherical_aberration * 1e7,
    )
    probe.grid.match(window)
    measured = probe.scan(
        window,
        scan=abtem.GridScan(tuple(start), tuple(end), gpts=tuple(count), endpoint=False),
        detectors=abtem.AnnularDetector(instrument.detector_inner, instrument.detector_outer),
        max_batch=64,
        lazy=False,
    )
    intensity: NDArray[np.float64] = np.asarray(measured.array, dtype=np.float64)
    return intensity


@contextmanager
def _quiet() -> Iterator[None]:
    """Run abTEM in this thread, without bars and without warnings that a person cannot act on."""
    import abtem
    import dask

    with (
        warnings.catch_warnings(),
        dask.config.set(scheduler="synchronous"),
        abtem.config.set(
            {"diagnostics.progress_bar": False, "dask.lazy": False, "fftw.planning_effort": "FFTW_ESTIMATE"}
        ),
    ):
        warnings.simplefilter("ignore")
        yield
