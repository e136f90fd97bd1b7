"""``stemprior pairs``: look after folders of training pairs."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from napari_stemprior.io.pair_dataset_tools import VALIDATION, merge, opened, split, validate, write_split


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the four actions to the parser of ``stemprior pairs``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    one = actions.add_parser("list", help="list the pairs, and the side of the split that each is on")
    one.add_argument("folder", metavar="DIR", type=Path)
    one.add_argument("--all", action="store_true", help="list every revision, not the newest alone")
    one.set_defaults(action_run=_list)
    one = actions.add_parser("validate", help="read everything; exit code 2 where a pair is unusable")
    one.add_argument("folder", metavar="DIR", type=Path)
    one.set_defaults(action_run=_validate)
    one = actions.add_parser("merge", help="copy the pairs of several folders into one")
    one.add_argument("folders", metavar="DIR", type=Path, nargs="+")
    one.add_argument("-o", "--output", metavar="OUTDIR", type=Path, required=True, help="new or existing set")
    one.set_defaults(action_run=_merge)
    one = actions.add_parser(
        "split", help="divide into OUTDIR/train and OUTDIR/validation, never within one source image"
    )
    one.add_argument("folder", metavar="DIR", type=Path)
    one.add_argument("-o", "--output", metavar="OUTDIR", type=Path, required=True)
    one.add_argument(
        "--validation",
        metavar="PART",
        type=float,
        default=VALIDATION,
        help=f"part of the source images for validation (default {VALIDATION:g})",
    )
    one.set_defaults(action_run=_split)


def run(options: argparse.Namespace) -> int:
    """Run the chosen action and return the exit code.

    Raises
    ------
    DatasetError
        If a folder is no dataset or cannot be written.
    """
    code = int(options.action_run(options))
    sys.stdout.flush()
    return code


def _list(options: argparse.Namespace) -> int:
    dataset = opened(options.folder)
    held = {entry.source_id for entry in split(dataset.latest_entries())[1]}
    rows = [("HASH", "NAME", "REV", "SIZE", "ATOMS", "VACANCIES", "REVIEWED", "PRIOR", "SIDE", "SAVED")]
    for entry in dataset.entries() if options.all else dataset.latest_entries():
        pair = dataset.load(entry.hash)
        height, width = pair.reviewed.shape
        rows.append(
            (
                entry.hash,
                entry.name,
                str(entry.revision),
                f"{width} x {height}",
                str(len(pair.atoms.atoms)),
                str(len(pair.vacancies)),
                f"{pair.reviewed.mean():.0%}",
                "-" if pair.prior is None else pair.prior.name,
                "validation" if entry.source_id in held else "train",
                entry.time[:16].replace("T", " "),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _validate(options: argparse.Namespace) -> int:
    dataset = opened(options.folder)
    findings = validate(dataset)
    for finding in findings:
        print(f"{'error' if finding.fatal else 'note'}: {finding.name} ({finding.hash}): {finding.text}")
    fatal = len({finding.hash for finding in findings if finding.fatal})
    savings = Counter(entry.hash for entry in dataset.entries())
    print(f"{len(savings)} pairs of {len(dataset)} images read: {fatal or 'none'} with errors.")
    return 2 if fatal else 0


def _merge(options: argparse.Namespace) -> int:
    added, known = merge(options.folders, options.output)
    print(f"{added} pairs copied to {options.output}, {known} were there already.")
    return 0


def _split(options: argparse.Namespace) -> int:
    counts = write_split(opened(options.folder), options.output, options.validation)
    for name, count in counts.items():
        print(f"{count} pairs in {options.output / name}")
    return 0
