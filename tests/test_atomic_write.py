"""Nothing is ever left half written: every file of the package goes through one module."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_stemprior
from napari_stemprior import atomic_write
from napari_stemprior.atomic_write import replaced, replaced_folder
from napari_stemprior.errors import ExportError
from napari_stemprior.network import checkpoint
from napari_stemprior.optics.multislice import scan_cache
from napari_stemprior.training import loss_log, structure_bank

SOURCE = Path(napari_stemprior.__file__).parent
#: Methods and functions that write the file that they are given, by the last part of their name.
WRITERS = {
    "write_text", "write_bytes", "to_csv", "to_parquet", "to_json", "to_hdf", "to_zarr", "to_pickle",
    "savez", "savez_compressed", "savetxt", "tofile", "save", "save_file", "savefig", "imwrite", "imsave",
    "write_table", "open_group", "screenshot", "export_figure", "dump", "mkstemp", "NamedTemporaryFile",
}  # fmt: skip
#: Where a file is written directly, in which function, and why that is right.
ALLOWED = {
    ("atoms/journal.py", "__init__"): "the journal only grows, a line for an edit",
    ("atoms/journal_keeper.py", "is_locked"): "opened for its lock; nothing is written",
    ("atomic_write.py", "_forced"): "opened to be forced to the disk; nothing is written",
    ("io/training_pairs.py", "_append"): "the manifest only grows, a line for a pair",
    ("workflow/save_pair.py", "save_pair"): "a dataset that saves itself",
    ("measurement/report.py", "_figure"): "into memory, to be put into the page",
    ("workflow/results_table.py", "__init__"): "the list of results only grows, a line for an image",
    ("training/loss_log.py", "append_losses"): "the log only grows, a row for a report",
}


def writes(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield function and line of every call that writes a file outside of ``with replaced(...)``."""

    def visit(node: ast.AST, function: str, safe: bool) -> Iterator[tuple[str, int]]:
        if isinstance(node, ast.FunctionDef):
            function, safe = node.name, False
        if isinstance(node, ast.With):
            safe = safe or any("replaced" in ast.unparse(item.context_expr) for item in node.items)
        if isinstance(node, ast.Call) and not safe and _writes(node):
            yield function, node.lineno
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function, safe)

    yield from visit(tree, "", False)


def _writes(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    last = name.rpartition(".")[2]
    if name == "ase.io.write":
        return True
    if last == "open" and name not in ("Image.open", "os.open"):
        modes = [
            a for a in [*call.args[:2], *(k.value for k in call.keywords)] if isinstance(a, ast.Constant)
        ]
        return any(
            isinstance(m.value, str) and set(m.value) & set("wax+") and len(m.value) < 5 for m in modes
        )
    return last in WRITERS and bool(call.args or call.keywords)  # QPainter.save() takes nothing


def test_every_file_is_written_beside_its_place_and_renamed():
    direct = set()
    for path in sorted(SOURCE.rglob("*.py")):
        place = path.relative_to(SOURCE).as_posix()
        if place.startswith("io/writers/formats/"):
            continue  # `export_atoms` gives every format a path beside the place; see the next test
        for function, line in writes(ast.parse(path.read_text(encoding="utf-8"))):
            assert (place, function) in ALLOWED, f"{place}:{line} writes directly; use atomic_write.replaced"
            direct.add((place, function))
    assert direct == set(ALLOWED), "what is allowed and no longer there"


def test_formats_are_written_through_the_door_only():
    tree = ast.parse((SOURCE / "io/writers/exporters.py").read_text(encoding="utf-8"))
    calls = [
        (ast.unparse(node.items[0].context_expr), ast.unparse(node.body))
        for node in ast.walk(tree)
        if isinstance(node, ast.With)
    ]
    written = [(context, body) for context, body in calls if "write" in body]
    assert written
    assert all("replaced" in context and "beside" in body for context, body in written)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("open(p, 'w')", 1),
        ("p.open('ab+')", 1),
        ("open(p)", 0),
        ("p.open('rb')", 0),
        ("open(p, mode='x')", 1),
        ("table.to_csv(p)", 1),
        ("with replaced(p) as b:\n    b.write_text('')", 0),
        ("with replaced(p) as b, b.open('w') as f:\n    f.write('')", 0),
        ("with replaced(p) as b:\n    pass\nb.write_text('')", 1),
        ("with replaced(p) as b:\n    def f():\n        p.write_text('')", 1),
        ("painter.save()", 0),
    ],
)
def test_the_search_sees_what_it_should(code, found):
    assert len(list(writes(ast.parse(code)))) == found


class BrokenError(Exception):
    """What ends a writing halfway."""


def half(beside, is_folder):
    """Write a part and fail."""
    if is_folder:
        beside.mkdir()
        beside = beside / "a"
    beside.write_text("new")
    raise BrokenError


@pytest.mark.parametrize("writer", [replaced, replaced_folder])
def test_what_was_there_stays_when_the_writing_fails(tmp_path, writer):
    with replaced(tmp_path / "a") as beside:
        beside.write_text("old")
    with pytest.raises(BrokenError), writer(tmp_path / ("a" if writer is replaced else "b")) as beside:
        half(beside, is_folder=writer is replaced_folder)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize("what", ["weights", "bank", "log", "cache"])
def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch, what):
    path = {"cache": tmp_path / "key.npz", "weights": tmp_path / "w.safetensors"}.get(what, tmp_path / "a")
    monkeypatch.setenv(scan_cache.FOLDER_VARIABLE, str(tmp_path))
    write = {
        "weights": lambda: checkpoint.save_tensors({"a": torch.zeros(3)}, {}, path),
        "bank": lambda: structure_bank.save_bank([], path),
        "log": lambda: loss_log.forget_after(path, 1),
        "cache": lambda: scan_cache.store("key", {"a": np.zeros(3)}),
    }[what]
    path.write_text("step\n1\n2\n")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    if what == "cache":  # it saves time and nothing else
        write()
    else:
        with pytest.raises(ExportError, match=r"No space left on device.; make room"):
            write()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "step\n1\n2\n"


def leftover(folder, name, pid, rest):
    return folder / f".{name}.stemprior-{atomic_write._host()}-{pid}-0badcafe{rest}"


@pytest.mark.skipif(sys.platform == "win32", reason="processes are asked for another way there")
def test_what_a_killed_process_left_is_cleared_at_the_next_writing(tmp_path):
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    dead = int(child.stdout)
    gone = [leftover(tmp_path, "atoms", dead, ".csv"), leftover(tmp_path, "a.ome.zarr", dead, ".new")]
    gone[0].write_text("half")
    gone[1].mkdir()
    (gone[1] / "0").write_text("half")
    aside = leftover(tmp_path, "b.ome.zarr", dead, ".old")
    aside.mkdir()
    (aside / "0").write_text("whole")
    kept = [leftover(tmp_path, "atoms", os.getppid(), ".csv"), tmp_path / ".atoms.1234abcd.csv"]
    for path in kept:
        path.write_text("not ours to remove")
    with replaced(tmp_path / "new.csv") as beside:
        beside.write_text("new")
    assert not any(path.exists() for path in [*gone, aside])
    assert all(path.exists() for path in kept)
    assert (tmp_path / "b.ome.zarr" / "0").read_text() == "whole", "nobody has replaced it"


def test_a_long_name_can_be_written(tmp_path):
    with replaced(tmp_path / ("a" * 250 + ".csv")) as beside:
        beside.write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["a" * 250 + ".csv"]
