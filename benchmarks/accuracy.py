"""Compare the network with its rivals on the validation set; one command, one table.

``python benchmarks/accuracy.py --model small -o out/accuracy`` writes ``accuracy.md``, ``accuracy.csv``.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ablations import segmenters
from known_images import answer
from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.metrics import score
from napari_stemprior.inference import Segmenter
from rivals import best_pose, laplacian_of_gaussian, stamped
from vacancy_limit import limits
from validation_set import DOSES, Item, items

OURS, ALONE, MISLED, LOG, STAMP = (
    "with the prior",
    "without a prior",
    "with a wrong prior",
    "LoG",
    "fit and stamp",
)
METHODS = (OURS, ALONE, MISLED, LOG, STAMP)


@dataclass(frozen=True)
class Others:
    """What is compared beside the shipped network and the classical rivals.

    Parameters
    ----------
    rivals : dict of str to pathlib.Path
        Positions that others have written, see ``known_images.py``.
    ablations : dict
        Networks without one part each, see ``ablations.py``, and whether they are given the prior.
    """

    rivals: dict[str, Path] = field(default_factory=dict)
    ablations: dict[str, tuple[Segmenter, bool]] = field(default_factory=dict)


def answers(
    item: Item, dose: float, seed: int, segmenter: Segmenter | None, others: Others
) -> Iterator[tuple[str, AtomTable]]:
    """Yield the answer of each method on one micrograph."""
    image = item.micrograph(dose, seed)
    yield LOG, laplacian_of_gaussian(image, item.pixel_size, item.prior)
    yield STAMP, stamped(image, item.pixel_size, item.prior, best_pose(image, item.pixel_size, item.prior))
    if segmenter is not None:
        segmenter.set_image(image, item.pixel_size)
        for method, prior in ((OURS, item.prior), (ALONE, None), (MISLED, item.wrong_prior)):
            yield method, segmenter.segment(prior)
    for name, file in others.rivals.items():
        yield name, answer(file, item, dose, seed)
    for name, (variant, prompted) in others.ablations.items():
        variant.set_image(image, item.pixel_size)
        yield name, variant.segment(item.prior if prompted else None)


def measure(
    doses: tuple[float, ...], seeds: int, segmenter: Segmenter | None, chosen: str, others: Others
) -> pd.DataFrame:
    """Score every method on every micrograph, one row each."""
    rows = []
    wanted = items(chosen)
    for number, item in enumerate(wanted):
        for dose in doses:
            for seed in range(seeds):
                start = time.perf_counter()
                for method, found in answers(item, dose, seed, segmenter, others):
                    result = score(found, item.truth, item.image.shape, vacancies=item.vacancies)  # type: ignore[arg-type]
                    numbers = result.as_dict()
                    elements = list(numbers.pop("element_f1").values())
                    # only a right prior tells the elements, only the network says how sure it is
                    named = method in (OURS, STAMP) and elements
                    numbers["element_f1"] = float(np.mean(elements)) if named else np.nan
                    if method in (LOG, STAMP):
                        numbers["ece"] = np.nan
                    taken = time.perf_counter() - start
                    rows.append(
                        {
                            "item": item.name,
                            "specimen": item.specimen,
                            "scene": item.scene,
                            "dose": dose,
                            "seed": seed,
                            "method": method,
                            "vacancy_limit": limits(item).get(dose, np.nan),
                            "seconds": taken,
                        }
                        | numbers
                    )
                    start = time.perf_counter()
        if sys.stderr.isatty() or os.environ.get("PROGRESS"):
            print(f"{number + 1}/{len(wanted)} {item.name}", file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def interval(values: np.ndarray, rng: np.random.Generator) -> str:
    """Return the mean with its bootstrap 95 % interval over the micrographs."""
    draws = rng.choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.percentile(draws, [2.5, 97.5])
    return f"{values.mean():.3f} ({low:.3f} to {high:.3f})"


def report(results: pd.DataFrame, model: str) -> str:
    """Write the tables as Markdown."""
    methods = [m for m in METHODS if (results["method"] == m).any()]
    methods += [m for m in results["method"].unique() if m not in methods]
    rng = np.random.default_rng(0)
    parts = [
        f"# Accuracy of `{model}`\n",
        "Strict F1: one-to-one matches within min(0.3 × median neighbour distance, 0.75 Å), 1 Å border left "
        "out; abTEM multislice images of crystals held out from training (the single layers of MoSe2 on WS2 "
        f"are not); {results['item'].nunique()} views, {results['seed'].nunique()} noise "
        "seed(s), means over micrographs.\n",
    ]

    def add(title: str, rows: str, value: str, digits: int = 3) -> None:
        pivot = results.pivot_table(index=rows, columns="method", values=value, aggfunc="mean", sort=False)
        pivot = pivot.reindex(columns=methods)
        mean = results.groupby("method")[value].mean()
        lines = [
            f"## {title}\n",
            f"| {rows} | " + " | ".join(methods) + " |",
            "|---|" + "---:|" * len(methods),
        ]
        for name, row in pivot.iterrows():
            label = f"{name:g} e/Å²" if isinstance(name, float) else str(name)
            lines.append(f"| {label} | " + " | ".join(_number(v, digits) for v in row) + " |")
        lines.append("| **mean** | " + " | ".join(_number(mean[m], digits) for m in methods) + " |")
        parts.append("\n".join(lines) + "\n")

    lines = ["## Strict F1, mean and bootstrap 95 % interval\n", "| method | strict F1 |", "|---|---:|"]
    for method in methods:
        lines.append(
            f"| {method} | {interval(results.loc[results['method'] == method, 'f1'].to_numpy(), rng)} |"
        )
    parts.append("\n".join(lines) + "\n")
    add("Strict F1 by dose", "dose", "f1")
    add("Strict F1 by scene", "scene", "f1")
    add("Strict F1 by specimen", "specimen", "f1")
    for scene in results["scene"].unique():
        part = results[results["scene"] == scene]
        pivot = part.pivot_table(index="dose", columns="method", values="f1").reindex(columns=methods)
        lines = [f"### {scene}: strict F1\n", "| dose | " + " | ".join(methods) + " |"]
        lines.append("|---|" + "---:|" * len(methods))
        lines += [
            f"| {d:g} | " + " | ".join(_number(v, 3) for v in row) + " |" for d, row in pivot.iterrows()
        ]
        parts.append("\n".join(lines) + "\n")
    if results["vacancies"].any():
        parts.append(vacancies(results))
    if results["hidden_layer_recall"].notna().any():
        add("Hidden-layer recall", "dose", "hidden_layer_recall")
    add("Precision", "dose", "precision")
    add("Recall", "dose", "recall")
    add("RMSE of the matched, Å", "dose", "rmse")
    add("Element F1 (mean over the elements; it takes the right prior)", "dose", "element_f1")
    add("Calibration error of the confidence", "dose", "ece")
    add("Looser published form (mutual nearest neighbours, no gate): F1", "dose", "loose_f1")
    add("Seconds a micrograph (the answer with the prior includes the one without)", "dose", "seconds", 2)
    return "\n".join(parts)


def vacancies(results: pd.DataFrame) -> str:
    """Write the share of vacancies filled by the network with the prior beside what is possible at best."""
    own = results[(results["method"] == OURS) & results["vacancy_limit"].notna()]
    stamp = results[(results["method"] == STAMP) & results["vacancy_limit"].notna()]
    doses = sorted(results["dose"].unique())
    lines = [
        "## Vacancies filled, %: with the prior / likelihood-ratio limit / fit and stamp\n",
        "The limit is that of a test that knows place, blur and profile, has Poisson noise alone and calls "
        "1 % of the true columns vacant (`benchmarks/vacancy_limit.py`).\n",
        "| specimen | " + " | ".join(f"{d:g} e/Å²" for d in doses) + " |",
        "|---|" + "---:|" * len(doses),
    ]
    for specimen in own["specimen"].unique():
        cells = []
        for dose in doses:
            ours, ideal, stamped_ = (
                100 * frame.loc[(frame["specimen"] == specimen) & (frame["dose"] == dose), column].mean()
                for frame, column in (
                    (own, "vacancies_filled"),
                    (own, "vacancy_limit"),
                    (stamp, "vacancies_filled"),
                )
            )
            cells.append(f"{ours:.1f} / {ideal:.1f} / {stamped_:.0f}")
        lines.append(f"| {specimen} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _number(value: float, digits: int) -> str:
    return "–" if not np.isfinite(value) else f"{value:.{digits}f}"


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--model", default="small", help="shipped name or .safetensors file; 'none' leaves it out"
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--quick", action="store_true", help="1e3 and 1e4 e/Å² only")
    parser.add_argument("--seeds", type=int, default=1, help="noise seeds a micrograph")
    parser.add_argument("--only", default="", help="part of the name of the views to take")
    parser.add_argument(
        "--rival", action="append", default=[], metavar="NAME=FILE", help="positions of known_images.py"
    )
    parser.add_argument("--ablations", type=Path, help="folder of ablations.py")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/accuracy"))
    options = parser.parse_args()
    segmenter = None if options.model == "none" else Segmenter(options.model, options.device)
    rivals = dict(text.split("=", 1) for text in options.rival)
    others = Others(
        {name: Path(file) for name, file in rivals.items()},
        segmenters(options.ablations) if options.ablations else {},
    )
    doses = (1e3, 1e4) if options.quick else DOSES
    results = measure(doses, options.seeds, segmenter, options.only, others)
    options.output.mkdir(parents=True, exist_ok=True)
    results.to_csv(options.output / "accuracy.csv", index=False, float_format="%.5g")
    text = report(results, options.model)
    (options.output / "accuracy.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"Written to {options.output / 'accuracy.md'} and accuracy.csv")


if __name__ == "__main__":
    main()
