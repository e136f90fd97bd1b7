"""Place the lattice of a prior on an image."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration.brightness import brightness, log_likelihood
from napari_stemprior.registration.demodulation import match_origin
from napari_stemprior.registration.diagnosis import reservations
from napari_stemprior.registration.lattice_search import (
    Lattice,
    refine_power,
    same_lattice,
    sweep,
)
from napari_stemprior.registration.phase_locking import refine_phases, rotated
from napari_stemprior.registration.pose import Pose
from napari_stemprior.registration.reciprocal import Nodes, has_mirror, lattice_symmetries, nodes
from napari_stemprior.registration.score import Evidence, evidence, explained_power
from napari_stemprior.registration.spectrum import (
    NormalizedImage,
    check_pixel_size,
    prepared_image,
    preprocess,
)
from napari_stemprior.registration.superlattice import superlattice_share
from napari_stemprior.registration.view import View, view
from napari_stemprior.structure import StructurePrior
from napari_stemprior.structure.periodic import image_distance

#: Scales that the sweep tries: pixel sizes in files are often 5 % off.
SCALES = np.geomspace(0.935, 1.07, 11)
#: Scales that are tried where the lattice fits at none of these. Calibrations of real files were up to 12 %
#: off.
FAR_SCALES = np.concatenate([np.geomspace(0.825, 0.922, 9), np.geomspace(1.085, 1.21, 9)])
#: Lattices that are carried from the power to the phases.
LATTICES = 3
#: A lattice whose nodes have less than this share of the best one's log power is not carried on.
_WEAK = 0.3
#: A placement with a lower vote is not asked how bright its columns are.
_HOPELESS = 0.02
#: Votes that are excused later: a second grain need not explain all, a pixel size may be unknown.
_EXCUSABLE = ("explained", "scale")


@dataclass(frozen=True, eq=False)
class Placement:
    """A pose in Å on the flattened image, with what speaks for it."""

    linear: NDArray[np.float64]
    origin: NDArray[np.float64]
    evidence: Evidence


def register(
    image: ArrayLike | PreparedImage, pixel_size: float, prior: StructurePrior, *, candidates: int = 4
) -> list[Pose]:
    """Find how the lattice of a prior lies on an image.

    Parameters
    ----------
    image : (H, W) array-like, or PreparedImage
        Atom columns bright. An array is prepared first, see `recording.prepare`.
    pixel_size : float
        Å per pixel. Up to 6 % off is borne, and up to 20 % where the lattice says so beyond doubt, with a
        reservation; so are 8 % of difference between two directions.
    prior : StructurePrior
    candidates : int
        How many poses to return at most; they differ in lattice, rotation, or mirror.

    Returns
    -------
    list of Pose
        Best first, at least one. `Pose.is_fit` tells whether it is a fit at all.

    Raises
    ------
    MicrographError
        If the image is not 2-D, not of real numbers, or constant.
    RegistrationError
        If it is too small.
    PixelSizeError
        If the pixel size is not positive, or shows less than three unit cells,
        or less than three pixels a unit cell.
    """
    array = prepared_image(image)
    size = check_pixel_size(array.shape, pixel_size, prior)
    flat = preprocess(array, size)
    return [to_pose(p, flat, prior) for p in register_placements(flat, prior)[: max(1, candidates)]]


def register_placements(flat: NormalizedImage, prior: StructurePrior) -> list[Placement]:
    """Register a flattened image; every placement, best first. See `register`."""
    return register_view(view(flat), prior)


def register_view(seen: View, prior: StructurePrior) -> list[Placement]:
    """Register an image that is made ready; every placement, best first.

    Where the lattice does not fit near the stated pixel size, pixel sizes up to 20 % off are tried.
    """
    near = _placed_at(seen, prior, SCALES)
    if near[0].evidence.score > 0.5:
        return near
    far = _placed_at(seen, prior, FAR_SCALES)
    return ranked(near + far) if far[0].evidence.score > 0.5 else near


def _placed_at(seen: View, prior: StructurePrior, scales: NDArray[np.float64]) -> list[Placement]:
    found = nodes(prior, seen.resolution)
    lattices = find_lattices(seen, found, prior, scales)
    groups: list[list[Placement]] = []
    for lattice in lattices[:LATTICES]:
        if lattice.value < _WEAK * lattices[0].value:
            break
        groups.append(place(seen, found, prior, lattice.linear))
    return ranked(_excused(groups, seen, prior))


def _excused(groups: list[list[Placement]], seen: View, prior: StructurePrior) -> list[Placement]:
    """Ask a further lattice to explain only what those that fit leave over: it may be a small grain."""
    groups = sorted((ranked(group) for group in groups), key=lambda group: -group[0].evidence.score)
    rest, several = seen.peaks, False
    judged: list[Placement] = []
    for group in groups:
        if several and len(rest.k):
            share = explained_power(rest, group[0].linear, prior)
            group = ranked([replace(p, evidence=replace(p.evidence, explained=share)) for p in group])
        judged += group
        if group[0].evidence.score > 0.5:
            rest, several = rest.without(group[0].linear, prior), True
    return judged


def ranked(placements: list[Placement]) -> list[Placement]:
    """Sort placements, best first; of like scores the one with more signal, so a larger grain."""
    return sorted(placements, key=lambda p: (-round(p.evidence.score, 2), -p.evidence.significance))


def find_lattices(
    seen: View, found: Nodes, prior: StructurePrior, scales: NDArray[np.float64]
) -> list[Lattice]:
    """Sweep, refine and merge: different lattices, best first."""
    mirrors = (False,) if has_mirror(prior) else (False, True)
    refined: list[Lattice] = []
    for start in sweep(seen.blurred, found, scales, mirrors=mirrors):
        lattice = refine_power(seen.blurred, found, start, strain=0.012, evaluations=70)
        if not any(same_lattice(lattice.linear, other.linear, prior.cell) for other in refined):
            refined.append(lattice)
    refined.sort(key=lambda lattice: -lattice.value)
    sharp: list[Lattice] = []
    for lattice in refined[: 2 * LATTICES]:
        better = refine_power(seen.whole, found, lattice, strain=0.004, evaluations=110)
        if not any(same_lattice(better.linear, other.linear, prior.cell) for other in sharp):
            sharp.append(better)
    sharp.sort(key=lambda lattice: -lattice.value)
    return sharp


def place(seen: View, found: Nodes, prior: StructurePrior, linear: NDArray[np.float64]) -> list[Placement]:
    """Lock the phases over the whole image and find the origin of every orientation of the basis."""
    locked = lock(seen, found, prior, linear)
    placements: list[Placement] = []
    for symmetry in lattice_symmetries(prior):
        placement = locked.placement(symmetry)
        if not any(_equivalent(placement, other, prior) for other in placements):
            placements.append(placement)
    return placements


@dataclass(frozen=True, eq=False)
class Locked:
    """A lattice whose phases are locked over the image; the orientation of its basis is still open.

    Parameters
    ----------
    prior : StructurePrior
    nodes : Nodes
    linear, origin : (2, 2), (2,) array
        Å (y, x) on the image.
    measured : (n,) complex array
        Amplitudes at the nodes, displacement taken out.
    variance : (n,) array
        Their variance from noise alone.
    explained, beyond, together, extent : float
        See `Evidence`.
    """

    prior: StructurePrior
    nodes: Nodes
    linear: NDArray[np.float64]
    origin: NDArray[np.float64]
    measured: NDArray[np.complex128]
    variance: NDArray[np.float64]
    explained: float
    beyond: float
    together: float
    extent: float

    def placement(self, symmetry: NDArray[np.float64]) -> Placement:
        """Turn the basis by a symmetry of the lattice and find its origin."""
        turned = rotated(self.nodes, self.prior, self.measured, symmetry)
        fraction, _ = match_origin(self.nodes, turned / self.variance, self.prior.cell)
        inner = self.linear @ symmetry
        proof = evidence(
            self.nodes,
            turned,
            self.variance,
            fraction,
            inner,
            self.explained,
            self.beyond,
            self.together,
            self.extent,
        )
        if not _hopeless(proof):
            turned = turned * np.exp(2j * np.pi * (self.nodes.hk @ fraction))
            columns = brightness(self.prior, self.nodes, turned, self.variance)
            likely = log_likelihood(self.prior, self.nodes, turned, self.variance)
            proof = replace(proof, brightness=columns, log_likelihood=likely)
        return Placement(inner, self.origin + inner @ (fraction @ self.prior.cell), proof)


def _hopeless(proof: Evidence) -> bool:
    """Tell whether a placement is refused whatever its columns look like."""
    return min(vote for name, vote in proof.votes.items() if name not in _EXCUSABLE) < _HOPELESS


def lock(seen: View, found: Nodes, prior: StructurePrior, linear: NDArray[np.float64]) -> Locked:
    """Bring the phases of a lattice in line over the whole image."""
    demodulator = seen.demodulator
    noise = seen.whole.noise(found.g @ np.linalg.inv(linear))
    best = refine_phases(demodulator, found, noise, prior, linear)
    measured = best.values.sum((1, 2))
    places = best.fringes.places
    step = places[1, 0, 0] * places[0, 1, 1] / demodulator.flat.pixel_size**2
    measured *= step / best.fringes.effective / 2  # Gaussian of unit peak sums to 2 pi sigma²
    explained = explained_power(seen.peaks, best.linear, prior)
    pixels = demodulator.flat.image.size
    extent = float(np.sqrt(np.prod(demodulator.flat.extent)))
    shift = best.displacement.shift + best.origin
    beyond = superlattice_share(seen, prior, best.fringes, best.values, shift, best.displacement.match)
    return Locked(
        prior,
        found,
        best.linear,
        best.origin,
        measured,
        noise * pixels,
        explained,
        beyond,
        best.together,
        extent,
    )


def _equivalent(first: Placement, second: Placement, prior: StructurePrior) -> bool:
    """Tell whether two placements put the same atoms in the same places."""
    own = prior.positions @ first.linear.T + first.origin
    inverse = np.linalg.inv(second.linear @ prior.cell.T)
    fraction = (own - second.origin) @ inverse.T
    distance = image_distance(fraction[:, None] - prior.fractional[None], prior.cell)
    nearest = distance.argmin(1)
    same = np.abs(prior.z_weights[nearest] / prior.z_weights - 1) < 1e-3
    return bool(same.all() and distance.min(1).max() < 0.15)


def to_pose(placement: Placement, flat: NormalizedImage, prior: StructurePrior) -> Pose:
    """Carry a placement in Å on the flattened image to pixels of the original."""
    proof = placement.evidence
    pose = Pose(placement.linear / flat.pixel_size, placement.origin / flat.pixel_size, proof.score)
    doubts = reservations(proof, prior.name, flat.pixel_size / flat.binning) if pose.is_fit else ()
    return replace(pose.scaled(flat.binning), reservations=doubts, log_likelihood=proof.log_likelihood)


def from_pose(pose: Pose, flat: NormalizedImage) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the linear map and the origin of a pose in Å on the flattened image."""
    binned = pose.scaled(1 / flat.binning)
    return binned.affine * flat.pixel_size, binned.origin * flat.pixel_size
