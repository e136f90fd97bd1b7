"""One pass of the waves through a sliced potential, probe by probe or by plane waves, with abTEM."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from napari_stemprior.optics.instrument import Instrument
from napari_stemprior.optics.multislice.abtem_import import load_abtem
from napari_stemprior.progress import Progress

if TYPE_CHECKING:
    from ase import Atoms

#: Half-width in Å of what a focused probe sees; the specimen beyond is left out of a window.
PROBE_REACH = 5.0
#: Thickness of a slice in Å.
SLICE_THICKNESS = 2.0
# Å; a repeat along the beam is cut into the fewest slices that are no thicker.
_THICKEST_SLICE = 2.4
#: Coarsest grid of the wave in Å; at 0.08 equal heavy columns differ by a tenth, at 0.05 by one per cent.
MAX_SAMPLING = 0.05
# How much finer than the wave's grid the potential is built.
_FINER = 3
#: Probe positions across a block that shares one window of the potential.
_BLOCK = 12
# Slices that the plane waves pass between two signs of progress.
_SLICES_AT_ONCE = 4


@dataclass(frozen=True, eq=False)
class Potential:
    """The projected potential of each slice.

    Parameters
    ----------
    array : (S, Nx, Ny) array
    thickness : tuple of float
        Å, of each slice.
    sampling : (2,) array
        Å along x and y.
    """

    array: NDArray[np.float32]
    thickness: tuple[float, ...]
    sampling: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        atoms: Atoms,
        instrument: Instrument,
        sampling: float = MAX_SAMPLING,
        slices: int | None = None,
    ) -> Potential:
        """Slice the potential of atoms in an orthogonal cell.

        Parameters
        ----------
        atoms : ase.Atoms
        instrument : Instrument
            Decides the grid.
        sampling : float
            Coarsest grid in Å.
        slices : int, optional
            Some `SLICE_THICKNESS` each by default.
        """
        abtem = load_abtem()
        lengths = np.array(atoms.cell.lengths())
        gpts = grid_of(lengths[:2], instrument, sampling)
        slices = slices or slice_count(float(lengths[2]))
        # abTEM sets atoms off the grid by linear interpolation, which makes heavy columns differ by several
        # per cent with their place on the grid: build finely, then keep the low frequencies
        fine = abtem.Potential(
            atoms, gpts=tuple(int(_FINER * n) for n in gpts), slice_thickness=lengths[2] / slices
        ).build(lazy=False)
        kept = [np.fft.fftfreq(n, 1 / n).round().astype(int) for n in gpts]
        array = np.empty((slices, *gpts), dtype=np.float32)
        for target, source in zip(array, fine.array, strict=True):
            spectrum = np.fft.fft2(source)[np.ix_(*kept)]
            target[:] = np.fft.ifft2(spectrum).real / _FINER**2
        return cls(array, tuple(fine.slice_thickness), lengths[:2] / gpts)

    def part(
        self, slices: slice, x: NDArray[np.int64] | None = None, y: NDArray[np.int64] | None = None
    ) -> Any:
        """Return some slices, and a window across, as abTEM takes them."""
        abtem = load_abtem()
        array = self.array[slices]
        if x is not None and y is not None:
            array = array[:, x[:, None], y[None, :]]
        return abtem.potentials.iam.PotentialArray(
            np.ascontiguousarray(array),
            slice_thickness=self.thickness[slices],
            sampling=tuple(float(s) for s in self.sampling),
        )


def slice_count(height: float, period: float = 0.0) -> int:
    """Return into how many slices a crystal is cut; each repeat into equally many.

    Parameters
    ----------
    height : float
        Å.
    period : float, optional
        Å; 0 for what does not repeat along the beam.
    """
    if not period:
        return max(1, round(height / SLICE_THICKNESS))
    return max(1, round(height / period)) * int(np.ceil(period / _THICKEST_SLICE))


def grid_of(
    lengths: NDArray[np.float64], instrument: Instrument, sampling: float = MAX_SAMPLING
) -> NDArray[np.int64]:
    """Return the points across the cell: enough for the detector, a product of 2, 3 and 5.

    Parameters
    ----------
    lengths : (2,) array
        Å.
    instrument : Instrument
    sampling : float
        Coarsest grid in Å.
    """
    # products of 2, 3 and 5 (`real`): with 7 and 11 FFTW is slower
    # abTEM keeps two thirds of the band; the rest of 0.97 is room for the edge of the detector
    angle = max(instrument.detector_outer, 2 * instrument.convergence_semi_angle)
    spacing = min(0.97 * instrument.wavelength / (3e-3 * angle), sampling)
    return np.array([next_fast_len(int(np.ceil(length / spacing)), real=True) for length in lengths])


def probe_pass(
    potential: Potential,
    instruments: Sequence[Instrument],
    steps: Sequence[int],
    step: NDArray[np.float64],
    exits: Sequence[int],
) -> Iterator[Progress | NDArray[np.float64]]:
    """Send a probe through for every position, in windows that are cut from the periodic potential.

    Parameters
    ----------
    potential : Potential
    instruments : sequence of Instrument
        The same but for the defocus.
    steps : (int, int)
        Probe positions along x and y.
    step : (2,) array
        Å between them.
    exits : sequence of int
        Slices after which the intensity is taken, ascending.

    Yields
    ------
    Progress, and last the (T, D, Nx, Ny) intensities
    """
    pieces = [list(_blocks(n)) for n in steps]
    total = len(instruments) * len(pieces[0]) * len(pieces[1])
    result = np.zeros((len(exits), len(instruments), *steps))
    for done, (number, rows, columns) in enumerate(product(range(len(instruments)), *pieces)):
        yield Progress(done, total)
        with quiet():
            result[:, number, rows, columns] = _scan_block(
                potential, instruments[number], (rows, columns), step, exits
            )
    yield result


def prism_pass(
    potential: Potential,
    instruments: Sequence[Instrument],
    steps: Sequence[int],
    step: NDArray[np.float64],
    exits: Sequence[int],
) -> Iterator[Progress | NDArray[np.float64]]:
    """Send the plane waves of the aperture through, and gather every probe from them.

    Parameters and yields are those of `probe_pass`.
    """
    abtem = load_abtem()
    first = instruments[0]
    slices = exits[-1] + 1
    stops = sorted({*range(_SLICES_AT_ONCE, slices, _SLICES_AT_ONCE), *(e + 1 for e in exits)})
    total = len(stops) + len(exits) * len(instruments)
    done = 0
    yield Progress(done, total)
    with quiet():
        waves = abtem.SMatrix(
            energy=first.beam_energy * 1e3,
            semiangle_cutoff=first.convergence_semi_angle,
            extent=tuple(
                float(n * s) for n, s in zip(potential.array.shape[1:], potential.sampling, strict=True)
            ),
            gpts=potential.array.shape[1:],
            downsample=False,
        ).build(lazy=False)
        positions = abtem.GridScan(
            (0.0, 0.0), tuple(float(s) for s in np.array(steps) * step), gpts=tuple(steps), endpoint=False
        )
    result = np.zeros((len(exits), len(instruments), *steps))
    start = 0
    for stop in stops:
        with quiet():
            waves = waves.multislice(potential.part(slice(start, stop)))
        start = stop
        done += 1
        yield Progress(done, total)
        for row in [k for k, e in enumerate(exits) if e + 1 == stop]:
            for number, instrument in enumerate(instruments):
                with quiet():
                    measured = waves.reduce(
                        scan=positions, ctf=_lens(instrument), detectors=_detector(instrument)
                    )
                    result[row, number] = np.asarray(measured.array, dtype=np.float64)
                done += 1
                yield Progress(done, total)
    yield result


def _blocks(n: int) -> Iterator[slice]:
    edges = np.linspace(0, n, int(np.ceil(n / _BLOCK)) + 1).round().astype(int)
    for start, stop in pairwise(edges):
        yield slice(int(start), int(stop))


def _scan_block(
    potential: Potential,
    instrument: Instrument,
    block: tuple[slice, slice],
    step: NDArray[np.float64],
    exits: Sequence[int],
) -> NDArray[np.float64]:
    """Return the (T, n, m) intensities of a block of probe positions."""
    abtem = load_abtem()
    full = potential.array.shape[-2:]
    take, start, end, count = [], [], [], []
    for axis, part in enumerate(block):
        low, high = part.start * step[axis], part.stop * step[axis]
        sampling = potential.sampling[axis]
        width = next_fast_len(int(np.ceil((high - low + 2 * PROBE_REACH) / sampling)), real=True)
        if width >= 0.9 * full[axis]:  # the whole box: it closes on itself without a seam
            first, width = 0, full[axis]
        else:
            first = int(np.floor((0.5 * (low + high)) / sampling - width / 2))
        take.append(np.arange(first, first + width) % full[axis])
        start.append(low - first * sampling)
        end.append(high - first * sampling)
        count.append(part.stop - part.start)
    window = potential.part(slice(0, exits[-1] + 1), *take)
    window = abtem.potentials.iam.PotentialArray(
        window.array,
        slice_thickness=window.slice_thickness,
        sampling=window.sampling,
        exit_planes=tuple(dict.fromkeys(exits)),
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
        detectors=_detector(instrument),
        max_batch=64,
        lazy=False,
    )
    intensity = np.asarray(measured.array, dtype=np.float64).reshape(-1, *count)
    distinct = list(dict.fromkeys(exits))
    return np.stack([intensity[distinct.index(e)] for e in exits])


def _lens(instrument: Instrument) -> Any:
    abtem = load_abtem()
    return abtem.CTF(
        energy=instrument.beam_energy * 1e3,
        semiangle_cutoff=instrument.convergence_semi_angle,
        defocus=instrument.defocus,
        Cs=instrument.spherical_aberration * 1e7,
    )


def _detector(instrument: Instrument) -> Any:
    abtem = load_abtem()
    return abtem.AnnularDetector(instrument.detector_inner, instrument.detector_outer)


@contextmanager
def quiet() -> Iterator[None]:
    """Run abTEM in this thread, without bars and without warnings that a person cannot act on."""
    abtem = load_abtem()
    import dask  # comes with abTEM

    with (
        warnings.catch_warnings(),
        dask.config.set(scheduler="synchronous"),
        abtem.config.set(
            {"diagnostics.progress_bar": False, "dask.lazy": False, "fftw.planning_effort": "FFTW_ESTIMATE"}
        ),
    ):
        warnings.simplefilter("ignore")
        yield
