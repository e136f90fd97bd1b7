"""Micrographs that the shipped network was not made for: other detectors, lenses and materials.

Every domain draws as many 256 × 256 views as are asked for from multislice scans, each turned at random, and
changes what the detector makes of them. No two views share a noise seed, an angle or a place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d, rotate

from benchmarks.validation.scans import SPECIMENS, load
from benchmarks.validation.validation_set import View, as_it_is
from napari_stemprior.atoms import AtomTable
from napari_stemprior.structure import StructurePrior

Image = NDArray[np.float64]
SIDE = 256
#: Share of the mean signal that an uneven film adds.
_FILM = 0.15


@dataclass(frozen=True)
class Domain:
    """A kind of micrograph.

    Parameters
    ----------
    name, summary : str
    specimen : str
        Of `scans.SPECIMENS`.
    pixel_size : float
        Å/px.
    dose : float
        e/Å².
    respond : callable
        Makes what the detector would see without noise of the ideal image (fraction of the beam) and the
        pixel size.
    with_prior : bool
        Whether the person has a prior for it.
    """

    name: str
    summary: str
    specimen: str
    pixel_size: float
    dose: float
    respond: Callable[[Image, float], Image]
    with_prior: bool = True


@dataclass(frozen=True, eq=False)
class Shifted:
    """A micrograph of a domain and its truth; `vacancies` are pixels (y, x)."""

    image: NDArray[np.float32]
    pixel_size: float
    truth: AtomTable
    vacancies: NDArray[np.float64]
    prior: StructurePrior | None


def dark_atoms(image: Image, pixel_size: float) -> Image:
    """Atoms are dark: a bright field, drawn as the complement of what is scattered."""
    soft = gaussian_filter(image, 0.25 / pixel_size)
    return 0.05 * (1.15 - soft / np.quantile(soft, 0.995))


def streaked(image: Image, pixel_size: float) -> Image:
    """A probe with wide tails and a streak along 35 degrees: tilt and astigmatism that nobody corrected."""
    wide = gaussian_filter(image, 0.75 / pixel_size)
    turned = rotate(image, 35, reshape=False, mode="mirror", order=1)
    smeared = gaussian_filter1d(turned, 0.9 / pixel_size, axis=1)
    streak = rotate(smeared, -35, reshape=False, mode="mirror", order=1)
    return 0.25 * image + 0.35 * wide + 0.4 * streak


def as_recorded(image: Image, pixel_size: float) -> Image:
    """Nothing is changed but the material."""
    return image


DOMAINS = {
    domain.name: domain
    for domain in (
        Domain(
            "other detector",
            "dark atoms, as in bright field: WSe2 with vacancies, 3000 e/Å², with its prior",
            "wse2_vacancies",
            0.16,
            3e3,
            dark_atoms,
        ),
        Domain(
            "tilt and blur, no prior",
            "a streaked probe with wide tails: WSe2 with vacancies, 1000 e/Å², without a prior",
            "wse2_vacancies",
            0.16,
            1e3,
            streaked,
            with_prior=False,
        ),
        Domain(
            "tilt and blur, bilayer",
            "the same probe: WSe2 on WSe2 turned by 21.8°, 3000 e/Å², with its prior",
            "wse2_twisted",
            0.14,
            3e3,
            streaked,
        ),
        Domain(
            "unseen material",
            "ReS2, of which the person has no prior, 1000 e/Å²",
            "res2",
            0.14,
            1e3,
            as_recorded,
            with_prior=False,
        ),
    )
}


@cache
def view(name: str, number: int) -> Shifted:
    """Draw one view of a domain, the same every time."""
    domain = DOMAINS[name]
    rng = np.random.default_rng([11, number, *name.encode()])
    known = load(domain.specimen)
    offset = rng.uniform(0, 1, 2) * known.columns.cell
    grid = View(
        domain.pixel_size,
        (SIDE, SIDE),
        float(rng.uniform(0, 360)),
        (float(offset[0]), float(offset[1])),
        0.3,
        float(rng.uniform(0, 6)),
    )
    ideal, truth, empty = as_it_is(known, grid)
    signal = domain.respond(np.clip(ideal, 0, None), domain.pixel_size)
    place, spread = rng.uniform(0, SIDE, 2), rng.uniform(0.3, 0.8) * SIDE
    y, x = np.indices(signal.shape)
    film = np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * spread**2))
    signal = np.clip(signal, 0, None) + _FILM * signal.mean() * film
    counts = rng.poisson(signal * domain.dose * domain.pixel_size**2).astype(np.float32)
    prior = SPECIMENS[domain.specimen].prior_object if domain.with_prior else None
    return Shifted(counts, domain.pixel_size, truth, empty, prior)
