"""The reference of a prior by multislice: one cell is scanned, kept on disk, and laid on the pixel grid."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.errors import InstrumentError
from napari_stemprior.optics.incoherent.object_function import THERMAL_DISPLACEMENT, object_function
from napari_stemprior.optics.instrument import Instrument
from napari_stemprior.optics.multislice import scan_cache
from napari_stemprior.optics.multislice.abtem_import import check_abtem
from napari_stemprior.optics.multislice.engine import orthogonal, scan_series
from napari_stemprior.optics.multislice.periodic_scan import PeriodicScan
from napari_stemprior.optics.multislice.wave_passes import MAX_SAMPLING
from napari_stemprior.optics.pose_protocols import InvertiblePose
from napari_stemprior.optics.reference import DEFAULT_THICKNESS
from napari_stemprior.optics.specimen import atoms_of, scatterers, unit_cell_of
from napari_stemprior.progress import Progress
from napari_stemprior.structure import StructurePrior

Quality = Literal["preview", "final"]

#: Raised when the engine gives other numbers, so that old scans are not taken for new ones.
_ENGINE = 2
#: Å; the wave's grid of a preview.
_PREVIEW_SAMPLING = 0.08
#: mrad; a preview counts electrons up to here and scales for the rest.
_PREVIEW_OUTER = 110.0


@dataclass(frozen=True)
class CellImage:
    """The noise-free image of one cell of a prior, known everywhere.

    Parameters
    ----------
    scan : PeriodicScan
        Source size applied.
    turn : float
        Degrees by which the scan's x axis is ahead of the prior's.
    """

    scan: PeriodicScan
    turn: float

    def at(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Evaluate the image at (..., 2) prior coordinates (x, y) in Å."""
        t = np.deg2rad(self.turn)
        return self.scan.at(
            np.asarray(xy, float) @ np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
        )

    def draw(
        self,
        prior: StructurePrior,
        pixel_size: float,
        shape: tuple[int, int],
        pose: InvertiblePose | None = None,
    ) -> NDArray[np.float32]:
        """Lay the image on a pixel grid.

        Parameters
        ----------
        prior : StructurePrior
        pixel_size : float
            Å/px; a pose brings its own.
        shape : (int, int)
        pose : InvertiblePose, optional
            Without, the cell's first vector lies along x and its origin in the middle.

        Returns
        -------
        (H, W) array of float32
        """
        yx = np.moveaxis(np.indices(shape, dtype=np.float64), 0, -1)
        if pose is not None:
            return self.at(pose.to_angstrom(yx)).astype(np.float32)
        first = prior.cell[0] / np.linalg.norm(prior.cell[0])
        xy = (yx - np.array(shape) / 2)[..., ::-1] * pixel_size
        return self.at(xy @ np.array([first, [-first[1], first[0]]])).astype(np.float32)


def multislice_reference(
    prior: StructurePrior,
    instrument: Instrument,
    pixel_size: float,
    shape: tuple[int, int],
    pose: InvertiblePose | None = None,
    *,
    thickness: float = DEFAULT_THICKNESS,
    phonons: int = 0,
    quality: Quality = "preview",
    seed: int = 0,
    cache: bool = True,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Simulate the prior by multislice, free of noise.

    Parameters
    ----------
    prior : StructurePrior
    instrument : Instrument
    pixel_size : float
        Å/px.
    shape : (int, int)
        Rows and columns.
    pose : InvertiblePose, optional
        Where the lattice lies; without, the cell's first vector lies along x.
    thickness : float
        Å, of a crystal that repeats along the beam; a layer has its own.
    phonons : int
        Frozen-phonon configurations; a preview takes one at most.
    quality : {"preview", "final"}
        A preview has a coarser grid and a detector that ends at 110 mrad, made up for by the ratio of the
        cross-sections: a few seconds for a layer.
    seed : int
        Of the displacements, and of which atoms sit on shared sites.
    cache : bool
        Look on the disk first, and keep the scan there.

    Yields
    ------
    Progress
        Closing the generator between two of them cancels the work.

    Returns
    -------
    (H, W) array of float32
        Fraction of the beam that reaches the detector.

    Raises
    ------
    StructureError
        If the crystal has no small periodic cell across the beam.
    MissingPackageError
        If abTEM is not installed.
    """
    series = yield from cell_series(
        prior,
        instrument,
        [thickness],
        [instrument.defocus],
        phonons=phonons,
        quality=quality,
        seed=seed,
        cache=cache,
    )
    return series[0][0].draw(prior, pixel_size, shape, pose)


def cell_series(
    prior: StructurePrior,
    instrument: Instrument,
    thicknesses: Sequence[float],
    defoci: Sequence[float],
    *,
    phonons: int = 0,
    quality: Quality = "final",
    seed: int = 0,
    cache: bool = True,
) -> Generator[Progress, None, list[list[CellImage]]]:
    """Simulate one cell at several thicknesses and defoci; the waves go through the crystal once.

    Parameters
    ----------
    prior, instrument, phonons, quality, seed, cache
        As in `multislice_reference`; the instrument's defocus is not used.
    thicknesses : sequence of float
        Å; of a layer every one gives the same image.
    defoci : sequence of float
        Å.

    Yields
    ------
    Progress

    Returns
    -------
    list of list of CellImage
        For each thickness, for each defocus.

    Raises
    ------
    InstrumentError
        If the quality or the number of configurations is not possible.
    MissingPackageError
        If abTEM is not installed.
    """
    if quality not in ("preview", "final"):
        raise InstrumentError(f'The quality {quality!r} is not known; give "preview" or "final".')
    if phonons < 0:
        raise InstrumentError(f"{phonons} frozen-phonon configurations are not possible; give 0 or more.")
    repeats = sorted({max(1, round(t / prior.period)) if prior.period else 1 for t in thicknesses})
    used, sampling, factor = _for_quality(prior, instrument, quality)
    phonons = min(phonons, 1) if quality == "preview" else phonons
    key = scan_cache.key_of(_parameters(prior, used, repeats, defoci, phonons, seed, sampling))
    arrays = scan_cache.load(key) if cache else None
    if arrays is None or not _is_whole(arrays, (len(repeats), len(defoci))):
        atoms = atoms_of(prior, repeats[-1] * prior.period, seed)
        box, turn = orthogonal(atoms)
        scans = yield from scan_series(
            box,
            used,
            depths=[r * prior.period for r in repeats] if prior.period else None,
            defoci=list(defoci),
            period=prior.period,
            phonons=phonons,
            seed=seed,
            sampling=sampling,
        )
        arrays = {
            "intensity": np.array([[s.intensity for s in row] for row in scans]),
            "cell": np.array(scans[0][0].cell),
            "turn": np.array(turn),
        }
        if cache:
            scan_cache.store(key, arrays)
    else:
        yield Progress(1, 1, "multislice")
    cell = (float(arrays["cell"][0]), float(arrays["cell"][1]))
    images = [
        [
            CellImage(PeriodicScan(one * factor, cell).blurred(instrument.source_size), float(arrays["turn"]))
            for one in row
        ]
        for row in arrays["intensity"]
    ]
    which = [repeats.index(max(1, round(t / prior.period)) if prior.period else 1) for t in thicknesses]
    return [images[index] for index in which]


def _is_whole(arrays: scan_cache.Arrays, rows_and_columns: tuple[int, int]) -> bool:
    """Tell whether what the cache gave is a series of scans; another program may have written there."""
    try:
        scans, cell, turn = arrays["intensity"], arrays["cell"], arrays["turn"]
    except KeyError:
        return False
    return (
        scans.ndim == 4
        and scans.shape[:2] == rows_and_columns
        and min(scans.shape) > 0
        and cell.shape == (2,)
        and turn.shape == ()
        and all(part.dtype.kind == "f" and bool(np.isfinite(part).all()) for part in (scans, cell, turn))
        and bool((cell > 0).all())
    )


def _for_quality(
    prior: StructurePrior, instrument: Instrument, quality: Quality
) -> tuple[Instrument, float, float]:
    """Return the instrument and the grid to simulate with, and a factor for the result."""
    if quality == "final":
        return instrument, MAX_SAMPLING, 1.0
    outer = max(_PREVIEW_OUTER, 1.5 * instrument.detector_inner)
    if outer >= instrument.detector_outer:
        return instrument, _PREVIEW_SAMPLING, 1.0
    clipped = replace(instrument, detector_outer=outer)
    whole, part = (
        sum(float(object_function(atoms, i, np.zeros(1))[0]) for atoms in scatterers(prior))
        for i in (instrument, clipped)
    )
    return clipped, _PREVIEW_SAMPLING, whole / part


def _parameters(
    prior: StructurePrior,
    instrument: Instrument,
    repeats: list[int],
    defoci: Sequence[float],
    phonons: int,
    seed: int,
    sampling: float,
) -> dict[str, Any]:
    """Collect all that the scan depends on; source size, dose and name come after it."""
    check_abtem()
    unit = unit_cell_of(prior)
    optics = asdict(instrument)
    for later in ("name", "source_size", "dose", "defocus"):
        optics.pop(later)
    return {
        "engine": _ENGINE,
        "abtem": version("abtem"),
        "thermal": THERMAL_DISPLACEMENT,
        # adding 0 makes -0 the same as 0
        "lattice": (np.round(unit.lattice, 6) + 0.0).tolist(),
        "positions": (np.round(unit.positions, 6) + 0.0).tolist(),
        "numbers": unit.atomic_numbers.tolist(),
        "occupancy": np.round(unit.occupancy, 6).tolist(),
        "sites": unit.site.tolist(),
        "period": round(prior.period, 6),
        "instrument": {name: float(value) for name, value in optics.items()},
        "repeats": repeats,
        "defoci": [float(d) for d in defoci],
        "phonons": phonons,
        "seed": seed if phonons or (unit.occupancy < 1).any() else 0,
        "sampling": sampling,
    }
