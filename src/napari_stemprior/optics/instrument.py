"""The microscope: what decides how a specimen looks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Instrument:
    """Settings of a STEM, with the units that a person reads on the console.

    Parameters
    ----------
    name : str
    beam_energy : float
        keV.
    convergence_semi_angle : float
        mrad.
    detector_inner, detector_outer : float
        Collection semi-angles in mrad.
    defocus : float
        Å; 0 is the entrance surface in focus, positive is underfocus.
    spherical_aberration : float
        Cs in mm.
    source_size : float
        Full width at half maximum of the effective source, Å.
    dose : float
        Electrons per Å².
    """

    name: str = "80 kV HAADF"
    beam_energy: float = 80.0
    convergence_semi_angle: float = 30.0
    detector_inner: float = 70.0
    detector_outer: float = 200.0
    defocus: float = 0.0
    spherical_aberration: float = 0.0
    source_size: float = 0.7
    dose: float = 1e4

    @property
    def wavelength(self) -> float:
        """Relativistic electron wavelength in Å (de Broglie, CODATA 2018 constants)."""
        # lambda = h c / sqrt(E (2 m c^2 + E)) with h c = 12.39842 keV Å, m c^2 = 510.99895 keV
        e = self.beam_energy
        return float(12.3984198 / np.sqrt(e * (2 * 510.99895 + e)))


#: Usual settings, by name.
PRESETS: dict[str, Instrument] = {
    i.name: i
    for i in (
        Instrument("60 kV HAADF", 60, 30, 70, 200),
        Instrument("80 kV HAADF", 80, 30, 70, 200),
        Instrument("200 kV HAADF", 200, 22, 70, 200),
        Instrument("300 kV HAADF", 300, 22, 60, 200),
        Instrument("60 kV MAADF", 60, 30, 40, 120),
        Instrument("80 kV MAADF", 80, 30, 40, 120),
    )
}
