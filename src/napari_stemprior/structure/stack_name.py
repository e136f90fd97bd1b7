"""Stacks as people write them: ``MoS2/WS2 twist 3.1°``, ``MoS2 AB``, ``MoS2/MoS2 shift 1.0,0.5``."""

from __future__ import annotations

import re
from collections.abc import Callable

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.prior import StructurePrior
from napari_stemprior.structure.stack import Prior, bilayer, stacked

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_UNIT = r"\s*(?:°|deg(?:rees?)?\b)?"
_TWIST = re.compile(rf"\s+twist(?:ed)?\s+(?P<angles>{_NUMBER}{_UNIT}(?:[\s,]+{_NUMBER}{_UNIT})*)$", re.I)
_SHIFT = re.compile(rf"\s+shift(?:ed)?\s+(?P<x>{_NUMBER})\s*,\s*(?P<y>{_NUMBER})\s*(?:Å|A)?$", re.I)
_STACKING = re.compile(r"\s+(?P<how>AA'|AB'|A'B|AA|AB|BA)$", re.I)
_HINT = "write it as 'MoS2/WS2 twist 3.1', 'MoS2 AA' or 'MoS2/MoS2 shift 1.0,0.5'."


def parse_stack(text: str, is_name: Callable[[str], bool], load: Callable[[str], Prior]) -> Prior | None:
    """Read the name of a stack; None where the text is not one.

    Layers are separated by ``/`` (built-in names) or by the word ``on`` (names or files), the
    entrance side first.

    Parameters
    ----------
    text : str
    is_name : callable
        Tells whether a text is the name of a built-in prior.
    load : callable
        Loads one layer by its name or file.

    Raises
    ------
    StructureError
        If a twist or shift cannot be read or does not suit the layers.
    UnknownPriorError
        If a layer is not known.
    """
    rest = text.replace("\u2032", "'").replace("\u2019", "'").replace("\u2212", "-").strip()
    if found := _STACKING.search(rest):
        lone = rest[: found.start()].strip()
        if is_name(lone) or not _separated(lone, is_name):
            return bilayer(_layer(lone, text, load), found["how"].upper()).renamed(text.strip())
    rest, shift = _taken(_SHIFT, rest)
    rest, twist = _taken(_TWIST, rest)
    for word, hint in (("twist", "degrees such as 'twist 3.1'"), ("shift", "Å such as 'shift 1.0,0.5'")):
        if re.search(rf"\b{word}", rest, re.I):
            raise StructureError(f"{text!r}: the {word} cannot be read; give {hint}.")
    parts = _separated(rest, is_name)
    if len(parts) < 2:
        if twist or shift:
            raise StructureError(f"{text!r}: a twist or shift needs two layers; {_HINT}")
        return None
    layers = [_layer(part, text, load) for part in parts]
    angles = [float(a) for a in re.findall(_NUMBER, twist["angles"])] if twist else [0.0] * (len(parts) - 1)
    if len(angles) != len(parts) - 1:
        raise StructureError(
            f"{text!r}: {len(parts)} layers need {len(parts) - 1} twists, one for each below the first; "
            f"there are {len(angles)}."
        )
    if shift and len(parts) > 2:
        raise StructureError(f"{text!r}: a shift is read for two layers only; {_HINT}")
    shifts = [(0.0, 0.0), (float(shift["x"]), float(shift["y"]))] if shift else None
    return stacked(layers, [0.0, *angles], shifts, name=text.strip())


def _taken(pattern: re.Pattern[str], text: str) -> tuple[str, re.Match[str] | None]:
    found = pattern.search(text)
    return (text[: found.start()].strip(), found) if found else (text, None)


def _separated(text: str, is_name: Callable[[str], bool]) -> list[str]:
    """Split into layers; a path also has slashes, so one of the parts at least must be a known name."""
    if " on " in text:
        return [part.strip() for part in text.split(" on ")]
    parts = [part.strip() for part in text.split("/")]
    return parts if len(parts) > 1 and all(parts) and any(is_name(part) for part in parts) else [text]


def _layer(part: str, text: str, load: Callable[[str], Prior]) -> StructurePrior:
    layer = load(part).crystal
    if layer is None:
        raise StructureError(f"{text!r}: a layer of a stack cannot be a stack; {_HINT}")
    return layer
