"""How the lattice is displaced from an affine pose, place by place, from the phases of its fringes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter, uniform_filter

from napari_stemprior.registration.gpa.demodulation import Fringes

_TAU = 2 * np.pi


@dataclass(frozen=True, eq=False)
class DisplacementField:
    """A displacement field on the coarse grid of some fringes.

    Parameters
    ----------
    shift : (gy, gx, 2) array
        Å (y, x) from the affine lattice to the image's.
    match : (gy, gx) array
        Agreement with the template at that shift, per pixel; noise gives about 0.
    noise : (gy, gx) array
        Standard deviation of `match` from noise alone.
    error : float
        Expected standard deviation of a component of `shift` from noise, in Å, in the middle of the crystal.
    """

    shift: NDArray[np.float64]
    match: NDArray[np.float64]
    noise: NDArray[np.float64]
    error: float


def templated(
    fringes: Fringes, origin: NDArray[np.float64], noise: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Multiply fringes by the conjugate template, so that phase 0 is the pose.

    Parameters
    ----------
    fringes : Fringes
    origin : (2,) array
        Å (y, x) on the image.
    noise : (n,) array
        Background power of each reflection: noisy reflections count less.
    """
    template = (
        np.conj(fringes.reflections.factor)
        * np.exp(1j * _TAU * (fringes.k @ origin))
        * (noise.mean() / noise)
    )
    return np.asarray(template[:, None, None] * fringes.values)


def coherent_affine(
    fringes: Fringes,
    matched: NDArray[np.complex128],
    centre: NDArray[np.float64],
    radius: float | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the small affine change that brings all fringes of a window in phase.

    Parameters
    ----------
    fringes : Fringes
    matched : (m, gy, gx) complex array
        From `templated`, of the first `m` reflections.
    centre : (2,) array
        Middle of the window in Å (y, x).
    radius : float or None
        Standard deviation of the window in Å; None takes the whole image.

    Returns
    -------
    change : (2, 2) array
        DisplacementField gradient.
    shift : (2,) array
        DisplacementField at the centre in Å (y, x).
    """
    relative = fringes.places - centre
    window = np.ones(relative.shape[:2])
    if radius is not None:
        window = np.exp(-(relative**2).sum(-1) / (2 * radius**2))
    used = window > 0.02
    values = matched[:, used] * window[used]
    places = relative[used]
    reach = float(np.sqrt((places**2).sum(-1).max())) + 1e-9
    design = np.column_stack([np.ones(len(places)), places / reach])  # (p, 3)
    k = fringes.k[: len(values)]
    outer_places = (design[:, :, None] * design[:, None, :]).reshape(-1, 9)  # (p, 9)
    outer_waves = (_TAU**2 * k[:, :, None] * k[:, None, :]).reshape(-1, 4)  # (n, 4)

    def curvature(strength: NDArray[np.float64]) -> NDArray[np.float64]:
        blocks = outer_waves.T @ (strength @ outer_places)  # (4, 9)
        return np.asarray(blocks.reshape(2, 2, 3, 3).transpose(2, 0, 3, 1).reshape(6, 6))

    # A cosine never bends more than its amplitude, so a step with this curvature always climbs.
    # It is slow where noise is strong; Newton's own curvature is tried first.
    safe = curvature(np.abs(values))
    safe += 1e-6 * np.trace(safe) * np.eye(6) + 1e-30 * np.eye(6)
    solution = np.zeros((3, 2))
    turned = values.copy()
    for _ in range(40):
        slope = -_TAU * (design.T @ (turned.imag.T @ k)).ravel()
        steps = [np.linalg.solve(safe, slope)]
        newton = curvature(turned.real)
        if np.linalg.eigvalsh(newton)[0] > 1e-3 * safe.max() * 1e-3:
            steps.insert(0, np.linalg.solve(newton, slope))
        height = float(turned.real.sum())
        for step in steps:
            trial = solution + step.reshape(3, 2)
            turned_trial = values * np.exp(1j * _TAU * (k @ (design @ trial).T))
            if float(turned_trial.real.sum()) > height:
                break
        else:
            break
        solution, turned = trial, turned_trial
        if float(np.abs(step).max()) < 1e-4:
            break
    return solution[1:].T / reach, solution[0]


def seed(matched: NDArray[np.complex128]) -> tuple[int, int]:
    """Return the place whose surroundings agree best with the template."""
    local = np.maximum(matched.real.sum(0), 0)
    smooth = gaussian_filter(local, 1.0, mode="constant")
    i, j = np.unravel_index(int(smooth.argmax()), smooth.shape)
    return int(i), int(j)


def track(
    fringes: Fringes, matched: NDArray[np.complex128], noise: NDArray[np.float64], *, smooth: float = 0.0
) -> DisplacementField:
    """Follow the phases from the best place outwards.

    Parameters
    ----------
    fringes : Fringes
    matched : (n, gy, gx) complex array
        From `templated`.
    noise : (n,) array
        Background power of each reflection.
    smooth : float
        Further Gaussian width in Å; the window is then sqrt(width² + smooth²).
    """
    area, effective = fringes.area, fringes.effective
    if smooth > 0:
        step = np.array([fringes.places[1, 0, 0], fringes.places[0, 1, 1]])
        sigma = smooth / step
        matched = gaussian_filter(matched, (0, *sigma), mode="constant", truncate=3.0)
        area = gaussian_filter(area, tuple(sigma), mode="constant", truncate=3.0)
        # the blur keeps the sum, so pixels per value stay and the noise falls with the wider window
        effective = effective * fringes.width**2 / (fringes.width**2 + smooth**2)
    k = fringes.k
    gain = np.abs(fringes.reflections.factor) ** 2 * noise.mean() / noise  # |template|² x noise power
    variance = 0.5 * noise.mean() * effective * gain
    outer = _TAU**2 * k[:, :, None] * k[:, None, :]

    def newton(u: NDArray[np.float64], c: NDArray[np.complex128], rounds: int) -> NDArray[np.float64]:
        # u (p, 2), c (n, p)
        curvature = np.einsum("np,nab->pab", np.abs(c), outer)
        curvature += 1e-3 * np.trace(curvature, axis1=1, axis2=2)[:, None, None] * np.eye(2) + 1e-12 * np.eye(
            2
        )
        for _ in range(rounds):
            slope = -_TAU * (np.imag(c * np.exp(1j * _TAU * (k @ u.T))).T @ k)
            move = np.linalg.solve(curvature, slope[..., None])[..., 0]
            u = u + np.clip(move, -0.3, 0.3)
        return u

    shape = area.shape
    shift = np.zeros((*shape, 2))
    known = np.zeros(shape, dtype=bool)
    match = np.zeros(shape)
    start = seed(matched)
    known[start] = True
    shift[start] = newton(np.zeros((1, 2)), matched[:, start[0], start[1]][:, None], 6)[0]

    def value(u: NDArray[np.float64], c: NDArray[np.complex128]) -> NDArray[np.float64]:
        return np.asarray((c * np.exp(1j * _TAU * (k @ u.T))).real.sum(0))

    match[start] = value(shift[start][None], matched[:, start[0], start[1]][:, None])[0]
    cross = np.ones((3, 3), dtype=bool)
    while not known.all():
        front = binary_dilation(known, cross) & ~known
        # a neighbour counts by how well it agrees; a hole hands the field through, unchanged
        trust = np.where(known, np.maximum(match, 0) + 1e-6 * match[start], 0)
        total = uniform_filter(trust, 3, mode="constant")
        guess = np.stack([uniform_filter(trust * shift[..., a], 3, mode="constant") for a in (0, 1)], -1)
        guess = guess[front] / total[front][:, None]
        c = matched[:, front]
        u = newton(guess, c, 3)
        # where nothing is seen, phases are noise: stay with the neighbours
        agreed = value(u, c)
        strength = agreed / (agreed + 3 * np.sqrt(variance.sum()) + 0.2 * match[start] + 1e-30)
        strength = np.clip(strength * 1.25, 0, 1)[:, None]
        shift[front] = guess + strength * (u - guess)
        match[front] = agreed
        known |= front

    pixels = np.maximum(area, 1e-9)
    per_pixel = match / pixels
    sigma_match = np.sqrt(variance.sum()) / pixels * np.sqrt(np.clip(area / area.max(), 0, 1))
    error = _error(k, matched, shift, match, variance, outer)
    return DisplacementField(shift, per_pixel, sigma_match, error)


def field_affine(
    fringes: Fringes, field: DisplacementField, centre: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the affine part of a displacement field.

    Parameters
    ----------
    fringes : Fringes
    field : DisplacementField
        Followed on the grid of the fringes.
    centre : (2,) array
        Å (y, x).

    Returns
    -------
    change : (2, 2) array
        DisplacementField gradient.
    shift : (2,) array
        DisplacementField at the centre in Å (y, x).
    """
    weight = np.sqrt(np.maximum(field.match, 0) * fringes.area).ravel()
    places = (fringes.places - centre).reshape(-1, 2)
    design = np.column_stack([np.ones(len(places)), places])
    solution = np.linalg.lstsq(
        design * weight[:, None], field.shift.reshape(-1, 2) * weight[:, None], rcond=None
    )[0]
    return np.asarray(solution[1:].T), np.asarray(solution[0])


def match_at(
    fringes: Fringes,
    matched: NDArray[np.complex128],
    shift: NDArray[np.float64],
    noise: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Agreement per pixel with the template at a given displacement, and its noise.

    Parameters
    ----------
    fringes : Fringes
    matched : (n, gy, gx) complex array
        From `templated`.
    shift : (gy, gx, 2) array
        Å (y, x).
    noise : (n,) array
        Background power of each reflection.

    Returns
    -------
    match, deviation : (gy, gx) arrays
    """
    turned = matched * np.exp(1j * _TAU * np.einsum("na,yxa->nyx", fringes.k, shift))
    gain = np.abs(fringes.reflections.factor) ** 2 * noise.mean() / noise
    variance = 0.5 * noise.mean() * fringes.effective * gain.sum()
    # near a border the window holds fewer pixels
    share = np.sqrt(np.clip(fringes.area / fringes.area.max(), 0.05, 1))
    pixels = np.maximum(fringes.area, 0.05 * fringes.area.max())
    return turned.real.sum(0) / pixels, np.sqrt(variance) * share / pixels


def _error(
    k: NDArray[np.float64],
    matched: NDArray[np.complex128],
    shift: NDArray[np.float64],
    match: NDArray[np.float64],
    variance: NDArray[np.float64],
    outer: NDArray[np.float64],
) -> float:
    """Standard deviation in Å of a component of the shift, in the typical good place."""
    good = match >= np.median(match)
    turned = (matched[:, good] * np.exp(1j * _TAU * (k @ shift[good].T))).real.mean(1)
    curvature = np.einsum("n,nab->ab", np.maximum(turned, 0), outer)
    scatter = np.einsum("n,nab->ab", variance, outer)
    trace = float(np.trace(curvature))
    if trace <= 0:
        return float("inf")
    inverse = np.linalg.inv(curvature + 1e-6 * trace * np.eye(2))
    return float(np.sqrt(np.trace(inverse @ scatter @ inverse) / 2))
