from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from answers import answers
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.accuracy.statistics import (
    OURS,
    STAMP,
    Reach,
    bootstrap,
    cells,
    dose_reaching,
    doses_in_band,
    lost,
    margin,
    methods_of,
    paired,
    published,
)


def test_methods_are_compared_on_the_micrographs_that_both_have_answered() -> None:
    ours = answers(OURS, "network", {300: 0.9, 1000: 1.0}, seeds=3)
    rival = answers("AtomAI", "rival", {1000: 0.7})
    both = paired(pd.concat([ours, rival]), OURS, "AtomAI")
    assert len(both) == 3
    assert both["difference"].tolist() == pytest.approx([0.3] * 3)


@given(st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 5)), min_size=1, max_size=30))
def test_the_interval_holds_the_mean_and_rests_on_views(pairs: list[tuple[float, int]]) -> None:
    values, views = zip(*pairs, strict=True)
    found = bootstrap(values, views)
    assert found.mean == pytest.approx(np.mean(values))
    if len(set(views)) == 1:
        assert np.isnan(found.low)
        assert not found.decided
    else:
        of_views = [np.mean([v for v, w in pairs if w == view]) for view in set(views)]
        assert min(of_views) - 1e-9 <= found.low <= found.high <= max(of_views) + 1e-9


def test_more_noises_of_the_same_views_do_not_narrow_the_interval() -> None:
    few = bootstrap([0.1, 0.5, 0.9], list("abc"))
    many = bootstrap([0.1, 0.5, 0.9] * 20, list("abc") * 20)
    assert (many.low, many.high) == pytest.approx((few.low, few.high))


@pytest.mark.parametrize(
    ("f1", "reach"),
    [
        ({100: 0.95, 1000: 0.99}, Reach(0, 100)),
        ({100: 0.5, 1000: 0.8}, Reach(1000, np.inf)),
        ({100: 0.8, 10000: 1.0}, Reach(1000, 1000)),  # half way in the logarithm
        ({100: 0.8, 1000: 0.9, 10000: 0.85}, Reach(1000, 1000)),
    ],
)
def test_dose_reaching(f1: dict[float, float], reach: Reach) -> None:
    found = dose_reaching(answers(OURS, "network", f1), OURS)
    assert (found.low, found.high) == pytest.approx((reach.low, reach.high))


@pytest.mark.parametrize(
    ("theirs", "ours", "ratio"),
    [
        (Reach(3000, 3000), Reach(300, 300), Reach(10, 10)),
        (Reach(3000, 3000), Reach(0, 300), Reach(10, np.inf)),
        (Reach(30000, np.inf), Reach(0, 300), Reach(100, np.inf)),
        (Reach(3000, 3000), Reach(30000, np.inf), Reach(0, 0.1)),
        (Reach(30000, np.inf), Reach(30000, np.inf), Reach(0, np.inf)),
    ],
)
def test_ratio_of_doses_that_are_only_bounded(theirs: Reach, ours: Reach, ratio: Reach) -> None:
    assert theirs.over(ours) == ratio


def test_band_takes_the_doses_inside_else_the_nearest() -> None:
    ours = answers(OURS, "network", {300: 1.0, 1000: 1.0, 3000: 1.0})
    inside = answers("AtomAI", "rival", {300: 0.4, 1000: 0.6, 3000: 0.75})
    above = answers("other", "rival", {300: 0.8, 1000: 0.9, 3000: 0.95})
    results = pd.concat([ours, inside, above])
    assert doses_in_band(results, "AtomAI") == ([1000, 3000], True)
    assert doses_in_band(results, "other") == ([300], False)


def test_margin_over_a_rival() -> None:
    results = pd.concat(
        [
            answers(OURS, "network", {300: 1.0, 1000: 1.0}),
            answers("AtomAI", "rival", {300: 0.5, 1000: 0.9}),
        ]
    )
    found = margin(results, "AtomAI", [300])
    assert found.f1 == pytest.approx(1.0)  # twice as good is 100 % better
    assert found.jaccard == pytest.approx(2.0)
    assert found.chamfer == pytest.approx(0.7 / 0.2)
    assert found.rival_f1 == pytest.approx(0.5)
    assert margin(results, "AtomAI", [300, 1000]).f1 == pytest.approx(1 / 0.7 - 1)


def test_a_rival_that_finds_nothing_is_infinitely_far() -> None:
    nothing = answers("AtomAI", "rival", {300: 0.0}, chamfer_angstrom=np.inf)
    found = margin(pd.concat([answers(OURS, "network", {300: 1.0}), nothing]), "AtomAI", [300])
    assert found.chamfer == np.inf
    assert found.f1 == np.inf


def test_cells_where_a_rival_is_ahead() -> None:
    results = pd.concat(
        [
            answers(OURS, "network", {300: 0.9, 1000: 0.95}),
            answers(STAMP, "classical", {300: 0.99, 1000: 0.95}),
            answers("AtomAI", "rival", {300: 0.5, 1000: 0.6}),
            answers("all parts", "ablation", {300: 1.0, 1000: 1.0}),
        ]
    )
    compared = cells(results)
    assert len(compared) == 2 * 2 * 2  # scenes, doses, rivals; an ablation is none
    behind = lost(compared)  # a tie is not lost
    assert set(behind["rival"]) == {STAMP}
    assert set(behind["dose"]) == {300}
    assert behind["difference"].tolist() == pytest.approx([-0.09, -0.09])
    # two perfect views decide, one strained view cannot
    assert behind.set_index("scene")["low"].isna().to_dict() == {"perfect": False, "strain": True}


def test_order_and_names() -> None:
    results = pd.concat(
        [answers(m, k, {300: 1.0}) for m, k in (("AtomAI", "rival"), (STAMP, "classical"), (OURS, "network"))]
    )
    assert methods_of(results, "network", "classical", "rival") == [OURS, STAMP, "AtomAI"]
    assert published("AtomAI 0.8")[0] == 2.75
    assert published("Multi-scale U-Net")[0] == 2.67
    assert published(STAMP) is None
