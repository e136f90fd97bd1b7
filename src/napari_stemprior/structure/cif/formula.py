"""The formula that a CIF gives of its crystal, against the atoms that were read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from napari_stemprior.structure.cif.blocks import Block
from napari_stemprior.structure.elements import ATOMIC_NUMBERS, SYMBOLS

#: Formulas are rounded: amounts agree within this part of them and this many atoms a formula unit.
_RELATIVE = 0.02
_ABSOLUTE = 0.02
_TOKEN = re.compile(r"([A-Z][a-z]?)(\d+\.?\d*|\.\d+)?|([(\[{])|[)\]}](\d+\.?\d*|\.\d+)?|[\s,]+")


def formula_of(block: Block) -> dict[int, float] | None:
    """Read the sum formula of a block.

    Returns
    -------
    dict of int to float or None
        Atoms of each atomic number in a formula unit; None where there is none, two that differ, or one such
        as ``Li1-xCoO2``.
    """
    if "_chemical_formula_sum" in block.doubled:
        return None
    text = block.text("_chemical_formula_sum")
    return None if text is None else parse_formula(text)


def parse_formula(text: str) -> dict[int, float] | None:
    """Read a formula such as ``C2 H6 O``, ``SN SE`` or ``(Mg0.9Fe0.1)2SiO4``; None if it cannot be read."""
    plain = " ".join(text.replace("'", " ").split())
    if plain == plain.upper():  # as powder programs write them
        plain = re.sub(r"(?<![A-Za-z])([A-Z])([A-Z])(?=[\d.\s]|$)", lambda m: m[1] + m[2].lower(), plain)
    counts: list[Counter[int]] = [Counter()]
    place = 0
    for token in _TOKEN.finditer(plain):
        if token.start() != place:
            return None
        place = token.end()
        if token[1]:
            number = 1 if token[1] == "D" else ATOMIC_NUMBERS.get(token[1], 0)
            if not number:
                return None
            counts[-1][number] += float(token[2] or 1)  # type: ignore[assignment]
        elif token[3]:
            counts.append(Counter())
        elif token[0][0] in ")]}":
            if len(counts) < 2:
                return None
            inner, times = counts.pop(), float(token[4] or 1)
            for number, amount in inner.items():
                counts[-1][number] += amount * times  # type: ignore[assignment]
    if place != len(plain) or len(counts) != 1 or not counts[0]:
        return None
    return {number: float(amount) for number, amount in counts[0].items() if amount > 0}


def units_of(block: Block) -> float | None:
    """Return how many formula units the block says that its cell holds."""
    text = None if "_cell_formula_units_z" in block.doubled else block.text("_cell_formula_units_z")
    found = re.fullmatch(r"\d+(\.\d+)?", text or "")
    return float(found[0]) if found and float(found[0]) > 0 else None


def contradiction(block: Block, contents: Mapping[int, float]) -> str | None:
    """Say how the atoms of a cell contradict the formula of their file.

    Parameters
    ----------
    block : Block
    contents : mapping of int to float
        Atoms of each atomic number in the cell.

    Returns
    -------
    str or None
        None where they agree, or the file gives no formula.
    """
    formula = formula_of(block)
    if formula is None:
        return None
    units = units_of(block)
    heavy = [number for number in formula if number > 1] or list(formula)
    by_ratio = sum(contents.get(number, 0.0) for number in heavy) / sum(formula[n] for n in heavy)
    read = _text(contents)
    if units is None:
        if _agree(formula, contents, by_ratio):
            return None
        return f"the formula is {_text(formula)}, but the cell that was read holds {read}"
    of_cell = all(abs(amount / units - round(amount / units)) < 1e-6 for amount in formula.values())
    if _agree(formula, contents, units) or (of_cell and _agree(formula, contents, 1.0)):
        return None  # drawing programs write the contents of the whole cell as the formula
    said = f"the formula {_text(formula)} and {units:g} units a cell (_cell_formula_units_Z)"
    return f"{said} give {_text(_times(formula, units))}, but the cell that was read holds {read}"


def _agree(formula: Mapping[int, float], contents: Mapping[int, float], units: float) -> bool:
    if units <= 0:
        return False
    return all(
        abs(contents.get(z, 0.0) / units - formula.get(z, 0.0)) <= _RELATIVE * formula.get(z, 0.0) + _ABSOLUTE
        for z in {*formula, *contents}
    )


def _times(formula: Mapping[int, float], units: float) -> dict[int, float]:
    return {number: amount * units for number, amount in formula.items()}


def _text(counts: Mapping[int, float]) -> str:
    return " ".join(
        SYMBOLS[number] + ("" if abs(amount - 1) < 5e-3 else f"{round(amount, 2):g}")
        for number, amount in counts.items()
        if amount > 0
    )
