"""The nearest image of a point, against all images around."""

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_stemprior
from napari_stemprior.structure.periodic import (
    image_distance,
    minimum_image,
    nearest_distance,
    rotational_symmetry,
)

PACKAGE = Path(napari_stemprior.__file__).parent
#: Reduced cells: square, rectangle, hexagon as it is drawn, and a lean one.
CELLS = [np.array(cell, float) for cell in ([(3, 0), (0, 3)], [(2, 0), (0, 7)])]
LEAN = [np.array([(3, 0), (-1.5, 1.5 * 3**0.5)]), np.array([(3.0, 0.0), (-1.2, 3.1)])]


def all_around(delta: np.ndarray, cell: np.ndarray) -> np.ndarray:
    shifts = np.array(list(product(range(-4, 5), repeat=2)))
    return np.linalg.norm((delta[:, None] - shifts) @ cell, axis=-1).min(axis=1)


@given(st.integers(0, 2**32 - 1))
def test_the_nearest_of_nine_images_is_the_nearest(seed: int) -> None:
    delta = np.random.default_rng(seed).uniform(-3, 3, (50, 2))
    for cell in CELLS + LEAN:
        np.testing.assert_allclose(nearest_distance(delta, cell), all_around(delta, cell), atol=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_a_folded_difference_is_exact_where_it_is_short(seed: int) -> None:
    delta = np.random.default_rng(seed).uniform(-3, 3, (50, 2))
    assert np.abs(minimum_image(delta)).max() <= 0.5
    for cell in CELLS:
        np.testing.assert_allclose(image_distance(delta, cell), all_around(delta, cell), atol=1e-12)
    for cell in LEAN:
        true, folded = all_around(delta, cell), image_distance(delta, cell)
        heights = abs(np.linalg.det(cell)) / np.linalg.norm(cell, axis=1)
        near = true < heights.min() / 2
        np.testing.assert_allclose(folded[near], true[near], atol=1e-12)
        assert (folded > true - 1e-12).all()


def test_a_folded_difference_of_a_hexagonal_cell_is_not_always_the_shortest() -> None:
    delta = np.array([0.4, -0.4])
    assert image_distance(delta, LEAN[0]) == pytest.approx(3 * 0.4 * 3**0.5)
    assert nearest_distance(delta, LEAN[0]) == pytest.approx(3 * 0.28**0.5)


def test_it_works_in_space_too() -> None:
    distance = image_distance(np.array([0.9, 2.1, -0.2]), np.diag([2.0, 3.0, 5.0]))
    assert distance == pytest.approx(np.sqrt(0.2**2 + 0.3**2 + 1.0**2))


def test_nobody_folds_for_himself() -> None:
    folding = re.compile(
        r"(?<!abs\()\b(\w+) -=? ?np\.round\(\1\)"
    )  # the abs() asks whether a number is whole
    homes = [p.name for p in sorted(PACKAGE.rglob("*.py")) if folding.search(p.read_text(encoding="utf-8"))]
    assert homes == ["periodic.py"]


@pytest.mark.parametrize(
    ("cell", "angle"),
    [
        ([(3.0, 0.0), (0.0, 3.0)], 90.0),
        ([(3.0, 0.0), (1.5, 2.598076)], 60.0),
        ([(3.0, 0.0), (-1.5, 2.598076)], 60.0),
        ([(3.0, 0.0), (0.0, 4.0)], 180.0),
        ([(3.0, 0.2), (0.7, 4.0)], 180.0),
    ],
)
def test_rotational_symmetry_of_a_lattice(cell, angle):
    assert rotational_symmetry(np.array(cell)) == angle
