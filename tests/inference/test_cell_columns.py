"""Sets of columns of a unit cell."""

from __future__ import annotations

import numpy as np

from napari_stemprior.inference.cell_columns import CellColumns

CELL = np.array([[6.0, 0.0], [1.0, 5.0]])
PLACES = np.array([[0.02, 0.5], [0.4, 0.1], [0.7, 0.8]])


def columns(places: np.ndarray, hidden: tuple[bool, ...] = (False, True, False)) -> CellColumns:
    return CellColumns(places, np.array(hidden[: len(places)], bool), np.ones(len(places)))


def test_the_same_columns_in_another_order_and_across_the_border_are_alike() -> None:
    moved = (PLACES + np.array([-0.025, 0.01])) % 1.0  # 0.15 Å
    assert not columns(PLACES).is_like(columns(moved), CELL)
    near = (PLACES + np.array([-0.01, 0.01])) % 1.0
    assert columns(PLACES).is_like(columns(near), CELL)
    assert columns(PLACES).is_like(columns(PLACES[::-1], (False, True, False)), CELL)
    across = columns(np.array([[1.0, 0.5], [0.4, 0.1], [0.7, 0.8]]))
    assert not columns(PLACES).is_like(across, CELL)  # 0.12 Å on the other side of the border
    across = columns(np.array([[1.01, 0.5], [0.4, 0.1], [0.7, 0.8]]))
    assert columns(PLACES).is_like(across, CELL)


def test_columns_of_another_layer_or_number_are_not_alike() -> None:
    assert not columns(PLACES).is_like(columns(PLACES, (True, True, False)), CELL)
    assert not columns(PLACES).is_like(columns(PLACES[:2]), CELL)
    twice = np.array([PLACES[0], PLACES[0], PLACES[2]])
    assert not columns(twice, (False, False, False)).is_like(columns(PLACES, (False, False, False)), CELL)
    nothing = columns(np.zeros((0, 2)))
    assert nothing.is_like(nothing, CELL)
