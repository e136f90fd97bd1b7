"""What a type symbol or a label of a CIF says is on a site."""

from __future__ import annotations

import re
from collections.abc import Collection

from napari_stemprior.errors import SpeciesError
from napari_stemprior.structure.elements import ATOMIC_NUMBERS, Content

_VACANCY = frozenset({"va", "vac", "vacancy", "[]", "□"})
#: Water and hydroxyl groups stand where their oxygen is.
_WATER = ("wat", "h2o")
#: A charge, or the "valence" that tables of scattering factors put behind a symbol.
_CHARGE = r"(?:[+-]?\d*\.?\d*[+-]?|v|va|val|iso)"
_SHARE = r"(?:\d*\.\d+|\d+)"
_BETWEEN = r"[\s,/:;&+]*"
#: A part of a mixed symbol, its share behind or before it.
_PARTS = (
    re.compile(rf"(?P<element>[A-Z][a-z]?)\s*(?P<share>{_SHARE})?{_BETWEEN}"),
    re.compile(rf"(?P<share>{_SHARE})\s*\*?\s*(?P<element>[A-Z][a-z]?){_BETWEEN}"),
)


def content_of_symbol(symbol: str) -> Content:
    """Read a type symbol such as ``Mo``, ``O2-``, ``Fe+3``, ``SN`` or the mixed ``Nb0.8Zr0.2``.

    Raises
    ------
    SpeciesError
        With what is wrong with it.
    """
    text = symbol.strip().strip("()")
    if text.lower() in _VACANCY:
        return ()
    if shared := re.fullmatch(r"([A-Z][a-z]?)(0?\.\d+)", text):
        return ((_known(shared[1]), float(shared[2])),)
    if single := re.fullmatch(rf"([A-Za-z]{{1,2}}?){_CHARGE}", text):
        return ((_known(single[1]), 1.0),)
    if parts := _parts(text):
        if all(0 < share <= 1 for _, share in parts):
            content = tuple((_known(element), share) for element, share in parts)
            if sum(share for _, share in content) > 1.01:
                raise SpeciesError(f"the shares of the type symbol {symbol!r} add up to more than 1")
            return content
        if all(_is_element(element) for element, _ in parts):
            raise SpeciesError(
                f"the type symbol {symbol!r} names several elements and not how much of each; "
                "list each with its occupancy"
            )
    raise SpeciesError(f"the element {symbol!r} is not known; give chemical symbols")


def content_of_label(label: str, elements: Collection[int] = ()) -> Content:
    """Read a label such as ``Mo1``, ``SN1``, ``MgM2`` or ``O(3)`` where there is no type symbol.

    Parameters
    ----------
    label : str
    elements : collection of int
        Atomic numbers in the formula of the file; where it is known, it decides what ``CO1`` is.

    Raises
    ------
    SpeciesError
        With what is wrong with it.
    """
    if re.search(r"[,/+&]|\.\d+[A-Z]", label) and _parts(label.strip().strip("()")):
        return content_of_symbol(label)  # a mixed site, whose label says what is on it
    found = re.match(r"H2O|[A-Za-z]+", label.strip())
    if found is None:
        raise SpeciesError(f"the label {label!r} names no element; give type symbols")
    letters = found[0]
    if letters.lower() in _VACANCY:
        return ()
    mixed = re.fullmatch(r"([A-Z][a-z]?)([A-Z][a-z])", letters)
    if mixed and _is_element(mixed[1]) and _is_element(mixed[2]):
        raise SpeciesError(f"the label {label!r} names several elements; give type symbols and occupancies")
    options = [part for part in (letters[:2].capitalize(), letters[0].upper()) if _is_element(part)]
    options = [one for one in options if len(one) <= len(letters)]
    chosen = [one for one in options if _number(one) in elements] or options
    if letters.lower().startswith(_WATER):
        return ((ATOMIC_NUMBERS["O"], 1.0),)
    if not chosen or re.fullmatch(r"[A-Z][a-z]{3,}", letters):  # a word such as "Centre"
        raise SpeciesError(f"the label {label!r} names no known element; give type symbols")
    return ((_number(chosen[0]), 1.0),)


def _parts(text: str) -> list[tuple[str, float]]:
    """Split a mixed symbol such as ``Nb0.8Zr0.2``, ``0.8Nb + 0.2Zr`` or ``Al/Si``.

    The share is 2, more than there can be, where none is given; the list is empty for any other text.
    """
    for part in _PARTS:
        end, found = 0, []
        for piece in part.finditer(text):
            if piece.start() != end:
                break
            end = piece.end()
            found.append((piece["element"], float(piece["share"] or 2)))
        if end == len(text) and len(found) > 1:
            return found
    return []


def _is_element(text: str) -> bool:
    return text.upper() == "D" or (text.capitalize() in ATOMIC_NUMBERS and text.upper() != "X")


def _number(text: str) -> int:
    return 1 if text.upper() == "D" else ATOMIC_NUMBERS[text.capitalize()]


def _known(text: str) -> int:
    if not _is_element(text):
        raise SpeciesError(f"the element {text!r} is not known; give chemical symbols")
    return _number(text)
