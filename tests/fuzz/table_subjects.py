"""Atom tables, journals, training pairs and the folder of an OME-Zarr, damaged."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from journal_child import edit
from mutations import Rng, damaged_file, on_bytes, on_json, on_place, on_text, on_tree
from subjects import Change, Seed, Subject

from napari_stemprior.atoms import AtomHistory, AtomTable
from napari_stemprior.atoms.journal_keeper import FrameState, JournalKeeper, earlier_journals
from napari_stemprior.atoms.journal_replay import count_edits, read_journal
from napari_stemprior.atoms.table import STATUSES
from napari_stemprior.errors import StempriorError
from napari_stemprior.io import Micrograph, TrainingPair, TrainingPairDataset, export_atoms, read_atoms
from napari_stemprior.io.pair_dataset_tools import validate
from napari_stemprior.io.writers.exporters import find_format
from napari_stemprior.structure import built_in

IMAGE = np.random.default_rng(0).normal(100, 9, (40, 48)).astype(np.float32)
EDITS = [{"atom_id": 2, "by": "ada", "at": "2026-01-01T00:00:00+00:00", "what": "move"}]


def atoms(seed: int = 0, provenance: dict[str, Any] | None = None) -> AtomTable:
    rng = np.random.default_rng(seed)
    rows = AtomTable.from_positions(
        rng.uniform(5, 35, (9, 2)), 0.15, element=["Mo", "S", "X"] * 3, confidence=rng.random(9),
        status=["ok", "review", "accepted", "rejected", "vacancy", "ok", "ok", "ok", "ok"],
    ).rows  # fmt: skip
    return AtomTable(rows, 0.15, provenance or {})


# --- tables -----------------------------------------------------------------------------------------------


def tables(folder: Path) -> list[Seed]:
    said = {"model": "small", "edits": EDITS, "prior_fits": True}
    return [
        Seed(export_atoms(atoms(0, said), folder / name), atoms(0, said)) for name in ("a.csv", "a.parquet")
    ]


_DRESSES = (
    lambda data: b"\xef\xbb\xbf" + data,
    lambda data: data.replace(b"\n", b"\r\n"),
    lambda data: data + b"\n\n",
    lambda data: b"\n".join(b",".join(line.split(b",")[::-1]) for line in data.split(b"\n")),
    lambda data: b"\n".join(line and line + b",note" for line in data.split(b"\n")),
)


def damaged_table(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    if seed.path.suffix == ".csv":
        return damaged_file(seed, folder, rng, lambda data, rng, seed: on_text(data, rng, _DRESSES))
    if rng.random() < 0.5:
        return damaged_file(seed, folder, rng)
    path = folder / seed.path.name
    table = pq.read_table(seed.path, use_threads=False)
    metadata = dict(table.schema.metadata)
    if rng.random() < 0.4:
        metadata[b"napari_stemprior"], change = on_json(metadata[b"napari_stemprior"], rng)
    else:
        at = int(rng.integers(table.num_columns))
        name, n = table.column_names[at], table.num_rows
        values: list[Any] = [
            pa.nulls(n), pa.array([np.nan] * n), pa.array([np.inf] * n), pa.array([-1] * n),
            pa.array(["a"] * n),
            pa.array([2**62] * n), pa.array([b"\xff"] * n), pa.array([[1]] * n), pa.array([{"a": 1}] * n),
            pa.array(range(n)), pa.array([True] * n), pa.array([1e300] * n), None,
        ]  # fmt: skip
        chosen = values[int(rng.integers(len(values)))]
        change = Change("column", note=f"{name}: {chosen and chosen.type}")
        table = table.remove_column(at) if chosen is None else table.set_column(at, name, chosen)
    pq.write_table(table.replace_schema_metadata(metadata), path)
    return path, change


def judge_table(path: Path, seed: Seed, change: Change) -> str:
    found = read_atoms(path)
    if wrong := _no_atoms(found):
        return wrong
    if change.harmless or change.kind == "added":
        same = found.rows.equals(seed.expected.rows) and found.pixel_size == seed.expected.pixel_size
        return "" if same else "another table"
    if path.suffix == ".csv" and change.kind in ("line gone", "line twice", "cut", "lines swapped"):
        lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
        if len(found) != len(lines) - 1:
            return f"{len(found)} atoms from {len(lines)} lines"
    return ""


def _no_atoms(table: AtomTable) -> str:
    rows = table.rows
    if not np.isfinite(table.yx_angstrom).all() or not (
        np.isfinite(table.pixel_size) and table.pixel_size > 0
    ):
        return "ångströms that are not finite"
    if not rows["confidence"].dropna().between(0, 1).all() or not set(rows["status"]) <= set(STATUSES):
        return "a confidence or a status that is none"
    json.dumps(table.provenance, default=str)
    return ""


def table_words(path: Path, seed: Seed, out: Path) -> list[list[str]]:
    out.mkdir()
    given = str(path) if not path.name.startswith("-") else f"./{path}"
    return [
        ["export", given, "-o", str(out / name)] for name in ("a.parquet", "a.csv", "a.points.csv", "a.xyz")
    ]


# --- journals ---------------------------------------------------------------------------------------------


def _state(history: AtomHistory) -> str:
    text = repr(history.rows.to_dict("list")) + f"at {history.position} of {len(history.steps)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def journals(folder: Path) -> list[Seed]:
    """Write journals of random edits; the states that they went through are all that may come back."""
    seeds = []
    for number in range(3):
        rng = np.random.default_rng(number)
        history = AtomHistory(atoms(number).rows, who="ada")
        place = folder / f"{number}"
        place.mkdir()
        context = {"pixel_size": 0.15, "prior": "MoS2"}
        keeper = JournalKeeper(
            {"sha256": "x"}, [place / "a"], lambda history=history: [FrameState((), history, 0.15, {"m": 1})],
            lambda context=context: context,
        )  # fmt: skip
        states = {_state(history)}
        while len(history.steps) < 8 or history.position != len(history.steps):
            act, kind = edit(history, rng)
            act(history)
            keeper.recorded((), history.steps[-1]) if kind == "step" else keeper.went((), history.position)
            states.add(_state(history))
        keeper.close()
        (path,) = place.glob("*.jsonl")
        seeds.append(Seed(path, (states, _state(history), context)))
    return seeds


def damaged_journal(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    def change(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
        return on_bytes(data, rng, seed) if rng.random() < 0.4 else on_text(data, rng)

    return damaged_file(seed, folder, rng, change)


def judge_journal(path: Path, seed: Seed, change: Change) -> str:
    """Whatever comes back was there once; the last state alone comes without a word."""
    count_edits(path)
    earlier_journals({"sha256": "x"}, [path.with_name("a")])
    states, last, context = seed.expected
    found = read_journal(path)
    if not found.histories:
        return "" if change.kind == "cut" else "nothing came back, without a word"
    state = _state(found.histories[()])
    if state not in states or found.pixel_size != 0.15:
        return "a state that never was"
    if found.context not in (context, {}):
        return f"the context is {found.context}"
    silent = not found.damage and not found.torn
    whole = seed.path.read_bytes().startswith(path.read_bytes())  # as it was before its last lines
    if state != last and silent and not whole:
        return "edits are missing, without a word"
    if change.harmless and state != last:
        return "another state"
    return ""


# --- pairs ------------------------------------------------------------------------------------------------


def pair(seed: int = 0) -> TrainingPair:
    rng = np.random.default_rng(seed)
    image = Micrograph((IMAGE + rng.normal(0, 1, IMAGE.shape)).astype(np.float32), 0.15, f"flake {seed}")
    prior = built_in("MoS2") if seed else None
    return TrainingPair(image, atoms(seed), np.ones(IMAGE.shape, bool), prior, {"editor": "ada"})


def datasets(folder: Path) -> list[Seed]:
    for seed in range(3):
        TrainingPairDataset(folder / "set").save(pair(seed))
    return [Seed(folder / "set", {entry.hash for entry in TrainingPairDataset(folder / "set").entries()})]


def damaged_dataset(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    """Damage one file of a dataset, or put a folder, a link or nothing in its place."""
    if rng.random() < 0.04 and (placed := on_place(seed, folder, rng)):
        return placed
    target = folder / "set"
    shutil.copytree(seed.path, target)
    files = sorted(path for path in target.rglob("*") if path.is_file() and path.name != ".lock")
    if rng.random() < 0.5:
        files = [path for path in files if path.name in ("dataset.json", "manifest.jsonl", "meta.json")]
    path = files[int(rng.integers(len(files)))]
    way, data = rng.random(), path.read_bytes()
    if way < 0.08:
        path.unlink()
        if rng.random() < 0.6:
            path.mkdir() if rng.random() < 0.5 else path.symlink_to(path.name)
        return target, Change("no file", note=path.name)
    if path.suffix == ".json":
        data, change = on_json(data, rng)
    elif path.suffix == ".jsonl":
        lines = data.split(b"\n")
        at = int(rng.integers(len(lines) - 1))
        lines[at], change = on_json(lines[at], rng)
        data = b"\n".join(lines)
    else:
        data, change = on_bytes(data, rng, Seed(path))
    path.write_bytes(data)
    return target, Change(change.kind, note=f"{path.name}: {change.note}")


def judge_dataset(path: Path, seed: Seed, change: Change) -> str:
    """What is loaded has the hash of what was saved; what cannot be loaded is named; a saving adds one."""
    dataset = TrainingPairDataset(path)
    entries = dataset.entries()
    for entry in entries:
        with suppress(StempriorError):
            if dataset.load(entry.hash).hash != entry.hash or entry.hash not in seed.expected:
                return "a pair that was never saved"
    for finding in validate(dataset):
        if "\n" in finding.text:
            return "no sentence"
    with suppress(StempriorError):
        saved = dataset.save(pair(7))
        if len(dataset.entries()) != len(entries) + 1 or dataset.load(saved).hash != saved:
            return "a saving that is not there"
    return "" if not change.harmless or len(entries) == 3 else "pairs are missing"


def dataset_words(path: Path, seed: Seed, out: Path) -> list[list[str]]:
    given = str(path) if not path.name.startswith("-") else f"./{path}"
    return [
        ["pairs", "list", given], ["pairs", "validate", given],
        ["pairs", "split", given, "-o", f"{out}/split"],
        ["pairs", "merge", given, "-o", f"{out}/merged"],
    ]  # fmt: skip


# --- results that are replaced ------------------------------------------------------------------------------


def results(folder: Path) -> list[Seed]:
    return [
        Seed(export_atoms(atoms(), folder / name, image=IMAGE))
        for name in ("a.ome.zarr", "a.csv", "a.hspy", "a.json", "a.heat.tif")
    ]


def damaged_results(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    """Damage what lies where a result shall be; a foreign file in the folder is named `mine`."""
    if seed.path.is_file():
        return damaged_file(seed, folder, rng)
    target = folder / seed.path.name
    shutil.copytree(seed.path, target)
    places = sorted(target.rglob("*"))
    path = places[int(rng.integers(len(places)))]
    way = int(rng.integers(5))
    if way == 0 and path.is_file():
        data, change = on_bytes(path.read_bytes(), rng, Seed(path))
        path.write_bytes(data)
        return target, Change(change.kind, note=path.name)
    if way == 1 and path.name in (".zattrs", ".zgroup", ".zarray"):
        tree, change = on_tree(json.loads(path.read_text()), rng)
        path.write_text(json.dumps(tree))
        return target, change
    inside = path if path.is_dir() else path.parent
    foreign = inside / "mine"
    if way == 2:
        foreign.mkdir()
        (foreign / "0").write_text("mine")
    elif way == 3:
        foreign.symlink_to("/etc")
    else:
        foreign.write_text("mine")
    return target, Change("foreign", note=str(foreign.relative_to(folder)))


def judge_results(path: Path, seed: Seed, change: Change) -> str:
    """Export over it: refused and untouched, or replaced as a whole, and nothing foreign is gone."""
    before = path.read_bytes() if path.is_file() else b""
    try:
        export_atoms(atoms(), path, image=IMAGE)
    except StempriorError:
        if path.is_file() and path.read_bytes() != before:
            return "refused and changed"
        raise
    if change.kind == "foreign":
        return "a foreign file was deleted"
    fresh = path.with_name(f"fresh{''.join(path.suffixes[-2:])}")
    if path.is_file() and path.suffix != ".hspy":  # HDF5 notes the time
        export_atoms(atoms(), fresh, image=IMAGE, key=find_format(path).key, name="micrograph")
        if path.read_bytes() != fresh.read_bytes():
            return "not what was exported"
    leftovers = [p.name for p in path.parent.iterdir() if "stemprior-" in p.name]
    return f"left {leftovers}" if leftovers else ""


SUBJECTS = [
    Subject("atom tables", tables, damaged_table, judge_table, table_words, spoken=0.15, weight=1.5),
    Subject("journals", journals, damaged_journal, judge_journal, weight=1.5),
    Subject(
        "training pairs", datasets, damaged_dataset, judge_dataset, dataset_words, spoken=0.3, weight=1.5
    ),
    Subject("results to replace", results, damaged_results, judge_results, weight=0.5),
]
