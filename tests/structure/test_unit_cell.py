"""The atoms behind a prior lie on its columns."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from napari_stemprior.structure import built_in, names
from napari_stemprior.structure.elements import SYMBOLS
from napari_stemprior.structure.periodic import image_distance
from napari_stemprior.structure.prior import MERGE_DISTANCE


@pytest.mark.parametrize("name", names())
def test_the_atoms_make_up_the_columns(name: str) -> None:
    prior = built_in(name)
    unit = prior.unit_cell
    assert unit is not None
    np.testing.assert_allclose(unit.lattice[2, :2], 0, atol=1e-6)
    if prior.period:
        assert abs(unit.lattice[2, 2]) == pytest.approx(prior.period)
    places = unit.positions[:, :2] @ np.linalg.inv(prior.cell)
    # the projected cell may hold the cell in space several times
    cells = abs(np.linalg.det(unit.lattice[:2, :2])) / prior.area
    assert cells == pytest.approx(round(cells), abs=1e-6)
    for column in prior.columns:
        near = image_distance(places - column.position, prior.cell) < MERGE_DISTANCE
        found: Counter[str] = Counter()
        for z, part in zip(unit.atomic_numbers[near], unit.occupancy[near], strict=True):
            found[SYMBOLS[z]] += part / cells
        assert dict(found) == pytest.approx(dict(column.composition))


def test_what_changes_an_answer_makes_another_prior() -> None:
    prior = built_in("SrTiO3 [001]")
    unit = prior.unit_cell
    assert unit is not None
    same = replace(prior, unit_cell=replace(unit, positions=unit.positions.copy()))
    assert same == prior
    assert hash(same) == hash(prior)
    others = [
        replace(prior, period=2 * prior.period),
        replace(prior, source="elsewhere"),
        replace(prior, cell=1.01 * prior.cell),
        replace(prior, unit_cell=None),
        replace(prior, unit_cell=replace(unit, positions=unit.positions + 0.1)),
        replace(prior, unit_cell=replace(unit, occupancy=0.5 * unit.occupancy)),
    ]
    assert all(other != prior for other in others)


def test_the_upper_sulphur_lies_above_the_metal() -> None:
    unit = built_in("MoS2").unit_cell
    assert unit is not None
    depth = dict(zip(np.argsort(unit.positions[:, 2]), (16, 42, 16), strict=True))
    assert all(unit.atomic_numbers[i] == z for i, z in depth.items())
