"""How well lattices are registered: success, errors, false fits, pixel size and time; one command.

``python -m benchmarks.registration.registration -o out/registration`` writes ``registration.md`` and CSV
files; ``--quick`` takes fewer structures and doses.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.registration.likelihood import deciding_dose
from benchmarks.registration.report import CRYSTALS, report
from benchmarks.registration.scenes import BORDER, DOSES, SCENES, Grain, Scene, blanks, draw
from benchmarks.registration.twins import twins
from napari_stemprior.errors import PixelSizeError, RegistrationError
from napari_stemprior.registration import Pose, fit_pixel_size, fit_pose_field, register
from napari_stemprior.structure import StructurePrior, built_in

STRUCTURES = (
    "graphene", "h-BN", "MoS2", "WSe2", "MoTe2", "1T-TaS2", "1T-TiSe2", "SrTiO3 [001]", "SrTiO3 [110]",
    "BaTiO3 [001]", "Si [110]", "GaAs [110]", "GaN [11-20]", "Au [110]", "Au [100]", "Fe [100]", "W [111]",
    "TiO2 rutile [001]", "TiO2 anatase [100]", "CeO2 [110]",
)  # fmt: skip
#: Other crystals, and the same crystal along another axis, that are offered for each structure.
OTHERS = 3
PIXELS = 320
#: A crystal is found if so many of its columns have a lattice column of their kind within the gate.
ENOUGH = 0.99


def gate(prior: StructurePrior) -> float:
    """Return the distance in Å within which a column counts as found."""
    return min(0.3 * prior.neighbour_distance, 0.75)


def distances(
    prior: StructurePrior,
    grain: Grain,
    found: tuple[NDArray[np.float64], NDArray[np.int64]],
    pixel_size: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each true column the distance in Å to the nearest found one of its kind, and its place."""
    distance = np.full(len(grain.yx), np.inf)
    place = np.full((len(grain.yx), 2), np.nan)
    kinds = [column.composition for column in prior.columns]
    for kind in set(kinds):
        sites = [i for i, other in enumerate(kinds) if other == kind]
        own = np.isin(grain.index, sites)
        there = found[0][np.isin(found[1], sites)]
        if own.any() and len(there):
            apart, nearest = cKDTree(there).query(grain.yx[own])
            distance[own], place[own] = apart * pixel_size, there[nearest]
    return distance, place


def judge(scene: Scene, image: NDArray[np.float32], poses: list[Pose]) -> dict[str, float]:
    """Score the poses against the grains of a scene: the worst grain counts."""
    fits = [pose for pose in poses if pose.is_fit]
    shape = (image.shape[0], image.shape[1])
    outcome = {"share": 1.0, "rotation": 0.0, "strain": 0.0, "origin": 0.0, "rmse": 0.0}
    bent = scene.name == "strain"
    fields = [
        (fit_pose_field(image, scene.pixel_size, scene.prior, p) if bent else p).columns(
            scene.prior, shape, 20
        )
        for p in fits
    ]
    if len(scene.grains) == 1:
        fields = fields[:1]  # the first is what a person sees; grains may take any
    for grain in scene.grains:
        best = {"share": 0.0, "rotation": np.nan, "strain": np.nan, "origin": np.nan, "rmse": np.nan}
        for found in fields:
            distance, place = distances(scene.prior, grain, (found[0], found[1]), scene.pixel_size)
            share = float(np.mean(distance < gate(scene.prior)))
            if share > best["share"]:
                good = distance < gate(scene.prior)
                best = {"share": share} | errors(grain.yx[good], place[good], scene.pixel_size)
        for key in outcome:
            outcome[key] = min(outcome[key], best[key]) if key == "share" else max(outcome[key], best[key])
    return outcome | {"success": float(outcome["share"] >= ENOUGH), "score": poses[0].score if poses else 0.0}


def errors(true: NDArray[np.float64], found: NDArray[np.float64], pixel_size: float) -> dict[str, float]:
    """Fit the affine map from true to found columns; return what is not the identity in it.

    Returns
    -------
    dict
        rotation in degrees, strain (largest principal, in %), origin (Å, at the middle of the columns),
        rmse (Å, of all columns).
    """
    centre = true.mean(0)
    design = np.column_stack([np.ones(len(true)), true - centre])
    move = found - true
    solution = np.linalg.lstsq(design, move, rcond=None)[0]
    gradient = solution[1:].T
    strain = np.abs(np.linalg.eigvalsh((gradient + gradient.T) / 2)).max()
    return {
        "rotation": float(abs(np.rad2deg((gradient[0, 1] - gradient[1, 0]) / 2))),
        "strain": 100 * float(strain),
        "origin": float(np.linalg.norm(solution[0])) * pixel_size,
        "rmse": float(np.sqrt((move**2).sum(1).mean())) * pixel_size,
    }


def true_fits(structures: tuple[str, ...], doses: tuple[float, ...], seeds: int) -> pd.DataFrame:
    """Register the right prior on every scene."""
    rows = []
    for number, name in enumerate(structures):
        prior = built_in(name)
        for scene_name in SCENES:
            for seed in range(seeds):
                rng = np.random.default_rng([3, seed, *f"{name} {scene_name}".encode()])
                size = float(rng.uniform(0.11, 0.2))
                scene = draw(prior, scene_name, size, (PIXELS, PIXELS), rng)
                for dose in doses:
                    image = scene.micrograph(dose, rng)
                    start = time.process_time()
                    poses = register(image, size, prior)
                    taken = time.process_time() - start
                    rows.append(
                        {"structure": name, "scene": scene_name, "seed": seed, "dose": dose, "pixel": size}
                        | judge(scene, image, poses)
                        | {"seconds": taken}
                    )
        tell(f"right priors {number + 1}/{len(structures)}")
    return pd.DataFrame(rows)


def wrong_priors(name: str, rng: np.random.Generator) -> list[tuple[str, StructurePrior]]:
    """Draw wrong priors for a structure: other crystals, and itself along another axis."""
    from napari_stemprior.structure import names
    from napari_stemprior.structure.library import entries

    others = [n for n in names() if n.split(" [")[0] != name.split(" [")[0]]
    wrong = [("other material", built_in(n)) for n in rng.permutation(others)[:OTHERS]]
    entry = entries()[name]
    if built_in(name).period:  # a layer seen along another axis is no specimen
        own = tuple(entry.get("zone_axis", (0, 0, 1)))
        axes = [a for a in ((0, 0, 1), (1, 1, 0), (1, 1, 1), (1, 0, 0)) if a != own]
        for axis in rng.permutation(len(axes))[:2]:
            wrong.append(("other zone axis", built_in(name, axes[axis])))
    return wrong


def false_fits(structures: tuple[str, ...], doses: tuple[float, ...], seeds: int) -> pd.DataFrame:
    """Register wrong priors, and right ones on images without a lattice."""
    rows = []
    for number, name in enumerate(structures):
        prior = built_in(name)
        for seed in range(seeds):
            rng = np.random.default_rng([5, seed, *name.encode()])
            size = float(rng.uniform(0.11, 0.2))
            scene = draw(prior, SCENES[seed % len(SCENES)], size, (PIXELS, PIXELS), rng)
            wrong = wrong_priors(name, rng)
            for dose in doses:
                image = scene.micrograph(dose, rng)
                cases = [(kind, other, image) for kind, other in wrong]
                cases += [
                    (kind, prior, blank) for kind, blank in blanks(image.shape, size, image.mean(), rng)
                ]
                for kind, other, shown in cases:
                    found = offered(shown, size, other)
                    alike = shown is image and twins(prior, other)
                    rows.append(
                        {
                            "structure": name, "scene": scene.name, "seed": seed, "dose": dose,
                            "kind": "twin" if alike else kind, "prior": other.name,
                            "score": found.score if found else 0.0,
                            "fit": float(found is not None and found.is_clean),
                            "reserved": float(found is not None and found.is_fit and not found.is_clean),
                        }
                    )  # fmt: skip
        tell(f"wrong priors {number + 1}/{len(structures)}")
    return with_deciding_doses(pd.DataFrame(rows))


def offered(image: NDArray[np.float32], size: float, prior: StructurePrior) -> Pose | None:
    """Register a prior; None where it does not suit the image at all."""
    try:
        return register(image, size, prior, candidates=1)[0]
    except (RegistrationError, PixelSizeError):
        return None


def with_deciding_doses(rows: pd.DataFrame) -> pd.DataFrame:
    """Tell of each wrong crystal that is called a fit from which dose on it could be told apart."""
    wrong = rows["kind"].isin(CRYSTALS) & (rows["fit"] > 0)
    doses = {
        pair: deciding_dose(built_in(pair[0]), named(pair[1]))
        for pair in sorted(set(zip(rows[wrong]["structure"], rows[wrong]["prior"], strict=True)))
    }
    pairs = zip(rows["structure"], rows["prior"], wrong, strict=True)
    return rows.assign(decided=[doses[a, b] if w else np.nan for a, b, w in pairs])


def named(name: str) -> StructurePrior:
    """Return the prior of such a name, which may have another axis than that of the library."""
    from napari_stemprior.structure import names

    if name in names():
        return built_in(name)
    material, axis = name.rstrip("]").split(" [")
    entry = next(n for n in names() if n.split(" [")[0] == material)
    return built_in(entry, tuple(int(i) for i in axis))


def pixel_sizes(structures: tuple[str, ...], doses: tuple[float, ...], seeds: int) -> pd.DataFrame:
    """Fit the pixel size from a guess that is up to 30 % wrong."""
    rows = []
    for number, name in enumerate(structures):
        prior = built_in(name)
        for seed in range(seeds):
            rng = np.random.default_rng([9, seed, *name.encode()])
            size = float(rng.uniform(0.11, 0.2))
            scene = draw(prior, "perfect", size, (PIXELS, PIXELS), rng)
            true = scene.grains[0].pose.pixel_size  # the drift is a part of it
            for dose in doses:
                image = scene.micrograph(dose, rng)
                guess = size * float(np.exp(rng.uniform(-1, 1) * np.log(1.3)))
                start = time.process_time()
                found, pose = fit_pixel_size(image, prior, guess=guess)
                rows.append(
                    {
                        "structure": name, "dose": dose, "seed": seed, "wrong": 100 * (guess / size - 1),
                        "error": 100 * abs(found / true - 1), "fit": float(pose.is_fit),
                        "seconds": time.process_time() - start,
                    }
                )  # fmt: skip
        tell(f"pixel sizes {number + 1}/{len(structures)}")
    return pd.DataFrame(rows)


def times(structures: tuple[str, ...]) -> pd.DataFrame:
    """Measure the CPU time of one image of 512 x 512."""
    rows = []
    for name in structures:
        prior = built_in(name)
        rng = np.random.default_rng(1)
        scene = draw(prior, "perfect", 0.15, (512, 512), rng)
        image = scene.micrograph(3e3, rng)
        start = time.process_time()
        pose = register(image, 0.15, prior)[0]
        middle = time.process_time()
        fit_pose_field(image, 0.15, prior, pose)
        last = time.process_time()
        rows.append({"structure": name, "register": middle - start, "field": last - middle})
    return pd.DataFrame(rows)


def multislice(doses: tuple[float, ...]) -> pd.DataFrame:
    """Register right and wrong priors on the multislice views of the validation set."""
    from benchmarks.validation.validation_set import items

    rows = []
    for item in items():
        if item.scene == "bilayer":
            continue
        truth = item.truth.rows
        sites = {column.site: i for i, column in enumerate(item.prior.columns)}
        yx = truth[["y_px", "x_px"]].to_numpy(float)
        index = truth["site"].map(sites).to_numpy(int)
        size, shape = item.pixel_size, item.image.shape
        inside = ((yx >= BORDER / size) & (yx <= np.array(shape) - 1 - BORDER / size)).all(axis=1)
        grains = [inside]
        if item.scene == "grains":
            depth = ((yx - np.array(shape) / 2) @ np.array([np.cos(0.5), np.sin(0.5)])) * size
            grains = [inside & (depth > 4), inside & (depth < -4)]
        scene = Scene(
            item.scene, item.prior, item.image, size,
            tuple(Grain(yx[g], index[g], Pose.from_angle(0, size)) for g in grains),
        )  # fmt: skip
        rng = np.random.default_rng([11, *item.name.encode()])
        wrong = [("given", item.wrong_prior), *wrong_priors(item.prior.name, rng)]
        for dose in doses:
            image = item.micrograph(dose)
            outcome = judge(scene, image, register(image, size, item.prior))
            row = {
                "view": item.name,
                "scene": item.scene,
                "dose": dose,
                "prior": item.prior.name,
                "twin": False,
            }
            rows.append(row | {"right": True} | outcome)
            for _, other in wrong:
                found = offered(image, size, other)
                clean = float(found is not None and found.is_clean)
                rows.append(
                    row
                    | {"right": False, "prior": other.name, "success": clean}
                    | {"score": found.score if found else 0.0, "twin": twins(item.prior, other)}
                )
        tell(f"multislice {item.name}")
    return pd.DataFrame(rows)


def tell(text: str) -> None:
    """Say how far the work is, on a terminal."""
    if sys.stderr.isatty() or os.environ.get("PROGRESS"):
        print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="six structures, two doses, one seed")
    parser.add_argument("--seeds", type=int, default=3, help="random scenes of each kind")
    parser.add_argument("--only", default="", help="parts to run, such as true,false,pixel,time,multislice")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/registration"))
    options = parser.parse_args()
    structures = STRUCTURES[::4] if options.quick else STRUCTURES
    doses = (1e3, 1e4) if options.quick else DOSES
    seeds = 1 if options.quick else options.seeds
    parts = {
        "true": lambda: true_fits(structures, doses, seeds),
        "false": lambda: false_fits(structures, doses, seeds + 1),
        "pixel": lambda: pixel_sizes(structures, doses, seeds),
        "time": lambda: times(structures),
        "multislice": lambda: multislice(doses),
    }
    chosen = options.only.split(",") if options.only else list(parts)
    options.output.mkdir(parents=True, exist_ok=True)
    results = {}
    for name in chosen:
        results[name] = parts[name]()
        results[name].to_csv(options.output / f"{name}.csv", index=False, float_format="%.5g")
    text = report(results)
    (options.output / "registration.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"Written to {options.output / 'registration.md'} and CSV files beside it")


if __name__ == "__main__":
    main()
