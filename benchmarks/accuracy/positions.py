"""How exact the positions are, against the Cramér–Rao bound: ``python -m benchmarks.accuracy.positions``.

Poisson noise alone (scan jitter would set a floor of its own), multislice images, columns with no other
within 1.5 Å. The bound is that of the noise-free image: F_kl = Σ (∂_k λ)(∂_l λ) / λ over the height and
position of the column (Van den Bos and den Dekker, Adv. Imaging Electron Phys. 117 (2001) 207).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.spatial import cKDTree

from benchmarks.rivals.classical import laplacian_of_gaussian
from benchmarks.validation.validation_set import Item, items
from napari_stemprior.inference import Segmenter

DOSES = (1e3, 3e3, 1e4, 3e4, 1e5)
#: Å to the next column.
ISOLATED = 1.5
#: Å around a column in which its pixels count for the bound.
_REACH = 1.0
_BORDER = 2.0
#: Å: columns whose bound is larger than this cannot be seen.
_VISIBLE = 0.3


def bounds(item: Item, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the (N,) bound on the root mean square 2-D error of a column, Å, at 1 e/Å².

    The column's profile is a Gaussian fitted to the noise-free image; only its derivatives are used, the
    expected counts are those of the image.
    """
    yx = item.truth.yx
    radius = int(np.ceil(_REACH / item.pixel_size))
    step = np.arange(-radius, radius + 1)
    window = np.stack(np.meshgrid(step, step, indexing="ij"), -1).reshape(-1, 2)
    window = window[np.hypot(*window.T) * item.pixel_size <= _REACH]
    out = np.full(len(chosen), np.nan)
    for row, index in enumerate(chosen):
        pixels = np.round(yx[index]).astype(int) + window
        counts = item.image[pixels[:, 0], pixels[:, 1]].astype(float) * item.pixel_size**2
        delta = (pixels - yx[index]) * item.pixel_size

        def model(p: NDArray[np.float64], delta: NDArray[np.float64] = delta) -> NDArray[np.float64]:
            moved = delta - p[2:4]
            return p[0] * np.exp(-(moved**2).sum(1) / (2 * p[1] ** 2)) + p[4]

        first = [np.ptp(counts), 0.45, 0.0, 0.0, counts.min()]
        height, width, y, x, _ = least_squares(lambda p: model(p) - counts, first).x  # noqa: B023
        if height <= 0 or not 0.2 < width < 0.9:
            continue  # hidden in the tails of its neighbours: no column of its own to speak of
        moved = delta - (y, x)
        bell = np.exp(-(moved**2).sum(1) / (2 * width**2))
        jacobian = np.column_stack([bell, height * bell[:, None] * moved / width**2])
        fisher = jacobian.T @ (jacobian / np.maximum(counts, 1e-12)[:, None])
        out[row] = np.sqrt(np.trace(np.linalg.inv(fisher)[1:, 1:]))
    return out


def isolated(item: Item) -> NDArray[np.int64]:
    """Return the columns that stand alone and away from the border."""
    yx = item.truth.yx
    alone = cKDTree(yx).query(yx, k=2)[0][:, 1] * item.pixel_size > ISOLATED
    border = _BORDER / item.pixel_size
    inner = ((yx > border) & (yx < np.array(item.image.shape) - 1 - border)).all(axis=1)
    return np.flatnonzero(alone & inner & (item.truth.rows["layer"].to_numpy() == 0))


def errors(found: NDArray[np.float64], truth: NDArray[np.float64], pixel_size: float) -> NDArray[np.float64]:
    """Return the distance in Å of each true column to the nearest found one, NaN beyond 0.5 Å."""
    if not len(found):
        return np.full(len(truth), np.nan)
    distance = cKDTree(found).query(truth)[0] * pixel_size
    return np.where(distance < 0.5, distance, np.nan)


def unrefined(segmenter: Segmenter, item: Item) -> NDArray[np.float64]:
    """Return the network's own positions."""
    segmenter.refine = False
    found = segmenter.segment(item.prior).yx
    segmenter.refine = True
    return found


def measure(segmenter: Segmenter, seeds: int, wanted: str) -> pd.DataFrame:
    """Return one row a view, dose and method."""
    rows = []
    for item in items(wanted):
        if item.scene not in ("perfect", "strain"):
            continue
        chosen = isolated(item)
        if len(chosen) < 20:
            continue
        unit = bounds(item, chosen)
        truth = item.truth.yx[chosen]
        for dose in DOSES:
            for seed in range(seeds):
                rng = np.random.default_rng([seed, int(dose), *item.name.encode()])
                expected = item.image.astype(float) * dose * item.pixel_size**2
                image = rng.poisson(expected).astype(np.float32)
                segmenter.set_image(image, item.pixel_size)
                answers = {
                    "with the prior": segmenter.segment(item.prior).yx,
                    "without a prior": segmenter.segment(None).yx,
                    "with the prior, not refined": unrefined(segmenter, item),
                    "LoG": laplacian_of_gaussian(image, item.pixel_size, item.prior).yx,
                }
                for method, found in answers.items():
                    error = errors(found, truth, item.pixel_size)
                    seen = np.isfinite(error) & (unit < _VISIBLE * np.sqrt(dose))
                    rows.append(
                        {
                            "view": item.name,
                            "dose": dose,
                            "method": method,
                            "found": seen.mean(),
                            "rmse": np.sqrt(np.mean(error[seen] ** 2)) if seen.any() else np.nan,
                            "bound": np.sqrt(np.mean(unit[seen] ** 2) / dose) if seen.any() else np.nan,
                        }
                    )
    return pd.DataFrame(rows)


def report(results: pd.DataFrame) -> str:
    """Write the table as Markdown."""
    results = results.dropna(subset=["rmse", "bound"])
    results = results.assign(ratio=results["rmse"] / results["bound"])
    lines = [
        "# Positions against the Cramér–Rao bound\n",
        "RMSE (2-D, pm) of isolated columns / its ratio to the bound; Poisson noise alone. Columns are left "
        "out whose bound is above 30 pm.\n",
    ]
    for method, part in results.groupby("method", sort=False):
        doses = sorted(part["dose"].unique())
        lines += [
            f"## {method}\n",
            "| view | " + " | ".join(f"{d:g} e/Å²" for d in doses) + " |",
            "|---|" + "---:|" * len(doses),
        ]
        for view, own in part.groupby("view", sort=False):
            mean = own.groupby("dose")[["rmse", "ratio"]].mean()
            cells = [f"{100 * mean.loc[d, 'rmse']:.1f} / {mean.loc[d, 'ratio']:.2f}" for d in doses]
            lines.append(f"| {view} | " + " | ".join(cells) + " |")
        mean = part.groupby("dose")["ratio"].mean()
        lines.append("| **mean ratio** | " + " | ".join(f"{mean[d]:.2f}" for d in doses) + " |\n")
    return "\n".join(lines)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="small", help="shipped name or .safetensors file")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="", help="part of the name of the views to take")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/positions"))
    options = parser.parse_args()
    results = measure(Segmenter(options.model), options.seeds, options.only)
    options.output.mkdir(parents=True, exist_ok=True)
    results.to_csv(options.output / "positions.csv", index=False, float_format="%.5g")
    text = report(results)
    (options.output / "positions.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
