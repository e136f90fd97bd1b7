"""The data blocks of a CIF, as text by tag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from pathlib import Path

from gemmi import cif

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.file_checks import file_bytes

#: Tags of other categories (reflections, authors, bonds) are left aside.
_WANTED = (
    "_cell_",
    "_atom_site_",
    "_symmetry_",
    "_space_group_",
    "_chemical_formula_",
    "_parent_space_group_",
)
#: A tag with a bare value of several words, and how many of these are mended.
_BARE = re.compile(r"\s*(_\S+)\s+([^\s'\"#;_][^'\"#]*\s[^'\"#_]*)")
_MENDED = 20
#: Where a text begins in UTF-16, which some programs of Windows write.
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
#: Letters of what a file or its parser says that are told.
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Block:
    """One data block: the values of every tag, tags in lower case with ``_`` for the dots of newer CIF.

    Parameters
    ----------
    path : pathlib.Path
        Of the file, named in the errors.
    name : str
        What stands behind ``data_``.
    values : mapping of str to tuple of (str or None)
        A value that is ``?`` or ``.`` is None.
    doubled : frozenset of str
        Tags that the block gives twice, differently.
    """

    path: Path
    name: str
    values: Mapping[str, tuple[str | None, ...]]
    doubled: frozenset[str] = frozenset()

    def column(self, *tags: str) -> tuple[str | None, ...]:
        """Return the values of the first of these tags that the block has; empty if it has none.

        Raises
        ------
        StructureError
            If the block gives the tag twice, differently.
        """
        for tag in tags:
            if tag in self.doubled:
                raise StructureError(f"{self.path}: {tag} is given twice, differently; leave one of them.")
            if any(value is not None for value in self.values.get(tag, ())):
                return self.values[tag]
        return ()

    def text(self, *tags: str) -> str | None:
        """Return the first known value of the first of these tags that has one."""
        return next((value for value in self.column(*tags) if value is not None), None)

    @property
    def has_atoms(self) -> bool:
        """Whether the block lists positions of atoms."""
        return bool(self.column("_atom_site_fract_x", "_atom_site_cartn_x"))


def read_blocks(path: Path) -> list[Block]:
    """Read every data block of a CIF.

    Parameters
    ----------
    path : pathlib.Path
        Line ends of every system, byte order marks, UTF-16 and compressed files are read.

    Raises
    ------
    StructureError
        If the file is empty or breaks the syntax of CIF.
    """
    raw = file_bytes(path)
    text = raw.decode("utf-16" if raw[:2] in _UTF16 else "utf-8-sig", errors="replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\x1a\x00\n ") + "\n"
    if not any(line.strip() and not line.lstrip().startswith("#") for line in text.split("\n")):
        raise StructureError(f"{path}: the file is empty.")
    # the syntax is ASCII; what else stands in the names of authors is of no use here
    plain = text.encode("ascii", errors="replace").decode("ascii").replace("\t", " ").replace("\x0c", " ")
    document = _document(path, plain)
    counts: dict[str, int] = {}
    blocks = []
    for block in document:
        name = block.name.strip() or "(no name)"
        counts[name] = counts.get(name, 0) + 1
        blocks.append(_block(path, name if counts[name] == 1 else f"{name} ({counts[name]})", block))
    return blocks


def _document(path: Path, text: str) -> cif.Document:
    """Parse a CIF; a value with spaces that lacks its quotes, as people write ``P m -3 m``, gets them."""
    lines = text.split("\n")
    for _ in range(_MENDED):
        try:
            return cif.read_string("\n".join(lines), 0)
        except (ValueError, RuntimeError) as error:
            found = re.match(r"string:(\d+):\d+\(\d+\): parse error", str(error))
            place = int(found[1]) - 1 if found else len(lines)
            bare = _BARE.fullmatch(lines[place]) if place < len(lines) else None
            if bare is None:
                raise unreadable(path, _located(str(error))) from error
            lines[place] = f'{bare[1]} "{bare[2].strip()}"'
    raise unreadable(path, "many values with spaces have no quotes")


def _block(path: Path, name: str, block: cif.Block) -> Block:
    values: dict[str, tuple[str | None, ...]] = {}
    doubled = set()
    for tag, column in _columns(block):
        known = tag.lower().replace(".", "_")
        if not known.startswith(_WANTED):
            continue
        read = tuple(None if cif.is_null(value) else cif.as_string(value).strip() or None for value in column)
        if any(values.get(known, ())) and any(read) and values[known] != read:
            doubled.add(known)
        if not any(values.get(known, ())):
            values[known] = read
    return Block(path, name, values, frozenset(doubled))


def _columns(block: cif.Block) -> list[tuple[str, list[str]]]:
    columns = []
    for item in block:
        if isinstance(item.pair, tuple | list):
            tag, value = item.pair
            columns.append((str(tag), [str(value) or "?"]))
        elif item.loop is not None:
            tags, values = item.loop.tags, item.loop.values
            columns += [(tag, values[i :: len(tags)]) for i, tag in enumerate(tags)]
    return columns


def _located(message: str) -> str:
    """Put a message of the parser, ``string:19:1(338): parse error``, as people say it."""
    found = re.match(r"string:(\d+)(?::\d+\(\d+\))?:?\s*(.*)", message.splitlines()[0])
    if not found:
        return message.splitlines()[0]
    what = {
        "parse error": "it is no CIF there; a value with spaces needs quotes",
        "expected block header (data_)": "a CIF begins with data_",
    }.get(found[2], found[2].rstrip("_* "))
    return f"line {found[1]}: {what}"


def unreadable(path: Path, reason: str) -> StructureError:
    """Return the error of a file that breaks the rules of its format."""
    return StructureError(
        f"{path}: not a readable structure file ({shortened(reason)}); export it again or check it."
    )


def shortened(text: str) -> str:
    """Return what a file or its parser says, cut after 200 letters: a damaged file may hold long words."""
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]} ..."


def number(block: Block, tag: str, value: str | None) -> float:
    """Read a number, with its error in brackets or as a fraction.

    Raises
    ------
    StructureError
        If it is unknown, no number, or not finite.
    """
    read = float("nan")
    if value is not None:
        read = cif.as_number(value)
        if not isfinite(read) and re.fullmatch(r"[+-]?\d+/0*[1-9]\d*", value):
            read = float(Fraction(value))
    if not isfinite(read):
        shown = "?" if value is None else value
        raise unreadable(block.path, f"{tag} is {shown!r}, not a number")
    return read
