"""What the overlay pictures mark, and where they are cropped."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.pictures import marks as om
from napari_stemprior.atoms import AtomTable

SHAPE = (200, 200)


def _table(yx: list[tuple[float, float]], **columns: object) -> AtomTable:
    return AtomTable.from_positions(yx, 0.1, **columns)


def test_right_wrong_and_missed_are_told_apart_and_the_hidden_layer_too():
    truth = _table([(50, 50), (50, 80), (80, 50), (80, 80)], layer=[0, 1, 0, 1])
    found = _table([(51, 50), (50, 81), (120, 120), (150, 150), (2, 2)], layer=[1, 0, 0, 1, 0])
    vacancies = np.array([(120.0, 121.0)])
    marks, score = om.judged(found, truth, SHAPE, vacancies)
    expected = {
        om.RIGHT: [(51, 50)],  # hidden or not is asked of the truth where there is one
        om.RIGHT_HIDDEN: [(50, 81)],
        om.WRONG: [(120, 120)],
        om.WRONG_HIDDEN: [(150, 150)],
        om.MISSED: [(80, 50)],
        om.MISSED_HIDDEN: [(80, 80)],
        om.VACANT: [(120, 121)],
        om.UNJUDGED: [(2, 2)],
    }
    assert {name: [tuple(place) for place in places] for name, places in marks.items()} == expected
    assert (score.tp, score.fp, score.fn) == (2, 2, 2)
    assert score.vacancies_filled == 1


def test_rejected_atoms_are_not_marked():
    atoms = _table([(50, 50), (50, 80)], status=["ok", "rejected"])
    marks, score = om.judged(atoms, atoms, SHAPE, np.empty((0, 2)))
    assert [len(places) for places in marks.values()] == [1, 0, 0, 0, 0, 0, 0, 0]
    assert score.f1 == 1


def test_a_site_is_empty_where_no_atom_is_near():
    found = _table(
        [(50, 50), (50, 80), (80, 50)],
        source=["model", "lattice", "model"],
        status=["ok", "review", "rejected"],
    )
    marks = om.by_source(found, np.array([(50.0, 55.9), (50.0, 86.1), (80.0, 50.0)]))  # 0.59, 0.61 and 0 Å
    assert marks[om.SEEN].tolist() == [[50, 50]]
    assert marks[om.LEANT].tolist() == marks[om.REVIEW].tolist() == [[50, 80]]
    assert marks[om.EMPTY].tolist() == [[50, 86.1], [80, 50]]


def test_every_atom_of_either_method_within_the_border_is_counted_once():
    ours = np.array([(50.0, 50), (50, 70), (70, 50), (1, 1)])
    log = np.array([(50.0, 51), (70, 90), (50, 51.5)])
    marks = om.compared(ours, log, 0.1, SHAPE)
    assert marks[om.BOTH].tolist() == [[50, 50]]
    assert marks[om.ONLY_OURS].tolist() == [[50, 70], [70, 50]]
    assert sorted(marks[om.ONLY_LOG].tolist()) == [[50, 51.5], [70, 90]]


def test_nothing_is_near_nothing():
    places = np.array([(1.0, 2.0)])
    assert not om.near(places, np.empty((0, 2)), 5).any()
    assert om.near(np.empty((0, 2)), places, 5).shape == (0,)


def test_the_crop_holds_the_crowd():
    rng = np.random.default_rng(0)
    crowd = rng.uniform(150, 170, (20, 2))
    window = om.busiest(np.concatenate([crowd, [(10.0, 10.0)]]), SHAPE, 50)
    assert window.holds(crowd).all()
    assert window.count({"crowd": crowd, "other": np.array([(10.0, 10.0)])}) == {"crowd": 20, "other": 0}


def test_without_events_the_crop_is_the_middle():
    assert om.busiest(np.empty((0, 2)), SHAPE, 100) == om.Window(50, 50, 100)


@pytest.mark.parametrize("shape", [(60, 200), (200, 60)])
def test_the_crop_stays_on_the_image(shape):
    window = om.busiest(np.array([(0.0, 0.0)]), shape, 500)
    assert window.side == 60
    assert 0 <= window.y <= shape[0] - 60
    assert 0 <= window.x <= shape[1] - 60
