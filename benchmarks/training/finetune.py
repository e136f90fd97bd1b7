"""Does correcting pay?  ``python -m benchmarks.training.finetune -o out/finetune``.

The shipped network meets micrographs that it was not made for. 1, 2, 5 or 10 regions of 256 × 256 pixels are
corrected (their true atoms are taken), the network is fine-tuned on them as the desk does, and both are
scored on unseen regions of that domain and on views of the original one.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.training.shifted_domains import DOMAINS, view
from benchmarks.validation.validation_set import Item, items
from napari_stemprior.adaptation.corrected_dataset import view_of
from napari_stemprior.adaptation.finetune import FinetuneConfig, FineTuner
from napari_stemprior.atoms.metrics import Score, pooled, score
from napari_stemprior.inference import Segmenter
from napari_stemprior.io import Micrograph, TrainingPair
from napari_stemprior.progress import drain
from napari_stemprior.training.structure_bank import library_bank

COUNTS = (1, 2, 5, 10)
#: Views are numbered: corrected ones from 0, unseen ones from here.
_UNSEEN, _UNSEEN_COUNT = 100, 4
#: Views of the original domain and their doses.
_ORIGINAL = {"02": 1e3, "04": 3e3, "08": 1e3, "12": 3e3, "16": 1e4, "22": 1e3, "26": 3e3}


def corrected(name: str, number: int) -> TrainingPair:
    """Return a region as it is after a perfect correction of the whole of it."""
    shown = view(name, number)
    micrograph = Micrograph(shown.image, shown.pixel_size, f"{name} {number}")
    return TrainingPair(micrograph, shown.truth, np.ones(shown.image.shape, bool), shown.prior)


def unseen(segmenter: Segmenter, name: str) -> Score:
    """Score the unseen regions of a domain."""
    scores = []
    for number in range(_UNSEEN, _UNSEEN + _UNSEEN_COUNT):
        shown = view(name, number)
        segmenter.set_image(shown.image, shown.pixel_size)
        found = segmenter.segment(shown.prior)
        scores.append(score(found, shown.truth, shown.image.shape, vacancies=shown.vacancies))  # type: ignore[arg-type]
    return pooled(scores)


def original(segmenter: Segmenter, views: list[tuple[Item, float]]) -> tuple[float, float]:
    """Return the mean strict F1 on the original domain with the prior and without."""
    with_prior, alone = [], []
    for item, dose in views:
        segmenter.set_image(item.micrograph(dose), item.pixel_size)
        for prior, results in ((item.prior, with_prior), (None, alone)):
            found = segmenter.segment(prior)
            results.append(score(found, item.truth, item.image.shape).f1)  # type: ignore[arg-type]
    return float(np.mean(with_prior)), float(np.mean(alone))


def measure(model: str, names: list[str], counts: list[int], steps: int, seed: int) -> pd.DataFrame:
    """Fine-tune for every domain and number of regions, one row each; 0 regions is the parent."""
    bank = library_bank()
    views = [(item, _ORIGINAL[item.name[:2]]) for item in items() if item.name[:2] in _ORIGINAL]
    rows = []
    parent = original(Segmenter(model, "cpu"), views)
    for name in names:
        for count in (0, *counts):
            segmenter = Segmenter(model, "cpu")
            start = time.process_time()
            if count:
                rng = np.random.default_rng(seed)
                pairs = [corrected(name, number) for number in range(count)]
                views = [view_of(pair, pair.reviewed, rng) for pair in pairs]
                config = FinetuneConfig(steps=steps, seed=seed)
                segmenter.network = drain(FineTuner(segmenter.network, views, bank, config).run())
            seconds = time.process_time() - start if count else 0.0
            found = unseen(segmenter, name)
            kept = original(segmenter, views) if count else parent
            rows.append(
                {
                    "domain": name,
                    "regions": count,
                    "cpu_seconds": seconds,
                    "f1": found.f1,
                    "precision": found.precision,
                    "recall": found.recall,
                    "vacancies_filled": found.vacancies_filled,
                    "original_f1": kept[0],
                    "original_f1_alone": kept[1],
                }
            )
            print(rows[-1], file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def report(results: pd.DataFrame) -> str:
    """Write the table as Markdown."""
    lines = [
        "| domain | corrected regions | strict F1, unseen regions | error gone | original domain, with prior "
        "| original domain, no prior | CPU s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    results = results.sort_values("regions", kind="stable")
    for name in [known for known in DOMAINS if (results["domain"] == known).any()]:
        part = results[results["domain"] == name]
        before = part[part["regions"] == 0].iloc[0]
        for _, row in part.iterrows():
            gone = 1 - (1 - row["f1"]) / max(1 - before["f1"], 1e-9)
            kept = [
                f"{row[key]:.4f}" + ("" if row["regions"] == 0 else f" ({row[key] - before[key]:+.4f})")
                for key in ("original_f1", "original_f1_alone")
            ]
            better, took = ("–", "–") if row["regions"] == 0 else (f"{gone:.0%}", f"{row['cpu_seconds']:.0f}")
            cells = [name, f"{row['regions']:.0f}", f"{row['f1']:.3f}", better, *kept, took]
            lines.append("| " + " | ".join(cells) + " |")
    told = "\n".join(f"- *{d.name}*: {d.summary}." for d in DOMAINS.values())
    return "\n".join(lines) + "\n\n" + told + "\n"


def main() -> None:
    """Run the benchmark, or write the table of runs that are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="small", help="shipped name or .safetensors file")
    parser.add_argument("--only", action="append", choices=list(DOMAINS), help="a domain; may be repeated")
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS), help="corrected regions")
    parser.add_argument("--steps", type=int, default=60, help="mini-batches (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--join", type=Path, nargs="+", help="CSV files of runs to put into one table")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/finetune"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.join:
        results = pd.concat([pd.read_csv(path) for path in options.join])
    else:
        names = options.only or list(DOMAINS)
        results = measure(options.model, names, options.counts, options.steps, options.seed)
    options.output.mkdir(parents=True, exist_ok=True)
    results.to_csv(options.output / "finetune.csv", index=False, float_format="%.5g")
    text = report(results)
    (options.output / "finetune.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
