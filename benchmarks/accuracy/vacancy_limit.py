"""How well any method could tell a vacancy from a column: ``python -m benchmarks.accuracy.vacancy_limit``.

Likelihood-ratio test at a place that is known, with the true image of the crystal with and without the
column and Poisson noise: the best that there is (Neyman and Pearson, Phil. Trans. R. Soc. A 231 (1933) 289).
The threshold calls 1 % of the true columns vacant; the table gives the share of vacancies that then pass
for columns.

``--recorded FOLDER`` asks the same of micrographs of somebody else, whose truth is known (``truth.json``:
prior, px, atoms as x_px, y_px, Z, layer, and vacancies as x_px, y_px). What noise such a recording holds is
measured on it: profiles and the growth of the variance with the signal, with every true place known.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.validation.scans import load
from benchmarks.validation.validation_set import DOSES, Item, items
from napari_stemprior.inference.canonical import CanonicalImage
from napari_stemprior.inference.column_profiles import mean_profiles, site_patches
from napari_stemprior.inference.occupancy import _noise
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.progress import drain
from napari_stemprior.recording import prepare
from napari_stemprior.structure import StructurePrior, built_in

#: Å around a vacancy in which its pixels count.
_REACH = 1.3
#: True columns that may be called vacant.
_FALSE_ALARMS = 0.01
_DRAWS = 4_000


def missed_share(
    without: NDArray[np.float64], filled: NDArray[np.float64], rng: np.random.Generator
) -> float:
    """Return the share of vacancies that the best test takes for columns.

    Parameters
    ----------
    without, filled : (P,) array
        Expected counts of the pixels around the place, without the column and with it.
    rng : numpy Generator
    """
    weight = np.log(np.maximum(filled, 1e-12) / np.maximum(without, 1e-12))
    vacant = rng.poisson(without, (_DRAWS, len(without))) @ weight
    occupied = rng.poisson(filled, (_DRAWS, len(filled))) @ weight
    # Counts are whole numbers: at the threshold itself the test throws a coin.
    threshold = np.quantile(occupied, _FALSE_ALARMS, method="inverted_cdf")
    below, at = (occupied < threshold).mean(), (occupied == threshold).mean()
    coin = (_FALSE_ALARMS - below) / at if at > 0 else 0.0
    return float((vacant > threshold).mean() + (1 - coin) * (vacant == threshold).mean())


@cache
def limits(item: Item) -> dict[float, float]:
    """Return for each dose the mean over the vacancies of a view; empty where it has none."""
    if not len(item.vacancies):
        return {}
    perfect = item.view.draw(load(item.specimen.removesuffix("_vacancies")))
    yx = np.stack(np.indices(item.image.shape), -1)
    shares: dict[float, list[float]] = {dose: [] for dose in DOSES}
    rng = np.random.default_rng(3)
    for place in item.vacancies:
        near = ((yx - place) ** 2).sum(-1) * item.pixel_size**2 < _REACH**2
        for dose in DOSES:
            unit = dose * item.pixel_size**2
            without, filled = (
                np.clip(item.image[near], 0, None) * unit,
                np.clip(perfect[near], 0, None) * unit,
            )
            shares[dose].append(missed_share(without, filled, rng))
    return {dose: float(np.mean(values)) for dose, values in shares.items()}


def recorded_limits(folder: Path) -> Iterator[tuple[str, int, float]]:
    """Yield name, number of vacancies and the share missed at best, of each recording of a folder."""
    rng = np.random.default_rng(3)
    for name, truth in json.loads((folder / "truth.json").read_text()).items():
        vacancies = np.array(truth["vacancies"], float).reshape(-1, 2)
        if not len(vacancies):
            continue
        prepared = prepare(tifffile.imread(folder / f"{name}.tif"))
        canonical = CanonicalImage.from_prepared(prepared, truth["px"])
        atoms = np.array(truth["atoms"], float)
        own = built_in(truth["prior"])
        places = canonical.to_canonical(np.concatenate([atoms[:, 1::-1], vacancies[:, ::-1]]))
        kind = np.concatenate([_numbered(atoms[:, 2]), _missing_kinds(own, truth)])
        edge = 1.0 / CANONICAL_PIXEL_SIZE
        inner = ((places > edge) & (places < np.array(canonical.shape) - 1 - edge)).all(axis=1)
        without, filled, gone = _rates(canonical, places, kind, np.arange(len(places)) >= len(atoms))
        shares = [missed_share(without[i], filled[i], rng) for i in np.flatnonzero(gone & inner)]
        yield name, len(shares), float(np.mean(shares))


def _numbered(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.asarray(np.unique(values, return_inverse=True)[1])


def _missing_kinds(prior: StructurePrior, truth: dict[str, Any]) -> NDArray[np.int64]:
    """Return which kind of column each vacancy lacks: one that its neighbours are not, if there is one."""
    atoms = np.array(truth["atoms"], float)
    kinds = np.unique(atoms[:, 2])
    tree = cKDTree(atoms[:, :2])
    found = []
    for place in np.array(truth["vacancies"], float).reshape(-1, 2):
        near = atoms[tree.query(place, k=3)[1], 2]
        rest = [z for z in np.unique(prior.atomic_numbers) if z in kinds and z not in near]
        found.append(int(np.searchsorted(kinds, rest[0] if rest else np.median(near))))
    return np.array(found, np.int64)


def _rates(
    canonical: CanonicalImage, places: NDArray[np.float64], kind: NDArray[np.int64], gone: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return (N, P) expected counts around every place without its column and with it."""
    data = canonical.image.double().ravel()
    patches = drain(site_patches(places, canonical.shape, canonical.valid))
    there = drain(site_patches(places[~gone], canonical.shape, canonical.valid))
    fitted, floor = drain(mean_profiles(data, there, kind[~gone], int(kind.max()) + 1))
    drawn = drain(there.drawn(fitted))
    slope, offset = drain(_noise(data - floor - drawn, drawn))
    pixels, distance = patches.pixels.numpy(), patches.distance2.numpy()
    profile, model = fitted.numpy(), drawn.numpy()
    shapes = np.zeros(pixels.shape)
    for number in np.unique(kind):  # what a vacancy lacks: the profile of its kind about its own place
        theirs = ~gone & (kind == number)
        x = np.sqrt(distance[theirs])
        order = np.argsort(x.ravel())
        known = np.isfinite(x.ravel()[order])
        flat = (x.ravel()[order][known], profile[kind[~gone] == number].ravel()[order][known])
        mine = kind == number
        shapes[mine] = np.interp(np.sqrt(distance[mine]), *flat, right=0.0)
    without = model[pixels] - np.where(gone[:, None], 0.0, shapes)
    ground = offset / slope
    base = np.maximum(without + ground, 1e-3 * shapes.max()) / slope
    return base, base + shapes / slope, gone


def main() -> None:
    """Print the limit of every view with vacancies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="vacancies", help="part of the name of the views to take")
    parser.add_argument("--recorded", type=Path, help="folder of other recordings with a truth.json")
    options = parser.parse_args()
    if options.recorded:
        print("| recording | vacancies | limit |\n|---|---:|---:|")
        found = list(recorded_limits(options.recorded))
        for name, count, share in found:
            print(f"| {name} | {count} | {100 * share:.1f} % |")
        total = sum(count for _, count, _ in found)
        print(f"| all | {total} | {100 * sum(n * s for _, n, s in found) / total:.1f} % |")
        return
    print("| view | vacancies | " + " | ".join(f"{d:g} e/Å²" for d in DOSES) + " |")
    print("|---|---:|" + "---:|" * len(DOSES))
    for item in items(options.only):
        found = limits(item)
        if found:
            cells = " | ".join(f"{100 * found[d]:.1f} %" for d in DOSES)
            print(f"| {item.name} | {len(item.vacancies)} | {cells} |")


if __name__ == "__main__":
    main()
