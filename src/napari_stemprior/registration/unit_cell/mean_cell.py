"""The mean unit cell of an image: its fringes brought in phase through strain and summed over all cells.

Unit-cell averaging with the displacement taken out by geometric phase analysis. Of N cells the mean has N
times the dose of one, so it shows columns that no single cell does.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.progress import Progress
from napari_stemprior.registration.fourier.features import FourierFeatures
from napari_stemprior.registration.fourier.lattice_search import LatticeCandidate, refine_power
from napari_stemprior.registration.fourier.power_spectrum import PowerSpectrum
from napari_stemprior.registration.fourier.reflections import (
    MOST_REFLECTIONS,
    Reflections,
    reflections_of,
)
from napari_stemprior.registration.gpa.demodulation import Fringes, demodulate
from napari_stemprior.registration.gpa.phase_refinement import (
    WIDTH,
    RefinedPhases,
    local_amplitudes,
    refine_phases_from,
    strongest_place,
)
from napari_stemprior.registration.unit_cell.reciprocal_basis import ReciprocalBasis

Floats = NDArray[np.float64]

#: Å (x, y) to Å (y, x): the cell lies on the image as it was found.
_AS_FOUND = np.array([[0.0, 1.0], [1.0, 0.0]])
#: Amplitude over the strongest from which on a reflection takes part in bringing the phases in line.
_FAINT = 0.02
#: Agreement with the template, over the usual, below which a place shows no lattice.
_SEEN = 0.3
#: Sine of the angle between two wave vectors from which on one lies across the other.
_ACROSS = 0.1


@dataclass(frozen=True, eq=False)
class SeenLattice:
    """A lattice followed over an image.

    Parameters
    ----------
    features : FourierFeatures
        Of the image.
    spectrum : PowerSpectrum
        That the noise is taken from.
    cell : (2, 2) array
        Rows are the vectors (x, y) in Å.
    phases : RefinedPhases
        Where it lies, and its displacement.
    weight : (gy, gx) array
        From 0 to 1 how well it is seen at the places of the fringes.
    """

    features: FourierFeatures
    spectrum: PowerSpectrum
    cell: Floats
    phases: RefinedPhases
    weight: Floats

    def amplitudes(self, g: Floats, weight: Floats | None = None) -> tuple[NDArray[np.complex128], Floats]:
        """Average waves over all cells, with the displacement taken out.

        Parameters
        ----------
        g : (n, 2) array
            Wave vectors (x, y) of the lattice in cycles per Å.
        weight : (gy, gx) array, optional
            By default that of the lattice.

        Returns
        -------
        amplitude : (n,) complex array
            Of a pixel of the normalised image.
        variance : (n,) array
            Of noise alone.
        """
        fringes = demodulate(self.features.transform, plain(g), self.phases.linear, WIDTH)
        weight = self.weight if weight is None else weight
        shift = self.phases.displacement.shift + self.phases.origin
        waves = np.exp(2j * np.pi * np.einsum("na,yxa->nyx", fringes.k, shift))
        pixels = max(float((fringes.area * weight).sum()), 1e-9)
        total: NDArray[np.complex128] = (fringes.values * waves * weight).sum((1, 2))
        # values of neighbouring places overlap: their sum has the variance of the pixels below the weight
        apart = _pixels_apart(fringes, self.features)
        spread = float((weight**2).sum()) * (2 * fringes.effective) ** 2 / apart
        return total / pixels, self.spectrum.noise(fringes.k) * spread / pixels**2


@dataclass(frozen=True, eq=False)
class MeanCell:
    """The mean of all unit cells of an image.

    Parameters
    ----------
    cell : (2, 2) array
        Rows are the vectors (x, y) in Å.
    hk : (n, 2) array of int
        Indices of its reflections, one of each Friedel pair, to the resolution of the image.
    amplitude : (n,) complex array
        Of a pixel of the normalised image.
    variance : (n,) array
        Of the amplitudes from noise alone.
    coherence : float
        Whether the fringes are strong in the same places, 0 to 1.
    cells : float
        How many cells were averaged.
    """

    cell: Floats
    hk: NDArray[np.int64]
    amplitude: NDArray[np.complex128]
    variance: Floats
    coherence: float
    cells: float

    @property
    def g(self) -> Floats:
        """(n, 2) wave vectors (x, y) in cycles per Å."""
        return np.asarray(self.hk @ np.linalg.inv(self.cell).T)

    @property
    def crossed(self) -> float:
        """Amplitude of the strongest reflection across the strongest one, over that one's, 0 to 1.

        Columns make fringes in several directions; what makes them in one alone are planes.
        """
        strength, g = np.abs(self.amplitude), self.g
        if not strength.any():
            return 0.0
        first = g[int(np.argmax(strength))]
        sine = np.abs(g[:, 0] * first[1] - g[:, 1] * first[0]) / np.linalg.norm(g, axis=1)
        across = sine > _ACROSS * float(np.linalg.norm(first))
        return float(strength[across].max(initial=0.0) / strength.max())

    def drawn(self, side: int, pixel_size: float) -> Floats:
        """Draw the cell many times beside itself, what may be noise taken off (Wiener).

        Parameters
        ----------
        side : int
            Pixels.
        pixel_size : float
            Å/px.

        Returns
        -------
        (side, side) array
            Rows along y; the origin of the cell is the first pixel.
        """
        kept = np.clip(1 - self.variance / np.maximum(np.abs(self.amplitude) ** 2, 1e-30), 0, 1)
        axis = np.arange(side) * pixel_size
        along_x, along_y = (np.exp(2j * np.pi * self.g[:, a, None] * axis) for a in (0, 1))
        return np.asarray(2 * (((self.amplitude * kept)[:, None] * along_y).T @ along_x).real)


def follow_basis(features: FourierFeatures, basis: ReciprocalBasis) -> Generator[Progress, None, SeenLattice]:
    """Follow the lattice of a basis over an image, through strain and where it is seen, step by step.

    Its own amplitudes in one window, phases and all, are the template.

    Parameters
    ----------
    features : FourierFeatures
        Of the image.
    basis : ReciprocalBasis
    """
    spectrum, cell = basis.spectrum, basis.cell
    _, g = reflections_of(cell, features.resolution)
    k = g @ np.linalg.inv(_AS_FOUND)
    seen = np.sqrt(np.maximum(spectrum.at(k) - 1, 0) * spectrum.noise(k))
    order = np.argsort(-seen, kind="stable")[:MOST_REFLECTIONS]
    order = order[seen[order] > _FAINT * seen[order[0]]]
    strong = plain(g[order], seen[order].astype(complex) / max(float(seen[order[0]]), 1e-30))
    start = refine_power(
        spectrum, strong, LatticeCandidate(_AS_FOUND, 1.0, 1.0), strain=0.004, evaluations=110
    )
    fringes = demodulate(features.transform, strong, start.linear, WIDTH)
    middle = strongest_place(fringes) if basis.centre is None else basis.centre
    local = local_amplitudes(fringes, middle)
    template = plain(g[order], local / max(float(np.abs(local).max()), 1e-30))
    noise = spectrum.noise(fringes.k)
    placed = start.linear, np.zeros(2)
    phases = yield from refine_phases_from(features.transform, template, noise, middle, placed)
    match = phases.displacement.match
    weight = np.clip(match / max(float(np.percentile(match, 90)), 1e-12), 0, 1)
    return SeenLattice(features, spectrum, cell, phases, weight * (weight > _SEEN))


def average_cells(seen: SeenLattice, cell: Floats) -> MeanCell:
    """Average the unit cells of a lattice that was followed over an image.

    Parameters
    ----------
    seen : SeenLattice
    cell : (2, 2) array
        The cell of the lattice, or a larger one of it; rows are the vectors (x, y) in Å.
    """
    hk, g = reflections_of(cell, seen.features.resolution)
    amplitude, variance = seen.amplitudes(g)
    normalized = seen.features.normalized
    area = float(seen.weight.mean()) * float(np.prod(normalized.extent))
    return MeanCell(
        cell, hk, amplitude, variance, seen.phases.coherence, area / abs(float(np.linalg.det(cell)))
    )


def plain(g: Floats, factor: NDArray[np.complex128] | None = None) -> Reflections:
    """Return waves of (n, 2) vectors that no structure has named, all alike without factors."""
    factor = np.ones(len(g), complex) if factor is None else factor
    return Reflections(np.zeros((len(g), 2), np.int64), g, factor, factor[None])


def _pixels_apart(fringes: Fringes, features: FourierFeatures) -> float:
    """Return how many pixels lie between a place of the fringes and the next ones."""
    step = fringes.places[1, 0, 0] * fringes.places[0, 1, 1]
    return float(step / features.normalized.pixel_size**2)
