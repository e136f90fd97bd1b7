"""Symmetry operators as a CIF writes them, and whether they make a group."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import gemmi
import numpy as np
from numpy.typing import NDArray

#: Translations in symmetry operators are fractions of small numbers; 0.3333 stands for 1/3.
_LARGEST_DENOMINATOR = 24
_ROUNDED = 2e-3
_TERM = re.compile(r"([+-]*)(\d*\.?\d+(?:/\d+)?)?\*?([xyz])?(?:/(\d+))?")


@dataclass(frozen=True, eq=False)
class Symmetry:
    """The operators of a space group, x' = W x + w in fractional coordinates.

    Parameters
    ----------
    name : str
        Of the group as found, for the messages.
    rotations : (N, 3, 3) array of int
        W.
    translations : (N, 3) array
        w, each in [0, 1).
    """

    name: str
    rotations: NDArray[np.int64]
    translations: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def group(self) -> gemmi.SpaceGroup | None:
        """The space group in the tables of gemmi with exactly these operators, if there is one."""
        scaled = self.translations * gemmi.Op.DEN
        if np.abs(scaled - np.round(scaled)).max(initial=0) > 1e-6:
            return None
        ops = []
        for rotation, translation in zip(self.rotations, np.round(scaled).astype(int), strict=True):
            op = gemmi.Op()
            op.rot = (rotation * gemmi.Op.DEN).tolist()
            op.tran = translation.tolist()
            ops.append(op)
        return gemmi.find_spacegroup_by_ops(gemmi.GroupOps(ops))

    @property
    def is_group(self) -> bool:
        """Whether the product of any two operators is one of them, whole cells aside."""
        known = set(_keys(self.rotations, self.translations))
        for rotation, translation in zip(self.rotations, self.translations, strict=True):
            products = self.rotations @ rotation
            moves = self.rotations @ translation + self.translations
            if not known.issuperset(_keys(products, moves)):
                return False
        return len(self) > 0

    def stretch(self, cell: NDArray[np.float64]) -> float:
        """Return by how much the operators at most change the cell; 0 where the cell has the symmetry.

        Parameters
        ----------
        cell : (3, 3) array
            Rows are the cell vectors.
        """
        metric = cell @ cell.T
        carried = np.swapaxes(self.rotations, 1, 2) @ metric @ self.rotations
        lengths = np.sqrt(np.diag(metric))
        return float((np.abs(carried - metric) / np.outer(lengths, lengths)).max(initial=0))


def read_operators(texts: Iterable[str], name: str) -> Symmetry:
    """Read operators such as ``-x+1/2, y, z+0.5``.

    Parameters
    ----------
    texts : iterable of str
        A time reversal behind them (``x,y,z,-1``) moves no atom and is left out.
    name : str
        Of the group.

    Raises
    ------
    ValueError
        If one cannot be read; its argument is the text.
    """
    read = [_operator(text) for text in texts]
    return unique(name, np.array([w for w, _ in read]), np.array([t for _, t in read]))


def from_group_ops(name: str, ops: gemmi.GroupOps) -> Symmetry:
    """Take the operators that gemmi knows of a space group."""
    listed = list(ops)
    rotations = np.array([op.rot for op in listed]) // gemmi.Op.DEN
    return unique(name, rotations, np.array([op.tran for op in listed]) / gemmi.Op.DEN)


def unique(name: str, rotations: NDArray[np.int64], translations: NDArray[np.float64]) -> Symmetry:
    """Leave out operators that differ by whole cells alone."""
    first = {key: i for i, key in reversed(list(enumerate(_keys(rotations, translations))))}
    kept = sorted(first.values())
    return Symmetry(name, rotations[kept], np.mod(translations[kept] + 1e-9, 1.0) - 1e-9)


def products(name: str, symmetry: Symmetry, centring: Symmetry) -> Symmetry:
    """Return every operator of `symmetry` followed by every one of `centring`."""
    rotations = centring.rotations[:, None] @ symmetry.rotations[None]
    moved = np.einsum("cij,sj->csi", centring.rotations, symmetry.translations)
    translations = moved + centring.translations[:, None]
    return unique(name, rotations.reshape(-1, 3, 3), translations.reshape(-1, 3))


def _keys(rotations: NDArray[np.int64], translations: NDArray[np.float64]) -> list[bytes]:
    steps = np.mod(np.round(translations * 5040), 5040).astype(np.int64)  # 5040 = 7!: fifths and sevenths too
    rows = np.concatenate([rotations.reshape(len(rotations), 9).astype(np.int64), steps], axis=1)
    return [row.tobytes() for row in rows]


def _operator(text: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    parts = re.sub(r"\s+", "", text.lower()).strip("'\"").split(",")
    if len(parts) == 4 and re.fullmatch(r"[+-]?1|m|-m", parts[3]):
        parts.pop()
    if len(parts) != 3:
        raise ValueError(text)
    rotation, translation = np.zeros((3, 3), dtype=np.int64), np.zeros(3)
    for row, part in enumerate(parts):
        end = 0
        for term in _TERM.finditer(part):
            if not term[0]:
                continue
            if term.start() != end or (end and not term[1]) or len(term[1]) > 1 or not (term[2] or term[3]):
                raise ValueError(text)
            end = term.end()
            value = (-1 if term[1] == "-" else 1) * _fraction(term[2] or "1", term[4], text)
            if term[3]:
                if value.denominator != 1:
                    raise ValueError(text)
                rotation[row, "xyz".index(term[3])] += int(value)
            else:
                translation[row] += float(_simple(value))
        if end != len(part) or not part:
            raise ValueError(text)
    if round(abs(np.linalg.det(rotation))) != 1:
        raise ValueError(text)
    return rotation, translation


def _fraction(text: str, divisor: str | None, whole: str) -> Fraction:
    above, _, below = text.partition("/")
    part = int(below or 1) * int(divisor or 1)
    if not part:
        raise ValueError(whole)
    return Fraction(above) / part


def _simple(value: Fraction) -> Fraction:
    simple = value.limit_denominator(_LARGEST_DENOMINATOR)
    return simple if abs(simple - value) < _ROUNDED else value
