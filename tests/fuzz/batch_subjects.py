"""Folders of images and of results, damaged: what ``segment --resume`` goes on from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mutations import Rng, damaged_file, on_json, on_text
from subjects import Change, Seed, Subject

from napari_stemprior.workflow.results_table import JOURNAL, TABLE, ImageRow, Journal

_SETTINGS = {"prior": "MoS2", "model": "small", "trust": 1.0, "pixel_size": None}


def _source(number: int) -> list[Any]:
    return [f"/images/{number}.tif", 1000 + number, 17 + number]


def journals(folder: Path) -> list[Seed]:
    """Write the journal of three images, of which one is a stack and one failed."""
    journal = Journal(folder, _SETTINGS)
    rows = [
        ImageRow("a", "a.tif", 0, "a.csv", "MoS2", "clean", atoms=5, doubts=1, vacancies=None, seconds=0.5)
    ]
    rows += [ImageRow(f"b [{k}]", "b.tif", k, f"b_00{k}.csv", pixel_size_angstrom=0.2) for k in range(2)]
    for number, row in enumerate(rows):
        journal.add(_source(min(number, 1)), 1 if number == 0 else 2, row)
    journal.add(_source(3), 0, ImageRow("c", "c.tif", error="c.tif: the file is empty."))
    journal.close()
    outputs = {row.output for row in journal.rows}
    return [Seed(folder / JOURNAL, outputs)]


def damaged_journal(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    """Damage one line as JSON, or the text."""

    def change(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
        if rng.random() < 0.4:
            return on_text(data, rng)
        lines = data.split(b"\n")
        at = int(rng.integers(len(lines) - 1))
        lines[at], what = on_json(lines[at], rng)
        return b"\n".join(lines), Change("line", note=f"{at}: {what.kind} {what.note}")

    path, what = damaged_file(seed, folder, rng, change)
    for name in seed.expected:
        (folder / name).touch()
    return path, what


def judge_journal(path: Path, seed: Seed, change: Change) -> str:
    """What counts as done was, in files of the folder; what is gone is said, and the table is whole."""
    if path.name != JOURNAL and os.path.lexists(path):
        path.rename(path.with_name(JOURNAL))
    path = path.with_name(JOURNAL)
    before = path.read_bytes().split(b"\n") if path.is_file() else []
    journal = Journal(path.parent, _SETTINGS, resume=True)
    whole = len(journal.rows)
    for name in journal.outputs:
        if Path(name).name != name:
            return f"an output elsewhere: {name!r}"
    good = {json.dumps(json.loads(line)) for line in path.read_bytes().split(b"\n")[1:] if line}
    lost = [line for line in before[1:-1] if line.strip() and not _is_among(line, good)]
    if lost and not journal.remarks and change.kind not in ("cut", "emptied"):
        return "a line was passed over, without a word"
    journal.add(_source(9), 1, ImageRow("z", "z.tif", 0, "z.csv", atoms=3))
    journal.close()
    lines = (path.parent / TABLE).read_text().splitlines()
    if len(lines) < whole + 2:
        return f"{len(lines)} lines of a table of {whole + 1} rows"
    return (
        "images are missing"
        if change.harmless and set(journal.outputs) != {*seed.expected, "z.csv"} - {""}
        else ""
    )


def _is_among(line: bytes, good: set[str]) -> bool:
    try:
        return json.dumps(json.loads(line)) in good
    except (ValueError, RecursionError):
        return False


SUBJECTS = [Subject("batch journals", journals, damaged_journal, judge_journal, weight=0.8)]
