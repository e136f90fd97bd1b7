"""Lock the phases of a lattice in over the whole image, and measure its reflections."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.progress import Progress
from napari_stemprior.registration.fourier.features import FourierFeatures
from napari_stemprior.registration.fourier.reflections import Reflections
from napari_stemprior.registration.gpa.phase_refinement import RefinedPhases, refine_phases
from napari_stemprior.structure import StructurePrior


@dataclass(frozen=True, eq=False)
class PhaseLockedLattice:
    """A lattice whose phases are locked over the image; the orientation of its basis is still open.

    Parameters
    ----------
    prior : StructurePrior
    reflections : Reflections
        Of the prior.
    phases : RefinedPhases
        The map, the origin and the fringes, displacement taken out.
    measured : (n,) complex array
        Amplitudes of the reflections, displacement taken out.
    variance : (n,) array
        Their variance from noise alone.
    """

    prior: StructurePrior
    reflections: Reflections
    phases: RefinedPhases
    measured: NDArray[np.complex128]
    variance: NDArray[np.float64]

    @property
    def linear(self) -> NDArray[np.float64]:
        """(2, 2) map from (x, y) in Å of the prior to (y, x) in Å of the image."""
        return self.phases.linear

    @property
    def origin(self) -> NDArray[np.float64]:
        """(2,) Å (y, x) on the image."""
        return self.phases.origin


def lock_in(
    features: FourierFeatures, reflections: Reflections, prior: StructurePrior, linear: NDArray[np.float64]
) -> Generator[Progress, None, PhaseLockedLattice]:
    """Bring the phases of a lattice in line over the whole image, step by step.

    Parameters
    ----------
    features : FourierFeatures
        Of the image.
    reflections : Reflections
        Of the prior.
    prior : StructurePrior
    linear : (2, 2) array
        From (x, y) in Å of the prior to (y, x) in Å of the image, good to a percent or so.
    """
    noise = features.whole.noise(reflections.g @ np.linalg.inv(linear))
    phases = yield from refine_phases(features.transform, reflections, noise, prior, linear)
    measured = phases.values.sum((1, 2))
    places = phases.fringes.places
    step = places[1, 0, 0] * places[0, 1, 1] / features.normalized.pixel_size**2
    measured *= step / phases.fringes.effective / 2  # Gaussian of unit peak sums to 2 pi sigma²
    return PhaseLockedLattice(prior, reflections, phases, measured, noise * features.normalized.image.size)
