"""Compare the network with its rivals on the validation set; one command, all tables and plots.

``python -m benchmarks.accuracy.accuracy --model small -o out/accuracy`` writes ``accuracy.csv`` (one row an
answer), ``accuracy.md`` and ``images/``. The CSV is written after every view, and what it holds is not
measured again: the same command goes on where it was stopped, and parts can be measured one by one into one
folder (``--methods ours log``, later ``--methods --rival AtomAI=atomai.npz``). Answers of other weights than
those asked for are measured anew; after a change of the code or of the validation set take a new folder.
``--join FOLDER ...`` measures nothing and reports what is in several folders.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from benchmarks.accuracy.plots import draw
from benchmarks.accuracy.report import report
from benchmarks.accuracy.statistics import (
    ALONE,
    CLASSICAL,
    LOG,
    MISLED,
    MISPLACED,
    NETWORK,
    OURS,
    STAMP,
    UNPLACED,
)
from benchmarks.accuracy.vacancy_limit import limits
from benchmarks.rivals.classical import best_pose, laplacian_of_gaussian, stamped
from benchmarks.rivals.known_images import answer, key
from benchmarks.training.ablations import VARIANTS, segmenters
from benchmarks.validation.validation_set import DOSES, Item, items
from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.metrics import score
from napari_stemprior.inference import Segmenter
from napari_stemprior.inference.models import model_path

CHOICES = {
    "ours": OURS,
    "alone": ALONE,
    "misled": MISLED,
    "unplaced": UNPLACED,
    "misplaced": MISPLACED,
    "log": LOG,
    "stamp": STAMP,
}
#: Measured where no methods are named.
_USUAL = ("ours", "alone", "misled", "log", "stamp")
#: Methods that are given the right prior and use its elements.
GUIDED = {OURS, STAMP} | {variant.label for variant in VARIANTS.values() if variant.prompted}
Task = tuple[float, int, str]  #: dose, seed, method


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Parameters
    ----------
    methods : tuple of str
        Of the shipped network and the classical rivals.
    model, device : str
    rivals : dict of str to pathlib.Path
        Positions that others have written, see ``rivals/known_images.py``.
    ablations : pathlib.Path, optional
        Folder of networks without one part each, see ``training/ablations.py``.
    """

    methods: tuple[str, ...] = (OURS, ALONE, MISLED, *CLASSICAL)
    model: str = "small"
    device: str = "auto"
    rivals: dict[str, Path] = field(default_factory=dict)
    ablations: Path | None = None

    def sources(self) -> dict[str, tuple[str, str]]:
        """Return the kind of each method, and what it answers from: a file's name and digest."""
        found = {m: ("classical", "") for m in self.methods if m in CLASSICAL}
        if set(self.methods) & set(NETWORK):
            path = model_path(self.model)
            label = f"{path.name.removesuffix('.safetensors')} {_digest(path)}"
            found |= {m: ("network", label) for m in self.methods if m in NETWORK}
        found |= {name: ("rival", _digest(file)) for name, file in self.rivals.items()}
        for folder, variant in VARIANTS.items():
            path = (self.ablations or Path()) / folder / "weights.safetensors"
            if self.ablations and path.exists():
                found[variant.label] = ("ablation", _digest(path))
        return found

    def tasks(self, item: Item, doses: Iterable[float], seeds: int) -> list[Task]:
        """List what there is to answer on a view; a rival answers what its file holds."""
        known = {name: _names(file) for name, file in self.rivals.items()}
        return [
            (dose, seed, method)
            for dose in doses
            for seed in range(seeds)
            for method in self.sources()
            if method not in known or key(item, dose, seed) in known[method]
        ]

    def unanswered(self, views: Iterable[Item], doses: Iterable[float], seeds: int) -> dict[str, int]:
        """Count the micrographs that a rival's file lacks, for the rivals that lack any."""
        wanted = {key(item, dose, seed) for item in views for dose in doses for seed in range(seeds)}
        missing = {name: len(wanted - _names(file)) for name, file in self.rivals.items()}
        return {name: number for name, number in missing.items() if number}


def _names(file: Path) -> set[str]:
    with np.load(file, allow_pickle=False) as data:
        return set(data.files)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


_segmenter = cache(Segmenter)
_variants = cache(segmenters)


def answers(
    comparison: Comparison, item: Item, dose: float, seed: int, wanted: set[str]
) -> Iterator[tuple[str, AtomTable]]:
    """Yield the answer of each method wanted on one micrograph."""
    image = item.micrograph(dose, seed)
    if LOG in wanted:
        yield LOG, laplacian_of_gaussian(image, item.pixel_size, item.prior)
    if STAMP in wanted:
        yield (
            STAMP,
            stamped(image, item.pixel_size, item.prior, best_pose(image, item.pixel_size, item.prior)),
        )
    if wanted & set(NETWORK):
        segmenter = _segmenter(comparison.model, comparison.device)
        segmenter.set_image(image, item.pixel_size)
        for method, prior in ((OURS, item.prior), (ALONE, None), (MISLED, item.wrong_prior)):
            if method in wanted:
                yield method, segmenter.segment(prior)
        for method, prior in ((UNPLACED, item.prior), (MISPLACED, item.wrong_prior)):
            if method in wanted:
                yield method, segmenter.segment(prior, place=False)
    for name, file in comparison.rivals.items():
        if name in wanted:
            yield name, answer(file, item, dose, seed)
    variants = _variants(comparison.ablations) if comparison.ablations else {}
    for name, (variant, prompted) in variants.items():
        if name in wanted:
            variant.set_image(image, item.pixel_size)
            yield name, variant.segment(item.prior if prompted else None)


def measure(comparison: Comparison, view: str, tasks: list[Task]) -> pd.DataFrame:
    """Score the answers on one view, one row each."""
    (item,) = items(view)
    sources = comparison.sources()
    micrographs: dict[tuple[float, int], set[str]] = {}
    for dose, seed, method in tasks:
        micrographs.setdefault((dose, seed), set()).add(method)
    rows = []
    for (dose, seed), wanted in micrographs.items():
        start = time.perf_counter()
        for method, found in answers(comparison, item, dose, seed, wanted):
            taken = time.perf_counter() - start
            kind, source = sources[method]
            result = score(
                found,
                item.truth,
                item.image.shape,
                vacancies=item.vacancies,
                vacancy_layers=item.vacancy_layers,
            )
            numbers = result.as_dict()
            elements = list(numbers.pop("element_f1").values())
            # only a right prior tells the elements, only a network says how sure it is
            named = elements and method in GUIDED
            numbers["element_f1"] = float(np.mean(elements)) if named else np.nan
            if kind in ("classical", "rival"):
                numbers["ece"] = np.nan
            rows.append(
                {
                    "item": item.name,
                    "specimen": item.specimen,
                    "scene": item.scene,
                    "dose": dose,
                    "seed": seed,
                    "method": method,
                    "kind": kind,
                    "source": source,
                    "vacancy_limit": limits(item).get(dose, np.nan),
                    "seconds": taken,
                }
                | numbers
            )
            start = time.perf_counter()
    return pd.DataFrame(rows)


def measured(comparison: Comparison, work: dict[str, list[Task]], workers: int) -> Iterator[pd.DataFrame]:
    """Yield the rows of each view as they come, measured in some processes of one thread each."""
    os.environ["OMP_NUM_THREADS"] = "1"  # the processes take it over before they import torch
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
        futures = [pool.submit(measure, comparison, view, tasks) for view, tasks in work.items()]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def read(folder: Path) -> pd.DataFrame:
    """Read what is measured in a folder; empty if nothing is."""
    path = folder / "accuracy.csv"
    if not path.exists():
        return pd.DataFrame(columns=["item", "dose", "seed", "method", "kind", "source"])
    found = pd.read_csv(path, dtype={"dose": float, "source": str}, keep_default_na=True)
    if "source" not in found:
        sys.exit(f"{path} has no column 'source': an older version wrote it; measure into a new folder.")
    return found.fillna({"source": ""})


def write(results: pd.DataFrame, folder: Path) -> None:
    """Write the rows, beside and renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / "accuracy.csv.part"
    results.to_csv(beside, index=False, float_format="%.5g")
    beside.replace(folder / "accuracy.csv")


def joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Put results together; of two answers of one method to one micrograph the later counts."""
    together = pd.concat([f for f in frames if len(f)], ignore_index=True)
    return together.drop_duplicates(["item", "dose", "seed", "method"], keep="last", ignore_index=True)


def remaining(
    comparison: Comparison, views: Iterable[Item], doses: Iterable[float], seeds: int, done: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, list[Task]]]:
    """Return the rows that still hold, and what is left to measure on each view."""
    sources = comparison.sources()
    stale = done["method"].isin(list(sources)) & (
        done["source"] != done["method"].map({m: source for m, (_, source) in sources.items()})
    )
    done = done[~stale]
    known = set(done[["item", "dose", "seed", "method"]].itertuples(index=False, name=None))
    work = {}
    for item in views:
        tasks = [t for t in comparison.tasks(item, tuple(doses), seeds) if (item.name, *t) not in known]
        if tasks:
            work[item.name] = tasks
    return done, work


def _named_file(text: str) -> tuple[str, Path]:
    name, _, file = text.partition("=")
    if not name or not Path(file).is_file():
        raise argparse.ArgumentTypeError(f"{text!r}: give a name, '=' and a file that exists")
    return name, Path(file)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="small", help="shipped name or .safetensors file")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--methods",
        nargs="*",
        choices=list(CHOICES),
        default=list(_USUAL),
        help="the network with the right prior, none, a wrong one, the right and the wrong one without a "
        "place for them; the classical rivals (default: all but those without a place)",
    )
    parser.add_argument(
        "--rival",
        type=_named_file,
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="its positions, see rivals/known_images.py",
    )
    parser.add_argument("--ablations", type=Path, metavar="FOLDER", help="of training/ablations.py")
    parser.add_argument("--quick", action="store_true", help="1e3 and 1e4 e/Å² only")
    parser.add_argument("--seeds", type=int, default=1, help="noise seeds a micrograph")
    parser.add_argument("--only", default="", help="part of the name of the views to take")
    parser.add_argument("--workers", type=int, default=1, help="processes, each takes one view at a time")
    parser.add_argument(
        "--join",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="measure nothing; of two answers the later counts",
    )
    parser.add_argument("--positions", type=Path, metavar="FOLDER", help="of positions.py, for the report")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/accuracy"))
    options = parser.parse_args()
    if options.join:
        results = joined([read(folder) for folder in options.join])
    else:
        comparison = Comparison(
            tuple(CHOICES[name] for name in options.methods),
            options.model,
            options.device,
            dict(options.rival),
            options.ablations,
        )
        doses = (1e3, 1e4) if options.quick else DOSES
        results, work = remaining(comparison, items(options.only), doses, options.seeds, read(options.output))
        print(f"{len(results)} answers are there; {sum(map(len, work.values()))} on {len(work)} views to go")
        for name, number in comparison.unanswered(items(options.only), doses, options.seeds).items():
            print(f"{name}: its file holds no answer for {number} of the micrographs", file=sys.stderr)
        found = measured(comparison, work, options.workers)
        for rows in tqdm(found, total=len(work), unit="view", disable=None):
            results = joined([results, rows])
            write(results, options.output)
    results = results.sort_values(["item", "dose", "seed"], kind="stable", ignore_index=True)
    write(results, options.output)
    draw(results, options.output / "images")
    text = report(results, options.positions)
    (options.output / "accuracy.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"Written to {options.output / 'accuracy.md'}, accuracy.csv and images/")


if __name__ == "__main__":
    main()
