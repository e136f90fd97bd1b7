"""The reference: what the microscope should show of a prior, by the fast engine."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_stemprior.errors import InstrumentError
from napari_stemprior.optics.incoherent.channelling import background, column_gain, focus_depth
from napari_stemprior.optics.incoherent.engine import probe_transfer
from napari_stemprior.optics.incoherent.object_function import (
    THERMAL_DISPLACEMENT,
    Scatterer,
    object_function,
)
from napari_stemprior.optics.instrument import Instrument
from napari_stemprior.optics.pose_protocols import ColumnPose
from napari_stemprior.optics.specimen import scatterers
from napari_stemprior.structure import StructurePrior
from napari_stemprior.structure.lattice_points import lattice_columns

#: Å of crystal drawn around the field, so that its periodic edges do not show.
_MARGIN = 6.0
#: Å: layers whose depths differ by less share one focus.
_FOCUS_STEP = 5.0
# 1/Å between the frequencies at which an object function is tabulated.
_FREQUENCY_STEP = 0.08
#: Å: how thick a crystal that fills its cell is taken to be where nobody says.
DEFAULT_THICKNESS = 100.0


def reference_image(
    prior: StructurePrior,
    instrument: Instrument,
    pixel_size: float,
    shape: tuple[int, int],
    pose: ColumnPose | None = None,
    *,
    thickness: float = DEFAULT_THICKNESS,
    thermal: float = THERMAL_DISPLACEMENT,
) -> NDArray[np.float32]:
    """Simulate the prior with the fast engine, free of noise.

    Columns are weighed by what their atoms scatter onto the detector (`object_function`), each layer
    in its own focus; of a crystal, the probe's way through it is taken into account (`channelling`).

    Parameters
    ----------
    prior : StructurePrior
    instrument : Instrument
    pixel_size : float
        Å per pixel.
    shape : (int, int)
        Rows and columns.
    pose : ColumnPose, optional
        Where the lattice lies; without, the cell's first vector lies along x.
    thickness : float
        Å, of a crystal that repeats along the beam; a layer has its own.
    thermal : float
        Root mean square displacement of the atoms along one direction, Å.

    Returns
    -------
    (H, W) array of float32
        Fraction of the beam that reaches the detector.

    Raises
    ------
    InstrumentError
        If the detector collects the direct beam: the image is then coherent.
    """
    check_incoherent(instrument)
    margin = int(np.ceil(_MARGIN / pixel_size))
    field = (shape[0] + 2 * margin, shape[1] + 2 * margin)
    if pose is None:
        positions, index = _along_x(prior, pixel_size, field)
    else:
        positions, index = pose.columns(prior, shape, margin - 1.0)
        positions = positions + margin
    ky = torch.fft.fftfreq(field[0])
    kx = torch.fft.rfftfreq(field[1])
    k = torch.sqrt((ky / pixel_size)[:, None] ** 2 + (kx / pixel_size)[None, :] ** 2)
    motion = torch.exp(-2 * (np.pi * thermal) ** 2 * k**2)
    spectrum = torch.zeros(k.shape, dtype=torch.complex64)
    for focus, kinds in _by_focus(_kinds(prior)).items():
        part = torch.zeros_like(spectrum)
        for kind in kinds:
            places = torch.from_numpy(positions[np.isin(index, kind.columns)]).float()
            part += _structure_factor(places, ky, kx) * _strength(
                kind, prior, instrument, thickness, thermal, k
            )
        if prior.period:
            focus = focus_depth(instrument, thickness)
        lens = replace(instrument, defocus=instrument.defocus - focus)
        spectrum += part * probe_transfer(lens, field, pixel_size)
    image = torch.fft.irfft2(spectrum * motion, s=field).numpy() / pixel_size**2
    image += _background(prior, instrument, thickness)
    inner = image[margin : margin + shape[0], margin : margin + shape[1]]
    return np.ascontiguousarray(np.clip(inner, 0, None), dtype=np.float32)


def check_incoherent(instrument: Instrument) -> None:
    """Refuse a detector that collects the direct beam.

    Parameters
    ----------
    instrument : Instrument

    Raises
    ------
    InstrumentError
        The contrast of bright field and annular bright field comes from interference with the direct
        beam; no sum over columns gives it.
    """
    if instrument.is_coherent:
        raise InstrumentError(
            f"{instrument.name}: the detector from {instrument.detector_inner:g} mrad collects the direct "
            f"beam ({instrument.convergence_semi_angle:g} mrad), which the fast engine cannot do; choose "
            "the multislice engine."
        )


@dataclass(frozen=True)
class _Kind:
    """Columns of a prior that are made of the same atoms at the same depths."""

    columns: tuple[int, ...]
    atoms: tuple[Scatterer, ...]


def _kinds(prior: StructurePrior) -> list[_Kind]:
    found: dict[tuple[Scatterer, ...], list[int]] = {}
    for number, atoms in enumerate(scatterers(prior)):
        found.setdefault(atoms, []).append(number)
    return [_Kind(tuple(columns), atoms) for atoms, columns in found.items()]


def _by_focus(kinds: list[_Kind]) -> dict[float, list[_Kind]]:
    """Group by depth, which is what a lens sees as defocus."""
    top = min(depth for kind in kinds for _, _, depth in kind.atoms)
    groups: dict[float, list[_Kind]] = {}
    for kind in kinds:
        depth = float(np.mean([d for _, _, d in kind.atoms])) - top
        groups.setdefault(_FOCUS_STEP * round(depth / _FOCUS_STEP), []).append(kind)
    return groups


def _structure_factor(places: Tensor, ky: Tensor, kx: Tensor) -> Tensor:
    """Return the spectrum of unit points at (N, 2) pixels (y, x)."""
    one = torch.ones(())
    return torch.polar(one, -2 * torch.pi * torch.outer(ky, places[:, 0])) @ torch.polar(
        one, -2 * torch.pi * torch.outer(places[:, 1], kx)
    )


def _strength(
    kind: _Kind,
    prior: StructurePrior,
    instrument: Instrument,
    thickness: float,
    thermal: float,
    k: Tensor,
) -> Tensor:
    """Return the object function of a column on a grid of frequencies."""
    frequencies = _frequencies(instrument)
    if prior.period:
        repeats = max(1.0, round(thickness / prior.period))
        single = object_function(kind.atoms, instrument, frequencies, thermal=thermal, interfere=False)
        table = single * (repeats * column_gain(kind.atoms, prior.period, instrument, repeats * prior.period))
    else:
        table = object_function(kind.atoms, instrument, frequencies, thermal=thermal)
    # linear interpolation between equidistant frequencies; the probe carries nothing beyond the last
    place = torch.clamp(k / _FREQUENCY_STEP, max=len(frequencies) - 1.001)
    low = place.long()
    values = torch.tensor(table, dtype=torch.float32)
    return values[low] + (place - low) * (values[low + 1] - values[low])


def _background(prior: StructurePrior, instrument: Instrument, thickness: float) -> float:
    """Return what a thick crystal scatters between its columns, in fraction of the beam."""
    if not prior.period:
        return 0.0
    repeats = max(1.0, round(thickness / prior.period))
    columns = scatterers(prior)
    mean = sum(float(object_function(a, instrument, np.zeros(1), interfere=False)[0]) for a in columns)
    part = background(columns, prior.area, prior.period, instrument, repeats * prior.period)
    return part * mean * repeats / prior.area


@lru_cache(maxsize=16)
def _frequencies(instrument: Instrument) -> NDArray[np.float64]:
    last = 2e-3 * instrument.convergence_semi_angle / instrument.wavelength
    return _FREQUENCY_STEP * np.arange(int(np.ceil(last / _FREQUENCY_STEP)) + 2, dtype=np.float64)


def _along_x(
    prior: StructurePrior, pixel_size: float, field: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Lay the cell's first vector along x, the origin in the middle of the field."""
    x, y = prior.cell[0] / np.linalg.norm(prior.cell[0])
    affine = np.array([[-y, x], [x, y]]) / pixel_size
    return lattice_columns(prior, affine, np.array(field) / 2, field, -0.5)
