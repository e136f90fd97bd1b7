"""Pairs across the faces of a cell, against all images of all points."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from napari_stemprior.structure.near_pairs import near_groups, near_pairs


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("reach", [0.4, 1.7, 4.0])
def test_pairs_are_those_of_all_images(dimensions: int, reach: float) -> None:
    rng = np.random.default_rng(dimensions)
    for _ in range(5):
        cell = np.diag(rng.uniform(2, 4, dimensions)) + rng.uniform(-1, 1, (dimensions, dimensions))
        fractional = rng.uniform(-1, 2, (6, dimensions))
        first, second, vectors = near_pairs(fractional, cell, reach)
        found = sorted(
            (i, j, *np.round(v, 6)) for i, j, v in zip(first.tolist(), second.tolist(), vectors, strict=True)
        )
        inside = np.mod(fractional, 1.0)
        expected = []
        for i, j in product(range(6), repeat=2):
            for shift in product(range(-8, 9), repeat=dimensions):
                vector = (inside[j] + shift - inside[i]) @ cell
                if np.linalg.norm(vector) <= reach and (i != j or any(shift)):
                    expected.append((i, j, *np.round(vector, 6)))
        np.testing.assert_allclose(found, sorted(expected), atol=2e-6)


def test_points_at_one_place_are_a_pair() -> None:
    first, second, vectors = near_pairs(np.array([[0.0, 0, 0], [1.0, 0, 1.0]]), 3 * np.eye(3), 0.1)
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == [(0, 1), (1, 0)]
    assert not vectors.any()


def test_groups_are_numbered_by_their_first_member() -> None:
    group = near_groups(5, np.array([4, 1]), np.array([0, 3]))
    assert group.tolist() == [0, 1, 2, 1, 0]
