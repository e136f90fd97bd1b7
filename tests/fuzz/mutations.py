"""Damage to files: bytes, numbers in headers, texts, trees of plain values, names and kinds of files."""

from __future__ import annotations

import copy
import json
import os
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from subjects import Change, Seed

Rng = np.random.Generator

#: What no number of a text should be.
NUMBERS = (
    *"nan -inf inf 1e400 -1 0 -0.0 1e-300 1e300 . ? abc 0x10 1_000 -- 1e ' \" \\".split(),  # noqa: SIM905
    "=1+1", "1,5", "½", "٣", "{}", "[]", "true",
    "null", "", "9" * 40, "\0", " ", "1" * 5000,
)  # fmt: skip
#: What no field of a tree of plain values should be.
WRONG: tuple[Any, ...] = (
    None, True, False, -1, 0, 2.5, 1e308, float("inf"), float("nan"), 2**63, -(2**70), "", "abc", "\ud800",
    "../../etc/passwd", "x" * 10**5, [], [1, "a"], [[[]]], {}, {"a": [1]}, "nan", "1e999", [None] * 9,
)  # fmt: skip
#: Names that a file may have, after its own.
NAMES = (
    b"caf\xe9",
    b"a b",
    b"a@b",
    b"100%",
    b"x" * 200,
    b"a\nb",
    "ångström".encode(),
    b"-o",
    b"[x]*?",
    b"'\"",
)


def on_bytes(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
    """Damage the bytes of a file in one of many ways."""
    ways: list[Callable[[bytes, Rng, Seed], tuple[bytes, Change]]] = [
        _flipped, _flipped, _head_flipped, _number, _number, _number, _cut, _cut, _added, _exchanged,
        _repeated, _blanked, _emptied,
    ]  # fmt: skip
    if seed.payload is not None:
        ways += [_pixels, _pixels]
    return ways[int(rng.integers(len(ways)))](data, rng, seed)


def _flipped(data: bytes, rng: Rng, seed: Seed, stop: int | None = None) -> tuple[bytes, Change]:
    out = bytearray(data)
    for at in rng.integers(0, stop or len(out), int(rng.integers(1, 9))):
        out[at] = int(rng.integers(256))
    return bytes(out), Change("bytes")


def _head_flipped(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
    return _flipped(data, rng, seed, min(len(data), 512))


def _number(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
    """Put an absurd number where a header may have one."""
    kind = "BHIQfd"[int(rng.integers(6))]
    order = "<>"[int(rng.integers(2))]
    width = struct.calcsize(kind)
    if kind in "fd":
        value: Any = [np.nan, np.inf, -np.inf, -1.0, 0.0, 1e30, 1e-30, 3e38][int(rng.integers(8))]
    else:
        top = 256**width - 1
        value = [0, 1, top, top // 2, top // 2 + 1, min(top, 0x10000), min(top, 60000)][int(rng.integers(7))]
    low, high = 0, min(len(data), 2048)
    if seed.fields and rng.random() < 0.7:
        low, high = seed.fields[int(rng.integers(len(seed.fields)))]
    elif seed.payload is not None:  # before the pixels, or behind them
        low, high = (0, seed.payload[0]) if rng.random() < 0.6 else (seed.payload[1], len(data))
    if high - low < width:
        low, high = 0, len(data)
    at = int(rng.integers(low, max(low + 1, min(high, len(data)) - width + 1)))
    out = bytearray(data)
    out[at : at + width] = struct.pack(order + kind, value)
    return bytes(out), Change("number", note=f"{order}{kind} {value} at {at}")


def _cut(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
    left = int(rng.integers(len(data))) if rng.random() < 0.7 else len(data) - int(rng.integers(1, 40))
    return data[: max(0, left)], Change("cut", note=f"{left} of {len(data)}")


def _added(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
    return data + rng.bytes(int(rng.integers(1, 3000))), Change("added")


def _exchanged(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
    a, b, c = sorted(int(n) for n in rng.integers(0, len(data), 3))
    return data[:a] + data[b:c] + data[a:b] + data[c:], Change("swapped")


def _repeated(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
    a, b = sorted(int(n) for n in rng.integers(0, len(data), 2))
    return data[:b] + data[a:b] + data[b:], Change("repeated")


def _blanked(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
    a = int(rng.integers(len(data)))
    b = min(len(data), a + int(rng.integers(1, 400)))
    return data[:a] + (b"\0", b"\xff")[int(rng.integers(2))] * (b - a) + data[b:], Change("blanked")


def _emptied(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
    return b"", Change("emptied")


def _pixels(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
    assert seed.payload is not None
    out = bytearray(data)
    places = np.unique(rng.integers(*seed.payload, int(rng.integers(1, 9))))
    for at in places:
        out[at] ^= int(rng.integers(1, 256))
    return bytes(out), Change("pixels", flips=len(places))


def on_text(data: bytes, rng: Rng, harmless: Sequence[Callable[[bytes], bytes]] = ()) -> tuple[bytes, Change]:
    """Damage a text: its numbers, words, lines and bytes; or dress it as other programs would."""
    if harmless and rng.random() < 0.12:
        return harmless[int(rng.integers(len(harmless)))](data), Change("dressed", harmless=True)
    way = int(rng.integers(11))
    if way < 4:
        return _word(data, rng, digits=way < 3)
    lines = data.split(b"\n")
    i, j = (int(n) for n in rng.integers(len(lines), size=2))
    if way == 4:
        del lines[i]
        kind = "line gone"
    elif way == 5:
        lines.insert(j, lines[i])
        kind = "line twice"
    elif way == 6:
        lines[i], lines[j] = lines[j], lines[i]
        kind = "lines swapped"
    elif way == 7:
        lines.insert(i, rng.bytes(int(rng.integers(1, 60))))
        kind = "junk"
    elif way == 8:
        return _cut(data, rng, Seed(Path()))
    elif way == 9:
        lines[i] = lines[i] * int(rng.choice([2, 3, 2000]))
        kind = "long line"
    else:
        return _flipped(data, rng, Seed(Path()))
    return b"\n".join(lines), Change(kind)


def _word(data: bytes, rng: Rng, digits: bool) -> tuple[bytes, Change]:
    """Exchange a word, one with digits where such are wanted, for what it should not be."""
    text = data.decode("latin-1")
    words, start = [], None
    for at, letter in enumerate(text + " "):
        if letter in " \t\n\r,;:\"'()=[]{}<>":
            if start is not None:
                words.append((start, at))
            start = None
        elif start is None:
            start = at
    fit = [w for w in words if any(c.isdigit() for c in text[w[0] : w[1]]) == digits] or words or [(0, 0)]
    a, b = fit[int(rng.integers(len(fit)))]
    new = NUMBERS[int(rng.integers(len(NUMBERS)))]
    changed = text[:a].encode("latin-1") + new.encode("utf-8", "surrogatepass") + text[b:].encode("latin-1")
    return changed, Change("word", note=f"{text[a:b]!r} is {new[:30]!r}")


def on_tree(tree: Any, rng: Rng) -> tuple[Any, Change]:
    """Damage one field of a tree of plain values."""
    tree = copy.deepcopy(tree)
    places = list(_places(tree))
    parent, key = places[int(rng.integers(len(places)))]
    way = int(rng.integers(8))
    if way == 0:
        del parent[key]
    elif way == 1 and isinstance(parent, dict):
        parent[f"{key}x"] = parent.pop(key)
    elif way == 2 and isinstance(parent, list):
        parent.insert(0, copy.deepcopy(parent[key]))
    else:
        parent[key] = copy.deepcopy(WRONG[int(rng.integers(len(WRONG)))])
        return tree, Change("field", note=f"{key} is {str(parent[key])[:30]!r}")
    return tree, Change("field", note=f"{key}: {('gone', 'renamed', 'twice')[min(way, 2)]}")


def _places(tree: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    keys: Any = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        found.append((tree, key))
        found += _places(tree[key])
    return found


def on_json(data: bytes, rng: Rng) -> tuple[bytes, Change]:
    """Damage a JSON text: its tree, or its characters."""
    way = rng.random()
    if way < 0.6:
        tree, change = on_tree(json.loads(data), rng)
        return json.dumps(tree).encode(), change
    if way < 0.65:
        return data.rstrip()[:-1] + b"," + data.strip()[1:], Change("keys twice")
    if way < 0.68:
        return b"[" * 100_000 + data, Change("deep")
    return on_text(data, rng)


def on_place(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change] | None:
    """Give a file another name or another kind now and then; None leaves it to the others."""
    if rng.random() > 0.06:
        return None
    suffix = "".join(seed.path.suffixes[-2:]) if seed.path.suffix == ".zarr" else seed.path.suffix
    way = int(rng.integers(7))
    path = folder / f"case{suffix}"
    if way <= 1:
        if sys.platform != "linux":  # names are text there
            return None
        name = NAMES[int(rng.integers(len(NAMES)))]
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name + suffix.encode()))
        _copied(seed.path, path)
        return path, Change("name", harmless=True, note=repr(name[:20]))
    if way == 2:
        path.symlink_to(seed.path)
        return path, Change("link", harmless=True)
    if way == 3:
        path.symlink_to(path.name)
    elif way == 4:
        path.mkdir()
    elif way == 5 and hasattr(os, "mkfifo"):
        os.mkfifo(path)
    # else: there is none
    return path, Change("no file", note=("loop", "folder", "pipe", "none")[way - 3])


def _copied(source: Path, target: Path) -> None:
    import shutil

    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def damaged_file(
    seed: Seed, folder: Path, rng: Rng, change: Callable[[bytes, Rng, Seed], tuple[bytes, Change]] = on_bytes
) -> tuple[Path, Change]:
    """Write a damaged copy of one file."""
    placed = on_place(seed, folder, rng)
    if placed is not None:
        return placed
    data, what = change(seed.path.read_bytes(), rng, seed)
    path = folder / seed.path.name
    path.write_bytes(data)
    return path, what
