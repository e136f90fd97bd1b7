from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from answers import VIEWS, answers
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.accuracy.goals import Goal, bounds, filled, goals
from benchmarks.accuracy.plots import apart, draw
from benchmarks.accuracy.report import report
from benchmarks.accuracy.statistics import ALONE, MISLED, OURS, STAMP

DOSES = (300.0, 1e3, 3e3, 1e4, 3e4)


def about(found: list[Goal], words: str) -> Goal:
    (goal,) = [g for g in found if words in g.goal]
    return goal


def level(value: float) -> dict[float, float]:
    return dict.fromkeys(DOSES, value)


def test_goals_tell_what_is_met_from_what_is_not() -> None:
    good = pd.concat(
        [
            answers(OURS, "network", level(0.99)),
            answers(ALONE, "network", level(0.8)),
            answers(MISLED, "network", level(0.795)),
            answers(STAMP, "classical", level(0.98)),
        ]
    )
    found = goals(good)
    assert all(goal.met for goal in found)
    worse = good.assign(f1=good["f1"] - 0.02 * good["method"].isin([OURS, MISLED]), ece=0.06)
    found = goals(worse)
    for words in ("single-lattice", "every rival", "wrong prior", "calibration"):
        assert about(found, words).met is False
    assert about(found, "single-lattice").measured.startswith("0.970")
    assert "behind in 10 of 10 cells, at most by 0.010 (fit and stamp" in about(found, "every rival").measured


def test_cells_count_alike_however_many_views_they_have() -> None:
    own = answers(OURS, "network", level(1.0))
    own.loc[own["scene"] == "strain", "f1"] = 0.9  # one view of three
    assert about(goals(own), "single-lattice").measured.startswith("0.950")
    # the strained crystal is compared with the same one perfect, not with the other
    own.loc[own["item"] == "1 b perfect", "f1"] = 0.0
    assert about(goals(own), "strain").measured.startswith("0.100 below")


def test_margins_over_atomai_say_what_was_possible() -> None:
    results = pd.concat(
        [
            answers(OURS, "network", level(1.0)),
            answers("AtomAI", "rival", {300: 0.3, 1e3: 0.6, 3e3: 0.74, 1e4: 0.8, 3e4: 0.85}),
        ]
    )
    found = goals(results)
    f1 = about(found, "strict F1 above AtomAI's")
    assert "over 1000, 3000" in f1.measured
    assert "+35.1 % at 3000, where a perfect answer would gain +35.1 %" in f1.measured
    assert f1.met is True  # 1 / 0.67 − 1
    assert about(found, "a tenth").measured == "above 100 ×"
    late = results.assign(f1=results["f1"].where(results["method"] != OURS, 0.89))
    assert about(goals(late), "a tenth").met is None


def test_vacancies_are_judged_by_the_worst_specimen() -> None:
    views = {"0 a vacancies": ("a", "vacancies"), "1 b vacancies": ("b", "vacancies")}
    none = {"vacancies": 10, "vacancies_filled": 0.0, "vacancy_limit": 0.0}
    own = answers(OURS, "network", level(1.0), views=views, **none)
    worst = (own["specimen"] == "b") & (own["dose"] == 3e3)
    own.loc[worst, ["vacancies_filled", "vacancy_limit"]] = 0.3, 0.25
    found = goals(own)
    assert about(found, "2 % at 10⁴").met is True
    middle = about(found, "4 % at 3·10³")
    assert middle.measured == "15.0 % of all; worst: 30.0 %, b at 3000 (limit 25.0 %)"
    assert middle.met is False
    assert about(found, "+ 10 points").measured == "at most +5.0 points (b at 3000)"
    assert about(found, "+ 10 points").met is True


def test_the_share_filled_weighs_every_vacancy_alike() -> None:
    rows = pd.concat(
        [
            answers(OURS, "network", {300: 1.0}, views={"0": ("a", "v")}, vacancies=1, vacancies_filled=1.0),
            answers(OURS, "network", {300: 1.0}, views={"1": ("a", "v")}, vacancies=9, vacancies_filled=0.0),
        ]
    )
    assert filled(rows, ["dose"]).loc[300, "filled"] == pytest.approx(0.1)


STACKS = {"0 c bilayer": ("c", "bilayer"), "1 d bilayer": ("d", "bilayer")}


def stacks(recall: float, filled: float, *, method: str = OURS) -> pd.DataFrame:
    """Return answers on two bilayers, of which the second has vacant hidden sites."""
    seen = {"hidden_layer_recall": 0.7, "hidden_apart": 30, "hidden_apart_recall": recall}
    rows = answers(method, "network", level(1.0), views=STACKS, **seen)
    names = ["vacancies", "vacancies_filled", "vacancy_limit", "hidden_vacancies", "hidden_vacancies_filled"]
    rows.loc[rows["specimen"] == "d", names] = 10, filled, 0.01, 10, filled
    return rows


def test_the_hidden_layer_is_judged_where_it_stands_apart_and_is_not_whole() -> None:
    found = goals(stacks(0.95, 0.0))
    recall = about(found, "hidden-layer recall")
    assert recall.measured == (
        "0.950 (lowest view: 0.950, 0 c bilayer); of all lower columns 0.700; 10 vacant hidden sites"
    )
    assert recall.met is True
    assert about(found, "hidden sites filled ≤ 2 % at 10⁴").met is True
    found = goals(stacks(0.85, 0.1))
    assert about(found, "hidden-layer recall").met is False
    middle = about(found, "hidden sites filled ≤ 4 % at 3·10³")
    assert (middle.measured, middle.met) == ("at most 10.0 % (at 3000; limit 1.0 %)", False)


def test_a_lower_layer_without_vacancies_proves_nothing() -> None:
    whole = stacks(0.95, 0.0)
    whole = whole[whole["specimen"] == "c"]
    assert about(goals(whole), "hidden-layer recall").met is None
    assert not [g for g in goals(whole) if "hidden sites filled" in g.goal]
    worse = whole.assign(hidden_apart_recall=0.5)
    assert about(goals(worse), "hidden-layer recall").met is False


def test_hidden_columns_count_alike_however_few_a_view_has() -> None:
    rows = stacks(1.0, 0.0)
    rows.loc[rows["specimen"] == "c", ["hidden_apart", "hidden_apart_recall"]] = 10, 0.6
    assert about(goals(rows), "hidden-layer recall").measured.startswith("0.900 (lowest view: 0.600, 0 c")


def test_answers_from_before_hidden_columns_were_told_apart_are_still_reported() -> None:
    columns = ["hidden_apart", "hidden_apart_recall", "hidden_vacancies", "hidden_vacancies_filled"]
    before = stacks(0.95, 0.0).drop(columns=columns)
    assert not [g for g in goals(before) if "hidden" in g.goal]
    assert "| with the prior | recall, all | 0.700 | 0.700 | 0.700 | 0.700 | 0.700 |" in report(before)


def test_report_of_the_hidden_layer() -> None:
    text = report(pd.concat([stacks(0.95, 0.1), stacks(0.5, 0.2, method=ALONE)]))
    assert "| with the prior | recall, 0.5 Å or more from an upper column | 0.950 |" in text
    assert "| without a prior | vacant sites filled, % | 20.0 | 20.0 |" in text
    assert "| likelihood-ratio limit | vacant sites filled, % | 1.0 |" in text
    assert "## Hidden layer" not in report(answers(OURS, "network", level(1.0)))


def test_positions_are_judged_by_their_worst_dose() -> None:
    places = pd.DataFrame(
        {"view": "0", "dose": [1e3, 1e4, 3e2], "method": OURS, "rmse": [1.0, 1.6, 9.0], "bound": 1.0}
    )
    found = about(goals(answers(OURS, "network", level(1.0)), places), "Cramér")
    assert found.measured.startswith("1.60 at 10000")
    assert found.met is False


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0, 300, "below 300"), (3e4, float("inf"), "above 3e+04"), (12, 12, "12"), (0, float("inf"), "unknown")],
)
def test_bounds_in_words(low: float, high: float, text: str) -> None:
    assert bounds(low, high) == text


def test_report_of_everything(tmp_path: Path) -> None:
    results = pd.concat(
        [
            answers(OURS, "network", level(0.99), source="small 1"),
            answers(ALONE, "network", level(0.8), source="small 1"),
            answers(STAMP, "classical", level(1.0)),
            answers("AtomAI", "rival", level(0.6)),
            answers("all parts", "ablation", level(0.95)),
            answers("without self-attention", "ablation", level(0.93)),
        ]
    )
    text = report(results)
    assert text.startswith("# Accuracy of `small`\n")
    assert "mixed" not in text
    assert "| AtomAI | 300 | 0.600 | 2.86 × | +128.7 % | +65.0 % | +65.0 % | +65.0 % |" in text
    assert "| fit and stamp | perfect at 300 | 0.9900 | 1.0000 | -0.0100 (-0.0100 to -0.0100) | yes |" in text
    assert "| without self-attention | -0.020 (-0.020 to -0.020) |" in text
    assert "| without self-attention | 15 | 0.9300 | 0.1000 | – | – | – | 0.010 | 0 of 10 |" in text
    assert "| AtomAI | never (0.600 at best) | 1 |" in text
    assert "### All parts / rival, strict F1" in text
    assert text.count("| 0.950 / 0.600 ") == 6  # five doses and all of them
    draw(results, tmp_path)
    assert (tmp_path / "accuracy_f1.png").stat().st_size > 10_000
    assert not (tmp_path / "accuracy_vacancies.png").exists()  # there are none


def test_report_says_when_weights_are_mixed() -> None:
    results = pd.concat(
        [
            answers(OURS, "network", level(0.99), source="small 1"),
            answers(ALONE, "network", level(0.8), source="small 2"),
        ]
    )
    assert "different weights are mixed" in report(results)


def test_report_of_one_rival_on_one_view_at_one_dose(tmp_path: Path) -> None:
    view = dict([next(iter(VIEWS.items()))])
    results = answers("AtomAI", "rival", {300: 0.6}, views=view)
    text = report(results)
    assert "| AtomAI | 0.600 | 1 |" in text
    assert "## Goals" not in text
    draw(results, tmp_path)


def test_report_of_a_rival_that_finds_nothing_and_of_one_that_shares_no_micrograph() -> None:
    results = pd.concat(
        [
            answers(OURS, "network", {300: 0.9}),
            answers("AtomAI", "rival", {300: 0.0}, chamfer_angstrom=float("inf")),
            answers("multi-scale", "rival", {1000: 0.6}),
        ]
    )
    text = report(results)
    assert "| AtomAI | 300 (none in the band; nearest) | 0.000 | ∞ × | ∞ | ∞ | ∞ | ∞ |" in text
    assert "| multi-scale | 1000 |" not in text
    assert about(goals(results), "strict F1 above AtomAI's").met is None


@given(st.lists(st.floats(0, 100), max_size=8))
def test_names_are_moved_apart_and_stay_inside(places: list[float]) -> None:
    moved = apart(sorted(places), 10.0, 100.0)
    assert all(b - a >= 10 - 1e-9 for a, b in pairwise(moved))
    assert all(-1e-9 <= place <= 100 + 1e-9 for place in moved)


def test_names_that_do_not_touch_stay() -> None:
    assert apart([10.0, 20.0, 50.0], 10.0, 100.0) == [10.0, 20.0, 50.0]
    assert apart([50.0, 50.0], 10.0, 100.0) == [45.0, 55.0]
