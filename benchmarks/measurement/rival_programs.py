"""What other programs measure on the same image: ``python rival_programs.py PROGRAM IN.npz OUT.npz``.

Imports nothing of this project, so each runs in an environment of its own. IN holds ``image`` (H, W),
``yx`` (N, 2) starts, ``true_yx`` (N, 2), ``our_yx`` (N, 2), ``group`` (N,) sublattices, ``pixel_size`` in Å,
``peaks`` (2, 2) reflections (y, x) in 1/Å, ``vectors`` (M, 2, 2) lattice vectors (x, y) in Å at M atoms and
``reference`` (2, 2) those of the reference. OUT gets the results and ``seconds`` of the processor.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np


def main() -> None:
    """Measure and write."""
    warnings.simplefilter("ignore")
    name, given, out = sys.argv[1:]
    with np.load(given) as data:
        arrays = dict(data)
    programs = {
        "atomap": atomap, "kemstem": kemstem, "temul": temul, "singleorigin": singleorigin,
        "py4dstem": py4dstem, "pyxem": pyxem,
    }  # fmt: skip
    np.savez(out, **programs[name](arrays))


def atomap(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Atomap: two-dimensional Gaussians in each sublattice, the other taken off; spacings of its planes."""
    import atomap.api as am
    from atomap.tools import remove_atoms_from_image_using_2d_gaussian

    image, start, group = given["image"].astype(float), given["yx"], given["group"]
    begun = time.process_time()
    found, sigma, ellipticity = start.copy(), np.full(len(start), np.nan), np.full(len(start), np.nan)
    picture = image
    for one in np.unique(group):  # the brightest first, then what it leaves
        own = np.flatnonzero(group == one)
        lattice = am.Sublattice(start[own][:, ::-1], picture)
        lattice.find_nearest_neighbors()
        lattice.refine_atom_positions_using_center_of_mass(show_progressbar=False)
        lattice.refine_atom_positions_using_2d_gaussian(show_progressbar=False)
        found[own] = np.stack([lattice.y_position, lattice.x_position], 1)
        sigma[own] = np.sqrt(np.abs(np.array(lattice.sigma_x) * np.array(lattice.sigma_y)))
        ellipticity[own] = np.array(lattice.ellipticity)
        if one == group.min() and len(np.unique(group)) > 1:
            picture = remove_atoms_from_image_using_2d_gaussian(image, lattice, show_progressbar=False)
    seconds = time.process_time() - begun
    result = {"yx": found, "sigma": sigma, "ellipticity": ellipticity}
    own = np.flatnonzero(group == group.min())
    for name, places in (("true", given["true_yx"]), ("theirs", found), ("ours", given["our_yx"])):
        begun = time.process_time()
        result[f"spacing_{name}"] = _spacings(am, image, places[own])
        if name == "theirs":
            seconds += time.process_time() - begun
    return result | {"seconds": np.array(seconds)}


def _spacings(am: object, image: np.ndarray, yx: np.ndarray) -> np.ndarray:
    """Return (M, 3) place (x, y) and distance of the planes of the first zone axis, as Atomap has them."""
    lattice = am.Sublattice(yx[:, ::-1], image)  # type: ignore[attr-defined]
    lattice.construct_zone_axes()
    zone = lattice.zones_axis_average_distances[0]
    return np.array(lattice.get_monolayer_distance_list_from_zone_vector(zone)).T


def kemstem(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """kemstem: phase lock-in at two reflections and the strain tensor of the phases."""
    from importlib import import_module

    filtering, picking, locking, straining = (
        import_module(f"kemstem.fourier.{name}")
        for name in ("fourierfilter", "peakpick", "phaselock", "strain")
    )

    image, size = given["image"].astype(float), float(given["pixel_size"])
    side = np.array(image.shape)
    begun = time.process_time()
    pattern = picking.prepare_fourier_pattern(image, edge_reduction="pplus")
    guess = given["peaks"] * size * side + side / 2
    refined = []
    for peak in guess:
        low = np.rint(peak).astype(int)
        window = np.abs(pattern[low[0] - 3 : low[0] + 4, low[1] - 3 : low[1] + 4])
        weight = window - window.min()
        grid = np.indices(weight.shape)
        refined.append(low - 3 + (grid * weight).sum((1, 2)) / weight.sum())
    # wide enough for a step of 10 Å, as its lock-in wants it in pixels of the transform
    sigma = float(side[0] * size / 10.0 / (2 * np.pi) * 2)
    phases = []
    for peak in refined:
        image_of_peak, _, _ = filtering.fourier_filter(pattern, peak, 2 * sigma)
        phases.append(locking.phaselock(image_of_peak, peak, sigma))
    exx, eyy, exy, rotation = straining.calculate_strain_tensor(*phases, *refined)
    seconds = np.array(time.process_time() - begun)
    return {"exx": exx, "eyy": eyy, "exy": exy, "rotation": rotation, "seconds": seconds}


def temul(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """TEMUL: strain across planes of the first sublattice, whose atoms Atomap has refined."""
    import atomap.api as am
    from temul.topotem.polarisation import get_strain_map

    image, size, group = given["image"].astype(float), float(given["pixel_size"]), given["group"]
    own = group == group.min()
    begun = time.process_time()
    lattice = am.Sublattice(given["yx"][own][:, ::-1], image)
    lattice.find_nearest_neighbors()
    lattice.refine_atom_positions_using_center_of_mass(show_progressbar=False)
    lattice.refine_atom_positions_using_2d_gaussian(show_progressbar=False)
    refined = np.stack([lattice.y_position, lattice.x_position], 1)
    seconds = time.process_time() - begun
    result: dict[str, np.ndarray] = {}
    along = None
    for name, places in (
        ("true", given["true_yx"][own]),
        ("theirs", refined),
        ("ours", given["our_yx"][own]),
    ):
        begun = time.process_time()
        planes = am.Sublattice(places[:, ::-1], image)
        planes.construct_zone_axes()
        zones = np.array([zone for _, zone in planes._get_zone_vector_index_list(zone_vector_list=None)])
        along = zones[0] if along is None else along
        number = int(np.argmax(np.abs(zones @ along) / np.linalg.norm(zones, axis=1) ** 2))
        length = float(np.linalg.norm(given["reference"][0]))
        _, x, y, strain = get_strain_map(planes, number, length, sampling=size, return_x_y_z=True)
        result[f"strain_{name}"] = np.array([x, y, strain]).T
        if name == "theirs":
            seconds += time.process_time() - begun
    return result | {"seconds": np.array(seconds)}


def singleorigin(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """SingleOrigin: an elliptical Gaussian for each column on the pixels up to 0.9 Å from it.

    Its `fit_gaussian_group` of release 3.0.1 stops with a TypeError, so `fit_gaussians`, which
    that calls, is started here from 0.45 Å.
    """
    from SingleOrigin.utils.peakfit import fit_gaussians

    image, size = given["image"].astype(float), float(given["pixel_size"])
    image = (image - image.min()) / np.ptp(image)
    begun = time.process_time()
    found, sigma = given["yx"].copy(), np.full(len(given["yx"]), np.nan)
    grid = np.stack(np.indices(image.shape), -1)
    for number, (y, x) in enumerate(given["yx"]):
        near = np.argwhere(np.hypot(*(grid - [y, x]).transpose(2, 0, 1)) <= 0.9 / size)
        values = image[near[:, 0], near[:, 1]]
        level = values.mean() - values.std()
        start = np.array([x, y, 0.45 / size, 1.05, 0.0, values.max() - level, level])
        peak = fit_gaussians(near[:, ::-1].T, values, start, method="BFGS", bounds=None, circular=False)[0]
        found[number], sigma[number] = peak[1::-1], abs(peak[2]) / np.sqrt(abs(peak[3]))
    return {"yx": found, "sigma": sigma, "seconds": np.array(time.process_time() - begun)}


def py4dstem(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """py4DSTEM: strain from reciprocal lattice vectors at each atom."""
    from py4DSTEM.data import RealSlice
    from py4DSTEM.process.strain.latticevectors import get_strain_from_reference_g1g2

    vectors = np.linalg.inv(given["vectors"]).transpose(0, 2, 1)
    reference = np.linalg.inv(given["reference"]).T
    flat = vectors.reshape(-1, 4).T[..., None]
    labels = ("g1x", "g1y", "g2x", "g2y", "mask")
    begun = time.process_time()
    table = RealSlice(data=np.concatenate([flat, np.ones_like(flat[:1])]), slicelabels=labels, name="g")
    found = get_strain_from_reference_g1g2(table, tuple(reference[0]), tuple(reference[1]))
    seconds = np.array(time.process_time() - begun)
    strain = {f"e{i}": np.array(found.get_slice(f"e_{i}").data)[:, 0] for i in ("xx", "yy", "xy")}
    return strain | {"seconds": seconds}


def pyxem(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """pyxem: strain from displacement gradients of the reciprocal lattice at each atom.

    Its shear has the sign of reciprocal space and is turned here.
    """
    from pyxem.signals import DisplacementGradientMap

    ratio = np.linalg.inv(given["reference"]) @ given["vectors"]
    gradient = np.zeros((1, len(ratio), 3, 3))
    gradient[..., 2, 2] = 1
    gradient[0, :, :2, :2] = np.linalg.inv(ratio)
    begun = time.process_time()
    found = np.asarray(DisplacementGradientMap(gradient).get_strain_maps().data)
    seconds = np.array(time.process_time() - begun)
    exx, eyy, exy, _ = found.reshape(4, -1)
    return {"exx": exx, "eyy": eyy, "exy": -exy, "seconds": seconds}


if __name__ == "__main__":
    main()
