"""Count the good pixels that `prepare` masks or changes, and how well it finds the bad ones.

``python -m benchmarks.recording.masks`` prints two tables in Markdown; it takes some minutes. ``--quick``
looks at two specimens, ``--list`` names each image that is not as it should be.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np

from benchmarks.recording.images import SPECIMENS, Case, clean_cases, spoiled_cases
from napari_stemprior.recording import prepare


def intersection_over_union(found: np.ndarray, true: np.ndarray) -> float:
    """Return 1 where both masks are empty."""
    union = (found | true).sum()
    return float((found & true).sum() / union) if union else 1.0


def judge_clean(case: Case) -> dict[str, float]:
    """Say what was done to an image that is clean."""
    made = prepare(case.image)
    return {
        "masked": int((~made.valid).sum()),
        "mended": int(made.mended.sum()),
        "offsets": float(made.row_offsets.std() / max(case.image.std(), 1e-30)),
        "changed": int((made.image != case.image).sum()),
        "dark": bool(made.skewness.dark),
        "pixels": case.image.size,
    }


def judge_spoiled(case: Case) -> dict[str, float]:
    """Score the mask of an image with a fault."""
    made = prepare(case.image)
    out = ~made.valid
    good = ~(case.bad | case.spoiled)
    touched = out | made.mended
    return {
        "iou": intersection_over_union(touched if case.spoiled.any() else out, case.bad | case.spoiled),
        "missed": float((case.bad & ~touched).sum() / max(case.bad.sum(), 1)),
        "false": float((touched & good).sum() / good.sum()),
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two specimens")
    parser.add_argument("--list", action="store_true", help="name the images that are not as they should be")
    options = parser.parse_args()
    specimens = dict(list(SPECIMENS.items())[::3]) if options.quick else SPECIMENS
    table = defaultdict(list)
    for case in clean_cases(specimens):
        row = judge_clean(case)
        table[case.kind].append(row)
        if options.list and (row["masked"] or row["mended"] or row["changed"] or row["dark"]):
            print(f"- {case.kind}, {case.name}: {row}", flush=True)
    print(
        "\n| clean images | number | with masked pixels | with mended pixels | mended pixels per million |"
        " with row offsets | offsets, % of the standard deviation | dark columns |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for kind, found in table.items():
        print(
            f"| {kind} | {len(found)} | {sum(r['masked'] > 0 for r in found)} |"
            f" {sum(r['mended'] > 0 for r in found)} |"
            f" {1e6 * sum(r['mended'] for r in found) / sum(r['pixels'] for r in found):.1f} |"
            f" {sum(r['offsets'] > 0 for r in found)} | {100 * max(r['offsets'] for r in found):.1f} |"
            f" {sum(r['dark'] for r in found)} |"
        )
    scores = defaultdict(list)
    for case in spoiled_cases(specimens):
        row = judge_spoiled(case)
        name = case.name.split(":")[0]
        scores[(case.kind, name)].append(row)
        if options.list and row["iou"] < 0.9:
            print(f"- {case.kind}, {case.name}: {row}", flush=True)
    print("\n| fault | which | images | IoU, median | IoU, least | good pixels touched, %, most |")
    print("|---|---|---:|---:|---:|---:|")
    for (kind, name), found in scores.items():
        iou = [r["iou"] for r in found]
        print(
            f"| {kind} | {name} | {len(found)} | {np.median(iou):.3f} | {min(iou):.3f} |"
            f" {100 * max(r['false'] for r in found):.3f} |"
        )


if __name__ == "__main__":
    main()
