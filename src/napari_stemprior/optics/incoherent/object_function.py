"""How strongly and how narrowly a column scatters into a detector.

An annular detector turns a column into an incoherent object: the image is the probe intensity convolved
with an object function (Nellist and Pennycook, Ultramicroscopy 78 (1999) 111). Its Fourier transform

    O(Q) = integral of D(k) F(k - Q/2) F*(k + Q/2) d²k

follows from the amplitude F that the atoms scatter, so the weight of an element, and how sharp it
looks, depend on the detector and the beam energy and need no fitted power of Z. The amplitude is that of
a phase object, exp(i phase) - 1, which heavy atoms at low voltage need in place of Born's first order.
D(k) is the part of the convergent beam that a deflection by k brings onto the detector: its edges are
as soft as the aperture is wide.
"""

from __future__ import annotations

import csv
from functools import cache, lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from scipy.special import j0, k0, k1

from napari_stemprior.optics.instrument import Instrument
from napari_stemprior.structure.elements import SYMBOLS

#: Root mean square displacement of an atom along one direction in Å at room temperature.
THERMAL_DISPLACEMENT = 0.08
# keV; rest energy of the electron
_REST_ENERGY = 510.99895
# Å: beyond, an atom deflects nothing to the angles of a detector
_ATOM_RADIUS = 8.0

#: One atom of a column: atomic number, occupancy, depth in Å.
Scatterer = tuple[int, float, float]


def object_function(
    atoms: tuple[Scatterer, ...],
    instrument: Instrument,
    frequencies: NDArray[np.float64],
    *,
    thermal: float = THERMAL_DISPLACEMENT,
    interfere: bool = True,
) -> NDArray[np.float64]:
    """Return the transfer function of a column of atoms in one line.

    Parameters
    ----------
    atoms : tuple of (int, float, float)
        Atomic number, occupancy and depth in Å of each.
    instrument : Instrument
        Beam energy and detector.
    frequencies : (M,) array
        Q in 1/Å.
    thermal : float
        Root mean square displacement of each atom along one direction, Å.
    interfere : bool
        Let the atoms interfere along the beam, as the few atoms of a layer do, as far as their motion
        leaves them in phase. Without, each atom scatters for itself, as in a thick crystal.

    Returns
    -------
    (M,) array
        Å²; at Q = 0 the cross-section of the column. The motion across the beam is not in it.
    """
    return _object_function(
        atoms,
        instrument.beam_energy,
        instrument.wavelength,
        instrument.convergence_semi_angle,
        instrument.detector_inner,
        instrument.detector_outer,
        tuple(np.round(np.asarray(frequencies, float), 6).tolist()),
        thermal,
        interfere,
    )


@lru_cache(maxsize=512)
def _object_function(
    atoms: tuple[Scatterer, ...],
    energy: float,
    wavelength: float,
    convergence: float,
    inner: float,
    outer: float,
    frequencies: tuple[float, ...],
    thermal: float,
    interfere: bool,
) -> NDArray[np.float64]:
    low, high, aperture = (1e-3 * angle / wavelength for angle in (inner, outer, convergence))
    nodes, weights = np.polynomial.legendre.leggauss(60)
    start, stop = max(0.0, low - aperture), high + aperture
    k = 0.5 * (stop - start) * nodes + 0.5 * (stop + start)
    azimuth = (np.arange(12) + 0.5) * (np.pi / 12)  # the other half circle is its mirror image
    q = np.array(frequencies)[:, None, None]
    # the beams that interfere at Q fill the overlap of two apertures, taken as a disc of the same area
    radius = np.maximum(np.sqrt(_overlap(aperture, aperture, q[:, 0]) / np.pi), 0.05 * aperture)
    seen = (_overlap(high, radius, k) - _overlap(low, radius, k)) / (np.pi * radius**2)
    area = 0.5 * (stop - start) * weights * k * (2 * np.pi / 12) * seen
    along, across = (k[:, None] * f(azimuth) for f in (np.cos, np.sin))
    minus = np.hypot(along - q / 2, across)
    plus = np.hypot(along + q / 2, across)
    spread = np.exp(-4 * (np.pi * thermal) ** 2 * (k**2)[:, None])

    scattered = {z: (_at(z, energy, minus), _at(z, energy, plus).conj()) for z, _, _ in atoms}
    total = np.zeros(minus.shape)
    for one, (z, part, depth) in enumerate(atoms):
        left, right = scattered[z]
        total += part * (left * right).real
        for other_z, other_part, other_depth in atoms[:one] if interfere else ():
            if (delay := abs(depth - other_depth)) > 1e-3:  # else alternatives on one site
                phase = np.exp(1j * np.pi * wavelength * delay * (k**2)[:, None])
                cross = left * scattered[other_z][1] * phase + scattered[other_z][0] * right * phase.conj()
                total += part * other_part * spread * cross.real
    result: NDArray[np.float64] = (total.sum(axis=-1) * area).sum(axis=-1)
    result.setflags(write=False)
    return result


@cache
def _amplitude(atomic_number: int, energy: float) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """Return q in 1/Å and the amplitude in Å² that one atom scatters out of a plane wave at `energy` keV."""
    a, b = _scattering_factor(atomic_number)
    # distances lie densely where the potential is steep
    x = (np.arange(1600) + 0.5) / 1600
    r, step = _ATOM_RADIUS * x**3, 3 * _ATOM_RADIUS * x**2 / 1600
    reduced = 2 * np.pi * r[:, None] / np.sqrt(b)
    # the two-dimensional Fourier transform of the scattering factor
    potential = (2 * np.pi * a / b * (k0(reduced) + 0.5 * reduced * k1(reduced))).sum(axis=1)
    wavelength = Instrument(beam_energy=energy).wavelength
    phase = wavelength * (1 + energy / _REST_ENERGY) * potential
    q = np.linspace(0, 12.0, 600)
    bessel = j0(2 * np.pi * q[:, None] * r)
    return q, bessel @ (2 * np.pi * np.expm1(1j * phase) * r * step)


def _overlap(
    radius: float, other: float | NDArray[np.float64], distance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the area that two discs share."""
    other = np.maximum(other, 1e-3)
    d = np.clip(distance, np.abs(radius - other) + 1e-9, radius + other)
    first = np.arccos(np.clip((d**2 + radius**2 - other**2) / (2 * d * radius), -1, 1))
    second = np.arccos(np.clip((d**2 + other**2 - radius**2) / (2 * d * other), -1, 1))
    kite = (radius + other - d) * (d + radius - other) * (d - radius + other) * (d + radius + other)
    area = radius**2 * first + other**2 * second - 0.5 * np.sqrt(np.maximum(0, kite))
    return np.asarray(np.where(distance >= radius + other, 0.0, area))


def _at(atomic_number: int, energy: float, q: NDArray[np.float64]) -> NDArray[np.complex128]:
    grid, amplitude = _amplitude(atomic_number, energy)
    return np.interp(q, grid, amplitude.real) + 1j * np.interp(q, grid, amplitude.imag)


def _scattering_factor(atomic_number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    row = _table()[SYMBOLS[atomic_number]]
    return row[:5], row[5:]


@cache
def _table() -> dict[str, NDArray[np.float64]]:
    text = files("napari_stemprior.optics").joinpath("scattering_factors.csv").read_text(encoding="utf-8")
    rows = csv.reader(line for line in text.splitlines() if not line.startswith(("#", "element")))
    return {row[0]: np.array(row[1:], dtype=np.float64) for row in rows}
