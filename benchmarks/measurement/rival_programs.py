"""What other programs measure on the same image: ``python rival_programs.py atomap|kemstem IN.npz OUT.npz``.

Imports nothing of this project, so each runs in an environment of its own. IN holds ``image`` (H, W),
``yx`` (N, 2) starts, ``true_yx`` (N, 2), ``our_yx`` (N, 2), ``group`` (N,) sublattices, ``pixel_size`` in Å
and ``peaks`` (2, 2) reflections (y, x) in 1/Å. OUT gets the results and ``seconds`` of the processor.
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
    np.savez(out, **{"atomap": atomap, "kemstem": kemstem}[name](arrays))


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


if __name__ == "__main__":
    main()
