"""Zarr folders, plain and OME, damaged: descriptions, chunks, links and pipes inside."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from image_subjects import IMAGE, SIZE, Expected, judge, words
from mutations import Rng, on_bytes, on_json, on_place, on_tree
from subjects import Change, Seed, Subject

from napari_stemprior.atoms import AtomTable
from napari_stemprior.io import export_atoms, read_micrographs

_DESCRIPTIONS = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")
#: What fields of a description should not be.
_ABSURD: dict[str, tuple[Any, ...]] = {
    "shape": ([10**9, 10**9], [40, 56, 1], [40], [], [0, 56], [-40, 56], [2**40, 2**40, 40, 56], [20000, 56]),
    "chunks": ([1, 1], [10**6, 10**6], [0, 0], [-16, 16], [16], [40, 56], [2**62, 2**62]),
    "chunk_shape": ([1, 1], [10**6, 10**6], [0, 0], [-16, 16], [16], [40, 56], [2**62, 2**62]),
    "dtype": ("|O", "<f8", ">u2", "|b1", "<c16", "|S9", "<U9", "<M8[ns]", "|V7", [["a", "<u2"]], "<f2"),
    "data_type": ("float64", "bool", "complex64", "string", "int8", "r16", "nonsense", "numpy.datetime64"),
    "fill_value": ("NaN", None, "x", 1e300, [1]),
    "filters": ([{"id": "pickle"}], [{"id": "vlen-utf8"}], [{"id": "json2"}], [{"id": "nowhere"}], [{}]),
    "compressor": ({"id": "pickle"}, {"id": "gzip"}, {"id": "nowhere"}, "x", {"id": "zstd", "level": 1e9}),
    "codecs": ([], [{"name": "gzip"}], [{"name": "bytes"}] * 2, [{"name": "numcodecs.pickle"}], "x"),
    "zarr_format": (1, 4, "2", None),
    "node_type": ("group", "array", "nothing"),
}


def folders(folder: Path) -> list[Seed]:
    """Write an array and an image of an OME-Zarr in either version, one in shards, and an export."""
    one: Expected = [(IMAGE, SIZE)]
    two: Expected = [(IMAGE, SIZE), (IMAGE[::-1], SIZE)]
    for version, codecs in ((2, {"compressors": None}), (3, {"shards": (32, 32)})):
        array = zarr.create_array(
            folder / f"v{version}.zarr", shape=IMAGE.shape, chunks=(16, 16), dtype="u2",
            zarr_format=version, **codecs
        )  # fmt: skip
        array[:] = IMAGE
        array.attrs["pixel_size_angstrom"] = SIZE
        group = zarr.create_group(folder / f"g{version}.ome.zarr", zarr_format=version)
        data = group.create_array("0", shape=(2, *IMAGE.shape), chunks=(1, 16, 32), dtype="u2")
        data[:] = np.stack([IMAGE, IMAGE[::-1]])
        steps = [{"type": "scale", "scale": [1.0, SIZE / 10, SIZE / 10]}]
        axes = [
            {"name": "t", "type": "time"},
            *({"name": n, "type": "space", "unit": "nanometer"} for n in "yx"),
        ]
        described = [
            {"name": "HAADF", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
        ]
        group.attrs.update(
            {"ome": {"multiscales": described}} if version == 3 else {"multiscales": described}
        )
    table = AtomTable.from_positions([(10.0, 12.0)], SIZE, element="Mo")
    export_atoms(table, folder / "atoms.ome.zarr", image=IMAGE.astype(np.float32))
    stacks = {f"g{version}.ome.zarr" for version in (2, 3)}
    return [Seed(path, two if path.name in stacks else one) for path in sorted(folder.glob("*.zarr"))]


def damaged_folder(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    """Damage a description or a chunk, or put something else in the place of one."""
    if (placed := on_place(seed, folder, rng)) is not None:
        return placed
    target = folder / seed.path.name
    shutil.copytree(seed.path, target)
    files = sorted(
        p for p in target.rglob("*") if p.is_file() and "labels" not in p.relative_to(target).parts
    )
    described = [p for p in files if p.name in _DESCRIPTIONS and p.stat().st_size > 8]
    chunks = [p for p in files if p.name not in _DESCRIPTIONS]
    way = int(rng.integers(10))
    if way <= 4:
        return target, _described(described[int(rng.integers(len(described)))], rng)
    if way == 5:
        gone = rng.permutation(len(chunks))[: int(rng.choice([1, 1, 2, len(chunks)]))]
        for at in gone:
            chunks[at].unlink()
        return target, Change("chunks gone", note=f"{len(gone)} of {len(chunks)}")
    if way <= 7:
        path = chunks[int(rng.integers(len(chunks)))]
        data, change = on_bytes(path.read_bytes(), rng, Seed(path))
        path.write_bytes(data)
        return target, Change("chunk", note=f"{path.relative_to(target)}: {change.kind}")
    return target, _elsewhere(target, files[int(rng.integers(len(files)))], rng)


def _described(path: Path, rng: Rng) -> Change:
    """Damage a description: a field that says how the pixels lie, or any."""
    import json

    attributes = path.name == ".zattrs"
    tree = json.loads(path.read_text())
    fields = [name for name in _ABSURD if _holder(tree, name) is not None]
    if fields and rng.random() < 0.5:
        name = fields[int(rng.integers(len(fields)))]
        value = _ABSURD[name][int(rng.integers(len(_ABSURD[name])))]
        _holder(tree, name)[name] = value
        data, note = json.dumps(tree).encode(), f"{name} is {value!r}"[:60]
    elif attributes and rng.random() < 0.7:
        tree, change = on_tree(tree, rng)
        data, note = json.dumps(tree).encode(), change.note
    else:
        data, change = on_json(path.read_bytes(), rng)
        note = f"{change.kind} {change.note}"
    path.write_bytes(data)
    return Change(
        "attributes" if attributes else "description", note=f"{path.parent.name}/{path.name}: {note}"
    )


def _holder(tree: Any, name: str) -> Any:
    """Return the object of a JSON tree that has a field."""
    if isinstance(tree, dict):
        if name in tree:
            return tree
        tree = list(tree.values())
    for value in tree if isinstance(tree, list) else ():
        if (found := _holder(value, name)) is not None:
            return found
    return None


def _elsewhere(target: Path, path: Path, rng: Rng) -> Change:
    """Put a link, a pipe or a folder in the place of a file, or move a folder out and link to it."""
    name, way = str(path.relative_to(target)), int(rng.integers(5))
    outside = target.parent / "outside"
    if way <= 1:
        moved = path if way == 0 or path.parent == target else path.parent
        shutil.move(moved, outside)
        moved.symlink_to(outside)
        return Change("elsewhere", note=name)
    path.unlink()
    if way == 2:
        path.symlink_to(path.name)
    elif way == 3:
        path.mkdir()
    elif hasattr(os, "mkfifo"):
        os.mkfifo(path)
    return Change("no file", note=f"{name}: {('loop', 'folder', 'pipe')[way - 2]}")


def judge_folder(path: Path, seed: Seed, change: Change) -> str:
    """The pixels are those of the seed wherever their chunk is as it was; what is missing is said."""
    wrong = judge(path, seed, change)
    if wrong or change.kind not in ("chunks gone", "chunk", "attributes", "elsewhere"):
        return wrong
    if change.kind == "elsewhere":
        return "read what lies elsewhere"
    found = read_micrographs(path)
    if change.kind == "chunks gone" and not all("chunks" in str(m.metadata.get("remarks")) for m in found):
        return "chunks are missing, without a word"
    if len(found) != len(seed.expected) and "left_out" not in found[0].metadata:
        return f"{len(found)} images, not {len(seed.expected)}"
    for one in found:
        if one.image.shape != IMAGE.shape:
            return f"shape {one.image.shape}"
        differs = min((one.image != image).sum() for image, _ in seed.expected)
        chunk = IMAGE.size if path.name.startswith("atoms") else 32 * 32
        allowed = {"chunks gone": IMAGE.size, "chunk": chunk, "attributes": 0}[change.kind]
        if differs > allowed:
            return f"{differs} pixels differ"
    return ""


SUBJECTS = [Subject("Zarr", folders, damaged_folder, judge_folder, words, spoken=0.1, weight=1.5)]
