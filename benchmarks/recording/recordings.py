"""Segment recordings with every artefact alone and all together, and real micrographs with faults.

``python -m benchmarks.recording.recordings -o out/recordings`` writes ``recordings.csv`` (one row an image),
``real.csv`` and ``recordings.md``. The CSVs are written as the answers come, and what they hold is not
measured again: the same command goes on where it was stopped. Answers of other weights are measured anew;
after a change of the code take a new folder, or ``--again`` this one.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

from benchmarks.recording.artefacts import CLEAN, NAMES, STRENGTHS, TOGETHER, WEAK, recorded
from benchmarks.recording.real_micrographs import MICROGRAPHS, ROOT, VARIANTS, counts, find, variant
from benchmarks.recording.report import report
from benchmarks.recording.scores import judged, on_bad
from benchmarks.validation.validation_set import items
from napari_stemprior.atomic_write import replaced
from napari_stemprior.inference import Segmenter
from napari_stemprior.inference.models import model_path
from napari_stemprior.structure import built_in

#: Views of the validation set that are multislice as it is, and the factor of their doses.
VIEWS = {
    "04 wse2_vacancies vacancies": 1,
    "22 wte2_vacancies vacancies": 1,
    "10 srtio3_110 perfect": 1,
    "26 tio2_001 perfect": 1,
    "23 res2 perfect": 1,
    "15 graphene_vacancies vacancies": 10,
}
DOSES = (1e3, 3e3, 1e4)
QUICK_VIEWS, QUICK_DOSES = ("04 ", "22 "), (3e3,)
KEYS = ["item", "dose", "seed", "artefact", "strength"]
REAL_KEYS = ["micrograph", "variant"]
#: Answers between two writings of the CSV.
_OFTEN = 10

_segmenter = cache(Segmenter)


def answer(model: str, device: str, image: Any, stated: float, prior: Any) -> tuple[Any, dict[str, Any]]:
    """Segment an image.

    Returns
    -------
    found : AtomTable or None
        None if it was refused.
    row : dict
        placed, reservation, atoms, message and seconds.
    """
    start = time.perf_counter()
    row: dict[str, Any] = {"placed": False, "reservation": "", "atoms": 0, "message": ""}
    found = None
    try:
        segmenter = _segmenter(model, device)
        segmenter.set_image(image, stated)
        found = segmenter.segment(prior)
        row["placed"] = bool(found.provenance["prior_fits"])
        row["reservation"] = "; ".join(map(str, found.provenance.get("reservations") or ()))
        row["atoms"] = len(found.atoms)
    except Exception as error:  # whatever it is, a user gets no atoms: that is what is measured
        row["message"] = f"{type(error).__name__}: {error}"
    return found, row | {"seconds": time.perf_counter() - start}


def measure(model: str, device: str, key: tuple[str, float, int, str, str]) -> dict[str, Any]:
    """Record a view, segment it and score the answer."""
    name, dose, seed, artefact, strength = key
    (item,) = items(name)
    known = recorded(item, dose * VIEWS[name], artefact, strength or WEAK, seed)
    found, row = answer(model, device, known.recording.image, known.recording.stated, item.prior)
    scored: dict[str, Any] = {"f1": 0.0, "vacancies": 0, "filled": 0, "on_mask": 0}
    if found is not None:
        result = judged(found, known)
        scored = vars(result) | {"f1": result.f1}
    return dict(zip(KEYS, key, strict=True)) | {"specimen": item.specimen} | scored | row


def measure_real(model: str, device: str, folder: Path, key: tuple[str, str]) -> dict[str, Any]:
    """Segment a real micrograph and count the atoms in its boxes."""
    (micrograph,) = (m for m in MICROGRAPHS if m.file == key[0])
    path = find(micrograph, folder)
    assert path is not None
    recording = variant(micrograph, path, key[1])
    prior = built_in(micrograph.prior)
    found, row = answer(model, device, recording.image, recording.stated, prior)
    row |= {"prior": prior.name, "stated": recording.stated, "on_mask": 0}
    if found is not None:
        row["on_mask"] = on_bad(found, recording)
        for number, (box, count) in enumerate(counts(found, micrograph), 1):
            row |= {
                f"box{number}": count,
                f"columns{number}": box.columns,
                f"doubtful{number}": box.doubtful,
            }
    return dict(zip(REAL_KEYS, key, strict=True)) | row


def wanted(names: tuple[str, ...], views: list[str], doses: tuple[float, ...], seeds: int) -> list[tuple]:
    """List the images: each artefact at both strengths, and the clean recording they are compared with."""
    kinds = [(CLEAN, "")] + [(name, strength) for name in names for strength in STRENGTHS]
    return [
        (view, dose, seed, *kind)
        for view in views
        for dose in doses
        for seed in range(seeds)
        for kind in kinds
    ]


def read(path: Path, keys: list[str]) -> pd.DataFrame:
    """Read what is measured; empty if nothing is."""
    if not path.exists():
        return pd.DataFrame(columns=[*keys, "source"])
    text = dict.fromkeys(("strength", "reservation", "message"), "")
    found = pd.read_csv(path, dtype={"dose": float, "source": str} | dict.fromkeys(text, str))
    return found.fillna({name: empty for name, empty in text.items() if name in found})


def run(
    todo: list[tuple], task: Callable[..., dict[str, Any]], given: tuple, workers: int
) -> Iterator[dict[str, Any]]:
    """Yield the rows as they come, measured in some processes of one thread each."""
    os.environ["OMP_NUM_THREADS"] = "1"  # the processes take it over before they import torch
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
        futures = [pool.submit(task, *given, key) for key in todo]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def collect(
    path: Path, keys: list[str], todo: list[tuple], source: str, rows: Callable[[list], Iterator], again: bool
) -> pd.DataFrame:
    """Measure what is missing in a CSV, write it every now and then, and return what is wanted."""
    done = read(path, keys)
    done = done[done["source"] == source]
    if again:
        mine = pd.MultiIndex.from_frame(done[keys]).isin(todo) if todo and len(done) else [False] * len(done)
        done = done[~pd.Series(mine, index=done.index, dtype=bool)]
    there = set(done[keys].itertuples(index=False, name=None))
    left = [key for key in todo if key not in there]
    print(f"{path.name}: {len(todo) - len(left)} of {len(todo)} images are there, {len(left)} to go")
    new: list[dict[str, Any]] = []

    def write() -> pd.DataFrame:
        frames = [done, pd.DataFrame(new).assign(source=source)] if new else [done]
        table = pd.concat([f for f in frames if len(f)] or [done], ignore_index=True)
        table = table.sort_values(keys, kind="stable", ignore_index=True)
        with replaced(path) as beside:
            table.to_csv(beside, index=False, float_format="%.6g")
        return table

    try:
        for row in tqdm(rows(left), total=len(left), unit="image", disable=None) if left else ():
            new.append(row)
            if len(new) % _OFTEN == 0:
                write()
                print(f"{len(new)} of {len(left)}: {' '.join(str(row[k]) for k in keys)}", flush=True)
    finally:
        table = write()
    return table[table[keys].apply(tuple, axis=1).isin(set(todo))] if len(table) else table


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="small", help="shipped name or .safetensors file")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--only", nargs="+", metavar="ARTEFACT", default=[], help="parts of artefacts' names")
    parser.add_argument("--specimens", nargs="+", metavar="NAME", default=[], help="parts of views' names")
    parser.add_argument("--seeds", type=int, default=1, help="noise seeds an image")
    parser.add_argument(
        "--quick", action="store_true", help="two specimens at 3e3 e/Å², two real micrographs"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes, each takes one image at a time")
    parser.add_argument(
        "--parts", nargs="+", choices=("simulated", "real"), default=["simulated", "real"], help="what to run"
    )
    parser.add_argument(
        "--micrographs",
        type=Path,
        default=ROOT.parent / "shared" / "micrographs",
        help="folder of the real micrographs (default: ../shared/micrographs beside the project)",
    )
    parser.add_argument("--again", action="store_true", help="measure anew what is there")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/recordings"))
    options = parser.parse_args()
    known = (*NAMES, TOGETHER)
    names = tuple(n for n in known if not options.only or any(part in n for part in options.only))
    if not names:
        sys.exit(f"There is no such artefact; there are: {', '.join(known)}.")
    parts = options.specimens or (QUICK_VIEWS if options.quick else [""])
    views = [view for view in VIEWS if any(part in view for part in parts)]
    doses = QUICK_DOSES if options.quick else DOSES
    path = model_path(options.model)
    source = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    options.output.mkdir(parents=True, exist_ok=True)
    given = (options.model, options.device)
    simulated = real = pd.DataFrame()
    notes = []
    if "simulated" in options.parts:
        simulated = collect(
            options.output / "recordings.csv",
            KEYS,
            wanted(names, views, doses, options.seeds),
            source,
            lambda left: run(left, measure, given, options.workers),
            options.again,
        )
    if "real" in options.parts:
        todo = []
        for micrograph in MICROGRAPHS[: 2 if options.quick else None]:
            if find(micrograph, options.micrographs):
                todo += [(micrograph.file, name) for name in VARIANTS]
            else:
                notes.append(f"{micrograph.file} is not there and was skipped.")
        real = collect(
            options.output / "real.csv",
            REAL_KEYS,
            todo,
            source,
            lambda left: run(left, measure_real, (*given, options.micrographs), options.workers),
            options.again,
        )
    text = report(simulated, real, notes)
    (options.output / "recordings.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"Written to {options.output / 'recordings.md'}, recordings.csv and real.csv")


if __name__ == "__main__":
    main()
