"""The microscope: what decides how a specimen looks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from napari_stemprior.errors import InstrumentError


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

    Raises
    ------
    InstrumentError
        If a setting is not a number, or none that a microscope can have.
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

    def __post_init__(self) -> None:
        for field, label, unit, low, high in _LIMITS:
            value = getattr(self, field)
            try:
                fits = low <= float(value) <= high
            except (TypeError, ValueError):
                fits = False
            if not fits:
                raise InstrumentError(
                    f"{self.name}: the {label} of {value} {unit} is not possible; "
                    f"give one from {low:g} to {high:g} {unit}."
                )
        if not self.detector_inner < self.detector_outer:
            raise InstrumentError(
                f"{self.name}: the detector begins at {self.detector_inner:g} mrad and ends at "
                f"{self.detector_outer:g} mrad; give an inner angle below the outer one."
            )
        if math.isnan(self.dose) or self.dose < 0:
            raise InstrumentError(
                f"{self.name}: the dose of {self.dose} e/Å² is not possible; give 0 (no noise) or more."
            )

    @property
    def wavelength(self) -> float:
        """Relativistic electron wavelength in Å (de Broglie, CODATA 2018 constants)."""
        # lambda = h c / sqrt(E (2 m c^2 + E)) with h c = 12.39842 keV Å, m c^2 = 510.99895 keV
        e = self.beam_energy
        return float(12.3984198 / np.sqrt(e * (2 * 510.99895 + e)))

    @property
    def is_coherent(self) -> bool:
        """Whether the detector collects the direct beam, as bright and annular bright field do."""
        return self.detector_inner < self.convergence_semi_angle


#: Field, its name for a person, unit, least and largest value.
_LIMITS = (
    ("beam_energy", "beam energy", "keV", 10.0, 1500.0),
    ("convergence_semi_angle", "convergence angle", "mrad", 1.0, 100.0),
    ("detector_inner", "inner detector angle", "mrad", 0.0, 500.0),
    ("detector_outer", "outer detector angle", "mrad", 0.0, 500.0),
    ("defocus", "defocus", "Å", -1e5, 1e5),
    ("spherical_aberration", "spherical aberration", "mm", -20.0, 20.0),
    ("source_size", "source size", "Å", 0.0, 50.0),
)

#: Beam energy in keV, aperture in mrad, and the inner and outer angle in mrad of the dark-field detectors.
_MICROSCOPES = (
    (60.0, 30.0, (40.0, 120.0), (70.0, 200.0)),
    (80.0, 30.0, (40.0, 120.0), (70.0, 200.0)),
    (200.0, 22.0, (35.0, 90.0), (70.0, 200.0)),
    (300.0, 22.0, (30.0, 80.0), (60.0, 200.0)),
)


def _presets() -> dict[str, Instrument]:
    presets = {}
    for detector in ("HAADF", "MAADF", "ABF", "BF"):
        for energy, aperture, medium, high in _MICROSCOPES:
            # annular bright field: the outer half of the direct beam (Okunishi et al., Microsc. Microanal.
            # 15 (2009) S2, 164); bright field: its inner third
            angles = {
                "HAADF": high,
                "MAADF": medium,
                "ABF": (aperture / 2, aperture),
                "BF": (0.0, float(round(aperture / 3))),
            }
            name = f"{energy:g} kV {detector}"
            presets[name] = Instrument(name, energy, aperture, *angles[detector])
    return presets


#: Usual settings, by name.
PRESETS: dict[str, Instrument] = _presets()
