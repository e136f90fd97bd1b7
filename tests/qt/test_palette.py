import numpy as np
import pytest

from napari_stemprior.qt.layers.palette import CATEGORIES, UNKNOWN_COLOUR, element_colour
from napari_stemprior.structure import built_in, names

# Viénot, Brettel and Mollon (1999), on linear RGB: what is left of a colour for the two commonest kinds
_PROTANOPE = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
_DEUTERANOPE = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])


def seen(colour, eye):
    return np.clip(eye @ np.asarray(colour) ** 2.2, 0, 1) ** (1 / 2.2)


@pytest.mark.parametrize("name", names())
def test_the_elements_of_a_prior_differ(name):
    colours = [element_colour(e) for e in {c.element for c in built_in(name).columns}]
    assert len(set(colours)) == len(colours)


@pytest.mark.parametrize("eye", [np.eye(3), _PROTANOPE, _DEUTERANOPE], ids=["usual", "protan", "deutan"])
def test_colour_blind_eyes_tell_the_categories_apart(eye):
    shades = [seen(c, eye) for c in (*CATEGORIES, UNKNOWN_COLOUR)]
    distance = [np.linalg.norm(a - b) for i, a in enumerate(shades) for b in shades[:i]]
    assert min(distance) > 0.1


def test_an_unknown_element_has_a_colour():
    assert element_colour("X") == element_colour("nonsense") == UNKNOWN_COLOUR
