"""What a thick crystal does to the probe, in a few numbers.

On its way along a column the probe is first drawn in, then scattered away and spread; what has left the
columns lights up all of them. The exact account is multislice. Here two smooth laws stand for it, whose
numbers were fitted once to multislice (200 kV, 22 mrad, 70-150 mrad, frozen phonons) of SrTiO3 [001],
Si [110] and Au [100] at 20, 50, 100 and 200 Å; they meet the strengths of the columns there within some
10 % and the background within 4 % of the mean. ``benchmarks/optics/engines.py`` says how well they do.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.optics.incoherent.object_function import Scatterer, object_function
from napari_stemprior.optics.instrument import Instrument

# Loss along a column: per Å of geometric spreading, and per Å² of cross-section for each Å of column.
_SPREADING, _LOSS = 0.68, 1.93
# How much a column draws the probe in, and over how many Å.
_FOCUSING, _FOCUSING_DEPTH = 80.0, 60.0
# The same for the background, which depends on the crystal as a whole.
_BACKGROUND_SPREADING, _BACKGROUND_LOSS, _BACKGROUND = 0.82, 7.8, 1.18

# Depth in which the crystal is seen in focus: half its thickness, four tenths of the depth of focus at most.
_FOCUS = 0.4

_STEPS = (np.arange(100) + 0.5) / 100


def column_gain(
    atoms: tuple[Scatterer, ...], period: float, instrument: Instrument, thickness: float
) -> float:
    """Return how much of its kinematic intensity a column of a crystal shows above the background.

    Parameters
    ----------
    atoms : tuple of (int, float, float)
        Of one repeat.
    period : float
        Å.
    instrument : Instrument
    thickness : float
        Å.
    """
    strength = _cross_section(atoms, instrument) / period
    z = _STEPS * thickness
    drawn_in = 1 + _FOCUSING * np.sqrt(strength) * _rise(z)
    return float(np.mean(drawn_in * np.exp(-(_SPREADING * _spread(instrument) + _LOSS * strength) * z)))


def focus_depth(instrument: Instrument, thickness: float) -> float:
    """Return the depth in Å at which a crystal wants its focus; deeper, its columns guide the probe.

    Parameters
    ----------
    instrument : Instrument
    thickness : float
        Å.
    """
    return min(0.5 * thickness, _FOCUS / _spread(instrument))


def background(
    columns: list[tuple[Scatterer, ...]], area: float, period: float, instrument: Instrument, thickness: float
) -> float:
    """Return the uniform background of a crystal in units of its mean kinematic intensity.

    Parameters
    ----------
    columns : list of tuples of (int, float, float)
        The atoms of each column of one cell.
    area : float
        Å² of the cell.
    period : float
        Å.
    instrument : Instrument
    thickness : float
        Å.
    """
    density = sum(_cross_section(atoms, instrument) for atoms in columns) / (area * period)
    rate = _BACKGROUND_SPREADING * _spread(instrument) + _BACKGROUND_LOSS * density
    return float(_BACKGROUND * np.mean(1 - np.exp(-((rate * _STEPS * thickness) ** 2))))


def _rise(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 - np.exp(-z / _FOCUSING_DEPTH)


def _spread(instrument: Instrument) -> float:
    """1/Å; the inverse depth of focus."""
    return (1e-3 * instrument.convergence_semi_angle) ** 2 / instrument.wavelength


def _cross_section(atoms: tuple[Scatterer, ...], instrument: Instrument) -> float:
    """Å²; of scattering out of the probe."""
    aperture = instrument.convergence_semi_angle
    out = replace(instrument, detector_inner=aperture, detector_outer=10 * aperture)
    single = [object_function(((z, part, 0.0),), out, np.zeros(1)) for z, part, _ in atoms]
    return float(sum(s[0] for s in single))
