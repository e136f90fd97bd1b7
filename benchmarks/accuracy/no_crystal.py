"""Ask whether a network is silent where there is no crystal, and finds isolated atoms.

``python -m benchmarks.accuracy.no_crystal --model small -o out/no_crystal`` writes ``no_crystal.csv`` (one
row an answer) and ``no_crystal.md``: false atoms in 10 nm² at the confidence that is shown by default, and
precision, recall and F1 of isolated atoms at multiples of the dose that an ideal observer needs; without a
prior and with one that is necessarily wrong. The fields are those of `benchmarks.validation.no_crystal`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.spatial import cKDTree
from tqdm import tqdm

from benchmarks.validation.no_crystal import DOSES, PIXEL_SIZE, PIXELS, Field, atom_fields, empty_fields
from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.metrics import score
from napari_stemprior.inference import Segmenter
from napari_stemprior.structure import built_in

#: Doses of the fields with atoms, in parts of what an ideal observer needs.
MULTIPLES = (1.0, 3.0, 10.0, 30.0)
#: No crystal is any of these.
WRONG = ("WSe2", "Si [110]")
#: 10 nm² of the field, less the border of 1 Å that is not judged.
_PARTS = ((PIXELS * PIXEL_SIZE - 2) / 10) ** 2 / 10
_GATE = 0.75


def _inside(table: AtomTable) -> AtomTable:
    yx, edge = table.yx, 1 / PIXEL_SIZE
    return table.where(((yx > edge) & (yx < PIXELS - 1 - edge)).all(axis=1))


def _row(known: Field, found: AtomTable) -> dict[str, float]:
    """Score an answer; ``surety`` and ``true`` sum the confidence and the hits, for its calibration."""
    within = _inside(found)
    hits = np.zeros(len(within))
    if len(known.yx) and len(within):
        hits = (cKDTree(known.yx).query(within.yx)[0] * PIXEL_SIZE < _GATE).astype(float)
    row = {
        "false": float((hits == 0).sum()) / _PARTS,
        "atoms": float(len(within)),
        "surety": float(within.rows["confidence"].sum()),
        "true": float(hits.sum()),
    }
    if len(known.yx):
        result = score(found, known.truth, known.image.shape, gate=_GATE).as_dict()
        row |= {name: result[name] for name in ("f1", "precision", "recall")}
    return row


def measure(segmenter: Segmenter, seeds: int, quick: bool = False) -> pd.DataFrame:
    """Ask a network of every field, without a prior and with wrong ones."""
    doses, multiples, wrong = (DOSES[::2], MULTIPLES[1:3], WRONG[:1]) if quick else (DOSES, MULTIPLES, WRONG)
    tasks = [(known, "no crystal", dose, 0.0) for known in empty_fields() for dose in doses]
    tasks += [
        (known, "isolated atoms", many * known.ideal_dose, many)
        for known in atom_fields()
        for many in multiples
    ]
    rows = []
    for known, kind, dose, multiple in tqdm(tasks, disable=None):
        for seed in range(seeds):
            segmenter.set_image(known.micrograph(dose, seed), PIXEL_SIZE)
            for prior in (None, *wrong):
                found = segmenter.segment(None if prior is None else built_in(prior))
                method = "without a prior" if prior is None else "with a wrong prior"
                rows.append(
                    {
                        "field": known.name,
                        "kind": kind,
                        "dose": dose,
                        "multiple": multiple,
                        "counts": dose / known.ideal_dose * known.ideal_counts if multiple else np.nan,
                        "seed": seed,
                        "method": method,
                        "prior": prior or "",
                    }
                    | _row(known, found)
                )
    return pd.DataFrame(rows)


def report(results: pd.DataFrame, model: str) -> str:
    """Write the tables in Markdown."""
    empty = results[results["kind"] == "no crystal"]
    atoms = results[results["kind"] == "isolated atoms"]
    methods = list(results["method"].unique())
    lines = [f"# Where there is no crystal: `{model}`", "", "## False atoms in 10 nm²", ""]
    lines += ["Mean, and the highest of all answers (goal: at most 1).", ""]
    lines += _table(
        ["field", *methods],
        [
            [name, *(f"{v['false'].mean():.2f} / {v['false'].max():.2f}" for v in _of(part, methods))]
            for name, part in [*empty.groupby("field", sort=False), ("**all**", empty)]
        ],
    )
    lines += ["", "## Isolated atoms", ""]
    lines += [
        "Multiples of the dose at which an observer who knows the image of an atom and the ground finds "
        "90 % with one false atom in 10 nm²; electrons are what an atom adds. Goal: F1 at least 0.75 at 10.",
        "",
    ]
    rows = []
    for many, part in atoms.groupby("multiple"):
        counts = part.groupby("field")["counts"].first()
        span = f"{counts.min():.0f} to {counts.max():.0f}"
        cells = [
            f"{v['f1'].mean():.3f} ({v['precision'].mean():.3f}, {v['recall'].mean():.3f})"
            for v in _of(part, methods)
        ]
        rows.append([f"{many:g}", span, *cells])
    lines += _table(["multiple", "electrons", *(f"{m}: F1 (precision, recall)" for m in methods)], rows)
    lines += ["", "## Confidence", ""]
    lines += ["Mean confidence of all atoms found, and the share of them that is true.", ""]
    rows = []
    for kind, part in results.groupby("kind", sort=False):
        for method, v in zip(methods, _of(part, methods), strict=True):
            n = max(v["atoms"].sum(), 1)
            told, right = v["surety"].sum() / n, v["true"].sum() / n
            rows.append([kind, method, f"{v['atoms'].sum():.0f}", f"{told:.3f}", f"{right:.3f}"])
    lines += _table(["fields", "method", "atoms", "confidence", "true"], rows)
    return "\n".join(lines) + "\n"


def _of(part: pd.DataFrame, methods: list[str]) -> list[pd.DataFrame]:
    return [part[part["method"] == method] for method in methods]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="small", help="shipped name or .safetensors file")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seeds", type=int, default=1, help="noise seeds a micrograph")
    parser.add_argument("--quick", action="store_true", help="three doses, two multiples, one wrong prior")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/no_crystal"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    segmenter = Segmenter(options.model, options.device, refine=False)  # places are not the question
    results = measure(segmenter, options.seeds, options.quick)
    options.output.mkdir(parents=True, exist_ok=True)
    results.to_csv(options.output / "no_crystal.csv", index=False, float_format="%.5g")
    text = report(results, options.model)
    (options.output / "no_crystal.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
