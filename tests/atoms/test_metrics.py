"""Properties of the strict matching and of the numbers made from it."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from napari_stemprior.atoms import AtomTable, matching
from napari_stemprior.atoms import metrics as m

SHAPE = (100, 100)


def lattice(spacing: float = 12.0) -> np.ndarray:
    axis = np.arange(8.0, 95.0, spacing)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)


@st.composite
def clouds(draw: st.DrawFn, ties: bool = True) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, k = draw(st.integers(0, 40)), draw(st.integers(0, 40))
    size = draw(st.sampled_from([20.0, 100.0]))
    # whole numbers make ties and coincident points, where a careless matching fails
    rounded = ties and draw(st.booleans())
    a, b = rng.uniform(0, size, (n, 2)), rng.uniform(0, size, (k, 2))
    return (np.round(a), np.round(b)) if rounded else (a, b)


def by_brute_force(found: np.ndarray, true: np.ndarray, gate: float) -> tuple[int, float]:
    distance = np.linalg.norm(true[:, None] - found[None], axis=-1)
    cost = np.where(distance <= gate, distance - 1e4, 0.0)
    rows, columns = linear_sum_assignment(cost)
    real = cost[rows, columns] < 0
    return int(real.sum()), float(distance[rows, columns][real].sum())


@settings(deadline=None, max_examples=150)
@given(clouds(), st.floats(0.5, 15.0))
def test_pairs_are_the_optimal_assignment(pair, gate):
    found, true = pair
    result = matching.match(found, true, 1.0, gate=gate)
    count, total = by_brute_force(found, true, gate)
    assert len(result.truth) == count
    assert result.distance.sum() == pytest.approx(total, abs=1e-6)
    assert len(set(result.truth)) == len(set(result.predicted)) == count
    assert (result.distance <= gate + 1e-9).all()
    assert len(result.missed) == len(true) - count
    assert len(result.spurious) == len(found) - count


@settings(deadline=None, max_examples=150)
@given(clouds(ties=False), st.floats(0.5, 40.0), st.sampled_from([0, 30, matching._DENSE]))
def test_groups_are_matched_as_the_whole_would_be(pair, gate, largest_table):
    """Each group of rivals for itself, as a table or as a sparse graph: the pairs of the whole problem."""
    found, true = pair
    distance = np.linalg.norm(true[:, None] - found[None], axis=-1)
    rows, columns = linear_sum_assignment(np.where(distance <= gate, distance, 1e5))
    real = distance[rows, columns] <= gate
    with patch.object(matching, "_DENSE", largest_table):
        result = matching.match(found, true, 1.0, gate=gate)
    np.testing.assert_array_equal(result.truth, rows[real])
    np.testing.assert_array_equal(result.predicted, columns[real])
    np.testing.assert_allclose(result.distance, distance[rows, columns][real])


@settings(deadline=None, max_examples=60)
@given(clouds(), st.floats(0.1, 4.0))
def test_scale_leaves_the_counts_alone(pair, factor):
    found, true = pair
    one = matching.match(found, true, 1.0, gate=3.0)
    other = matching.match(found, true, factor, gate=3.0 * factor * (1 + 1e-9))
    assert len(one.truth) == len(other.truth)


@settings(deadline=None, max_examples=60)
@given(clouds(ties=False))  # of two partners equally near, either may be the one in the border
def test_swapping_the_sides_swaps_precision_and_recall(pair):
    a, b = (AtomTable.from_positions(p, 0.2) for p in pair)
    one, other = m.score(a, b, SHAPE, gate=0.7), m.score(b, a, SHAPE, gate=0.7)
    np.testing.assert_equal((one.precision, one.recall), (other.recall, other.precision))
    assert (one.f1, one.jaccard) == (other.f1, other.jaccard)
    np.testing.assert_allclose(one.chamfer_px, other.chamfer_px)


@settings(deadline=None, max_examples=60)
@given(clouds())
def test_the_looser_form_never_scores_below_chance_of_being_mutual(pair):
    found, true = pair
    strict = matching.match(found, true, 1.0, gate=1.0)
    f1, jaccard = m.loose(found, true)
    assert 0 <= f1 <= 1
    assert 0 <= jaccard <= 1
    if len(found) and len(true):
        assert f1 > 0  # the closest pair of all is mutual at whatever distance
    assert strict.gate == 1.0


def test_a_perfect_answer_is_perfect():
    truth = AtomTable.from_positions(lattice(), 0.2, element="W")
    result = m.score(truth, truth, SHAPE)
    assert (result.precision, result.recall, result.f1, result.jaccard) == (1, 1, 1, 1)
    assert (result.rmse, result.chamfer_px, result.ece) == (0, 0, 0)
    assert result.element_f1 == {"W": 1.0}
    assert result.gate == pytest.approx(0.3 * 12 * 0.2)


def test_the_gate_is_capped():
    assert matching.gate_for(lattice(), 1.0) == matching.GATE_MAX
    assert matching.gate_for(lattice(), 0.1) == pytest.approx(0.36)
    assert matching.gate_for([[3, 4]], 0.1) == matching.GATE_MAX


def test_a_second_atom_on_the_same_spot_is_an_error():
    truth = lattice()
    result = matching.match(np.concatenate([truth, truth[20:21] + 0.3]), truth, 0.2, SHAPE)
    assert len(result.spurious) == 1
    assert len(result.missed) == 0


def test_more_pairs_come_before_shorter_ones():
    # the middle prediction is nearest to both; taking it greedily for the left atom loses a pair
    result = matching.match([[0, 1.0], [0, 3.0]], [[0, 0.0], [0, 1.2]], 1.0, gate=2.0)
    assert len(result.truth) == 2


@pytest.mark.parametrize("end", ["truth", "prediction", "both"])
def test_the_border_neither_rewards_nor_penalises(end):
    # the border of 1 Å at 0.2 Å/px ends 4.5 px from the outermost pixel centre
    inside, outside = np.array([[4.6, 50.0]]), np.array([[4.4, 50.0]])
    middle = np.array([[50.0, 50.0]])
    found = np.concatenate([middle, inside if end == "truth" else outside])
    true = np.concatenate([middle, inside if end == "prediction" else outside])
    result = matching.match(found, true, 0.2, SHAPE, gate=0.5)
    assert (len(result.truth), len(result.spurious), len(result.missed)) == (1, 0, 0)


def test_alone_in_the_border_is_ignored_and_inside_is_counted():
    far = 99 - 4.5
    for position, counts in ((far + 0.1, 0), (far - 0.1, 1)):
        result = matching.match([[position, 30.0]], [[30.0, position]], 0.2, SHAPE, gate=0.5)
        assert (len(result.spurious), len(result.missed)) == (counts, counts)


def test_hidden_layer_element_and_vacancies():
    yx = lattice()
    n = len(yx)
    layer = np.arange(n) % 2
    element = np.where(layer == 0, "Mo", "W")
    truth = AtomTable.from_positions(yx[1:], 0.2, element=element[1:], layer=layer[1:])
    guess = element.copy()
    guess[2] = "W"
    found = AtomTable.from_positions(np.delete(yx, 3, 0), 0.2, element=np.delete(guess, 3))
    result = m.score(found, truth, SHAPE, vacancies=[yx[0], yx[0] + 6.0])
    w, mo = int(layer.sum()), int(n - layer.sum())
    assert result.hidden_layer_recall == pytest.approx((w - 1) / w)
    assert (result.vacancies, result.vacancies_filled) == (2, 0.5)
    assert (result.tp, result.fp, result.fn) == (n - 2, 1, 1)
    # Mo: one true atom called W, the vacancy called Mo; W: one missed, one wrong
    assert result.element_f1["Mo"] == pytest.approx(2 * (mo - 2) / ((mo - 1) + (mo - 1)))
    assert result.element_f1["W"] == pytest.approx(2 * (w - 1) / (w + w))


def stacked(apart: tuple[float, ...]) -> AtomTable:
    """Return an upper atom each 20 px and below it one so many Å beside, at 0.1 Å/px."""
    upper = np.array([[50.0, 20.0 + 20.0 * n] for n in range(len(apart))])
    lower = upper + np.array([[distance / 0.1, 0.0] for distance in apart])
    layer = np.repeat([0, 1], len(apart))
    return AtomTable.from_positions(np.concatenate([upper, lower]), 0.1, layer=layer)


def test_hidden_atoms_are_apart_from_half_an_angstrom_on():
    truth = stacked((0.3, 0.499, 0.501, 1.0))
    missing = truth.where(np.arange(8) != 5)
    both = m.score(missing, truth, (200, 200), gate=0.1)
    assert both.hidden_layer_recall == 0.75
    assert (both.hidden_apart, both.hidden_apart_recall) == (2, 1.0)
    assert m.score(truth.where(np.arange(8) != 6), truth, (200, 200), gate=0.1).hidden_apart_recall == 0.5
    # what matters is the atom above, not its neighbour in its own layer
    flat = AtomTable.from_positions(truth.yx, 0.1, layer=np.ones(8, int))
    assert m.score(flat, flat, (200, 200)).hidden_apart == 8


@pytest.mark.parametrize(
    ("layer", "shift", "filled"),
    [
        (0, 0.0, 0),  # the atom above, found where it is
        (0, 0.1, 0),  # and a little beside, towards the vacancy
        (0, 0.3, 1),  # nearer to the vacancy than to any atom: nothing else it could be
        (1, 0.0, 1),  # said to be hidden
        (1, -0.3, 0),  # hidden, but too far away
    ],
)
def test_the_atom_above_does_not_fill_a_hidden_vacancy(layer, shift, filled):
    truth = stacked((1.0, 0.4)).where(np.array([1, 1, 1, 0], bool))
    vacancy = truth.yx[1] + [4.0, 0.0]
    guess = truth.yx + np.array([[0.0], [1.0], [0.0]]) * [shift / 0.1, 0.0]
    found = AtomTable.from_positions(guess, 0.1, layer=[0, layer, 1])
    result = m.score(found, truth, (200, 200), vacancies=[vacancy], vacancy_layers=[1])
    assert (result.vacancies, result.hidden_vacancies) == (1, 1)
    assert (result.vacancies_filled, result.hidden_vacancies_filled) == (filled, filled)


def test_a_second_atom_beside_the_one_above_fills():
    truth = stacked((1.0, 0.4)).where(np.array([1, 1, 1, 0], bool))
    vacancy = truth.yx[1] + [4.0, 0.0]
    found = AtomTable.from_positions(np.concatenate([truth.yx, [vacancy]]), 0.1, layer=[0, 0, 1, 1])
    assert m.score(found, truth, (200, 200), vacancies=[vacancy], vacancy_layers=1).vacancies_filled == 1


def test_a_hidden_atom_does_not_fill_the_vacancy_above_it():
    truth = stacked((0.4, 1.0)).where(np.array([0, 1, 1, 1], bool))
    vacancy = truth.yx[1] - [4.0, 0.0]
    result = m.score(truth, truth, (200, 200), vacancies=[vacancy])
    assert (result.vacancies_filled, result.hidden_vacancies) == (0, 0)
    assert np.isnan(result.hidden_vacancies_filled)


@settings(deadline=None, max_examples=60)
@given(clouds(), st.integers(0, 2**32 - 1))
def test_without_layers_every_atom_near_a_vacancy_fills_it(pair, seed):
    found, true = pair
    empty = np.random.default_rng(seed).uniform(0, 20, (10, 2))
    tables = (AtomTable.from_positions(p, 0.2) for p in (found, true))
    share = m.score(*tables, vacancies=empty).vacancies_filled
    distance = np.linalg.norm(empty[:, None] - found[None], axis=-1) * 0.2
    assert share == (distance <= m.VACANCY_RADIUS).any(axis=1).mean()


def test_rejected_atoms_do_not_count():
    yx = lattice()
    status = ["rejected"] + ["ok"] * (len(yx) - 1)
    truth = AtomTable.from_positions(yx[1:], 0.2)
    assert m.score(AtomTable.from_positions(yx, 0.2, status=status), truth, SHAPE).f1 == 1


def test_nothing_to_find():
    none, some = AtomTable.empty(0.2), AtomTable.from_positions(lattice(), 0.2)
    assert m.score(none, none, SHAPE).f1 == 1
    missed = m.score(none, some, SHAPE)
    assert missed.f1 == 0
    assert np.isnan(missed.precision)
    assert missed.chamfer_px == np.inf
    assert m.score(some, none, SHAPE).f1 == 0


def test_scattered_points_fool_the_looser_form_only():
    rng = np.random.default_rng(1)
    truth = AtomTable.from_positions(lattice(), 0.2)
    result = m.score(AtomTable.from_positions(lattice() + rng.normal(0, 3.5, lattice().shape), 0.2), truth)
    assert result.f1 < 0.6
    assert result.loose_f1 > result.f1 + 0.2


def test_calibration_error():
    confidence = np.repeat([0.25, 0.75], 100)
    right = np.concatenate([np.arange(100) < 25, np.arange(100) < 75])
    assert m.calibration_error(confidence, right) == pytest.approx(0)
    assert m.calibration_error(np.ones(4), [True, True, False, False]) == pytest.approx(0.5)
    assert np.isnan(m.calibration_error([], []))


def test_pooling_adds_the_counts():
    yx = lattice()
    truth = AtomTable.from_positions(yx, 0.2)
    full, half = m.score(truth, truth, SHAPE), m.score(truth.where(np.arange(len(yx)) % 2 == 0), truth, SHAPE)
    both = m.pooled([full, half])
    assert both.tp == full.tp + half.tp
    assert full.f1 > both.f1 > half.f1


def test_pooling_weighs_hidden_sites_alike():
    truth = stacked((1.0, 0.4, 1.0, 1.0))
    one = m.score(truth, truth, vacancies=[truth.yx[4], [180.0, 180.0]], vacancy_layers=1)
    two = m.score(truth.where(np.arange(8) < 4), truth, vacancies=truth.yx[4:5], vacancy_layers=1)
    both = m.pooled([one, two])
    assert (both.hidden_apart, both.hidden_apart_recall) == (6, 0.5)
    assert (both.hidden_vacancies, both.hidden_vacancies_filled) == (3, pytest.approx(1 / 3))


def test_fifty_thousand_atoms_find_their_own():
    """Every atom moved by less than half the gate, some are gone and some are there twice as far."""
    rng = np.random.default_rng(2)
    axis = np.arange(224) * 10.0
    truth = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    moved = truth + rng.uniform(-1.5, 1.5, truth.shape)
    kept = np.sort(rng.permutation(len(truth))[:48_000])
    double = kept[:5_000]
    found = np.concatenate([moved[kept], truth[double] + 2.5])  # the gate is 3 pixels
    order = rng.permutation(len(found))
    result = matching.match(found[order], truth, 0.2)
    nearer = np.linalg.norm(moved[double] - truth[double], axis=1) < np.linalg.norm([2.5, 2.5])
    assert nearer.all()
    np.testing.assert_array_equal(np.sort(result.truth), kept)
    np.testing.assert_array_equal(order[result.predicted], np.searchsorted(kept, result.truth))
    np.testing.assert_array_equal(np.sort(order[result.spurious]), np.arange(48_000, 53_000))
    assert len(result.missed) == len(truth) - len(kept)


def test_only_atoms_that_compete_are_weighed_against_each_other(monkeypatch):
    """The work grows with the number of atoms, not with its square: few share a table of costs."""
    tables = []

    def counted(cost):
        tables.append(cost.size)
        return linear_sum_assignment(cost)

    monkeypatch.setattr(matching, "linear_sum_assignment", counted)
    rng = np.random.default_rng(2)
    axis = np.arange(100) * 10.0
    truth = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    matching.match(truth + rng.uniform(-1.5, 1.5, truth.shape), truth, 0.2)
    assert not tables, "pairs that nobody disputes need no table"
    matching.match(truth + rng.normal(0, 3, truth.shape), truth, 0.2)
    assert 0 < sum(tables) < len(truth)
