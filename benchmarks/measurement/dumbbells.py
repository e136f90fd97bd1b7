"""Lengths of dumbbells against truth, at several widths of the probe and doses. One command.

``python -m benchmarks.measurement.dumbbells -o out/measurement`` draws silicon [110] with the fast engine,
counts electrons, fits the columns from places 0.1 Å off, and prints how much the distance of the two
columns of a pair is off along their line.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from napari_stemprior.atoms import AtomTable
from napari_stemprior.measurement.column_fit import fit_columns
from napari_stemprior.optics import Instrument
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in

#: Å: full widths at half maximum of the source.
SOURCES = (0.5, 0.8, 1.1, 1.4)
#: Electrons per Å².
DOSES = (1e3, 1e4, 1e5)
#: Å per pixel, pixels of a side, and Å at the edge that are left out.
_PIXEL_SIZE, _SIDE, _EDGE = 0.09, 512, 4.0
#: Share of the beam in the brightest pixels, so that the doses of all probes count the same electrons.
_BRIGHTEST = 0.2
#: Images of each row: one has 132 pairs, whose coverage is known to 1.9 %.
_SEEDS = 5


def dumbbells(source: float, dose: float, seed: int = 1) -> dict[str, float]:
    """Return what the distances of pairs are off, Å.

    Parameters
    ----------
    source : float
        Å.
    dose : float
        e/Å².
    seed : int

    Returns
    -------
    dict of str to float
        Fitted `width` of the columns, `pairs` and `fitted` of them, `bias`, `rmse`, `stated` standard error
        of one distance, and `coverage` of 95 % intervals.
    """
    prior, pose = built_in("Si [110]"), Pose.from_angle(20, _PIXEL_SIZE, (3, 4), score=0.9)
    shape = (_SIDE, _SIDE)
    lens = Instrument(beam_energy=200.0, convergence_semi_angle=22.0, source_size=source)
    image = reference_image(prior, lens, _PIXEL_SIZE, shape, pose).astype(float)
    image *= _BRIGHTEST / np.percentile(image, 99.9)
    yx, _ = pose.columns(prior, shape)
    rng = np.random.default_rng(seed)
    counted = rng.poisson(image * dose * _PIXEL_SIZE**2) / (dose * _PIXEL_SIZE**2)
    start = yx + rng.normal(size=yx.shape) * 0.1 / _PIXEL_SIZE
    fit = fit_columns(counted, AtomTable.from_positions(start, _PIXEL_SIZE))
    inner = ((yx * _PIXEL_SIZE > _EDGE) & (yx * _PIXEL_SIZE < _SIDE * _PIXEL_SIZE - _EDGE)).all(1)
    pairs = cKDTree(yx).query_pairs(1.6 / _PIXEL_SIZE, output_type="ndarray")
    pairs = pairs[inner[pairs].all(1)]
    good = pairs[(fit.reason[pairs] == "").all(1)]
    true, found = ((at[good[:, 1]] - at[good[:, 0]]) * _PIXEL_SIZE for at in (yx, fit.yx))
    along = true / np.linalg.norm(true, axis=1)[:, None]
    off = ((found - true) * along).sum(1)
    shared = fit.shared_variance(*good.T, np.linalg.norm(found, axis=1))
    stated = np.sqrt((fit.position_error[good] ** 2).sum(1) - shared)
    return {
        "width": float(np.nanmedian(fit.width)), "pairs": len(pairs), "fitted": len(good),
        "bias": off.mean(), "rmse": np.sqrt((off**2).mean()),
        "stated": np.sqrt((stated**2).mean()), "coverage": (np.abs(off) < 1.96 * stated).mean(),
    }  # fmt: skip


def together(source: float, dose: float, seeds: int) -> dict[str, float]:
    """Return the same of several images, and the standard error of the bias and of the coverage."""
    images = [dumbbells(source, dose, seed) for seed in range(1, seeds + 1)]
    fitted = np.array([one["fitted"] for one in images])
    mean = {key: float(np.average([one[key] for one in images], weights=fitted)) for key in images[0]}
    for key in ("rmse", "stated"):
        mean[key] = float(np.sqrt(np.average([one[key] ** 2 for one in images], weights=fitted)))
    for key in ("pairs", "fitted"):
        mean[key] = sum(one[key] for one in images)
    mean["bias_error"] = mean["rmse"] / np.sqrt(mean["fitted"])
    mean["coverage_error"] = float(np.sqrt(0.95 * 0.05 / mean["fitted"]))
    return mean


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("out/measurement"))
    parser.add_argument("--seeds", type=int, default=_SEEDS, help="images of each row")
    options = parser.parse_args()
    lines = [
        "| source (Å) | dose (e/Å²) | width (Å) | fitted pairs | bias (Å) | RMSE (Å) | stated (Å) "
        "| coverage of 95 % |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for source in SOURCES:
        for dose in DOSES:
            one = together(source, dose, options.seeds)
            lines.append(
                f"| {source:g} | {dose:,.0f} | {one['width']:.2f} "
                f"| {one['fitted']:.0f} of {one['pairs']:.0f} "
                f"| {one['bias']:.4f} ± {one['bias_error']:.4f} | {one['rmse']:.3f} | {one['stated']:.3f} "
                f"| {100 * one['coverage']:.1f} ± {100 * one['coverage_error']:.1f} % |"
            )
    text = "\n".join(lines) + "\n"
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "dumbbells.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
