"""Colours of elements and numbers that colour-blind eyes can tell apart.

Categories take the colours of Okabe and Ito (jfly.uni-koeln.de/color), numbers take viridis.
"""

from __future__ import annotations

from ase.data import atomic_numbers

Colour = tuple[float, float, float]


def _rgb(code: str) -> Colour:
    red, green, blue = (int(code[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


ORANGE, SKY, GREEN = _rgb("#e69f00"), _rgb("#56b4e9"), _rgb("#009e73")
YELLOW, BLUE, RED, PINK = _rgb("#f0e442"), _rgb("#2f7fd0"), _rgb("#d55e00"), _rgb("#cc79a7")
#: For what has no colour of its own, in this order; blue is last, being faint on a dark micrograph.
CATEGORIES: tuple[Colour, ...] = (ORANGE, SKY, GREEN, YELLOW, RED, PINK, BLUE)
#: Colour of an atom whose species nobody knows.
UNKNOWN_COLOUR: Colour = (1.0, 1.0, 1.0)

#: Of the layers of a prior, entrance side first: far apart in hue and in brightness for every eye.
_LAYERS = (SKY, ORANGE, GREEN, PINK, YELLOW, RED, BLUE)

# Elements that often meet in one crystal differ; the rest goes round by atomic number.
_BY_COLOUR = (
    (RED, "O Te"),
    (YELLOW, "S C F Cl I Li"),
    (ORANGE, "Se P B As Br H"),
    (GREEN, "W Ta Re Pt Sr Ba La Ce Cs Ga Ge Fe Bi Sb Zr Hf"),
    (SKY, "Mo Ti Cu Cr Co In Si Zn Cd Mg Na Ca Au Sn Ni Mn Ag Pd"),
    (PINK, "Nb Al Pb K Y"),
    (BLUE, "N V Rh Ru Ir"),
)
_ELEMENTS: dict[str, Colour] = {name: colour for colour, names in _BY_COLOUR for name in names.split()}


def element_colour(element: str) -> Colour:
    """Return the colour of an element as red, green, blue in 0 to 1."""
    number = atomic_numbers.get(element, 0)
    if number == 0:
        return UNKNOWN_COLOUR
    return _ELEMENTS.get(element, CATEGORIES[number % len(CATEGORIES)])


def layer_colour(number: int) -> Colour:
    """Return the colour of a layer, 0 = entrance side, in the lattice, the picture and the atoms."""
    return _LAYERS[number % len(_LAYERS)]


def layer_name(number: int) -> str:
    """Return what a layer is called wherever a person reads its number."""
    return "0 (entrance side)" if number == 0 else str(number)
