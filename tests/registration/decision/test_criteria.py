"""What makes a fit clean, reserved or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gaussian_scene import counted, render
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.registration import Pose, register
from napari_stemprior.registration.decision.criteria import (
    BY_NAME,
    CRITERIA,
    MOST_CREDIT,
    credit,
    criteria_table,
)
from napari_stemprior.registration.decision.fit_quality import RESERVED_SCORE, FitQuality
from napari_stemprior.registration.decision.intensities import ColumnIntensities
from napari_stemprior.registration.decision.sentences import objection, reservations
from napari_stemprior.structure import built_in

PIXEL, SHAPE = 0.2, (224, 240)

#: A native image of a layered crystal: everything beyond doubt but a column between the sites.
NATIVE = FitQuality(
    agreement=0.95,
    likeness=0.9,
    significance=245.0,
    explained_power=0.9,
    isotropy=0.9,
    coherence=1.0,
    superlattice=0.0,
    scale=0.01,
    strain=0.02,
    extent=100.0,
)


def with_columns(quality: FitQuality, **measures: float) -> FitQuality:
    return replace(quality, intensities=ColumnIntensities(**measures))


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda c: c.name)
def test_a_vote_turns_at_the_threshold(criterion) -> None:
    assert criterion.vote(criterion.threshold) == pytest.approx(0.5)
    better = criterion.threshold + criterion.sign * criterion.width
    worse = criterion.threshold - criterion.sign * criterion.nat
    assert criterion.vote(better) > 0.7 > 0.5 > criterion.vote(worse)
    assert criterion.shortfall(better) == 0
    assert criterion.shortfall(worse) == pytest.approx(1.0)
    assert criterion.source


def test_credit_grows_with_the_signal_up_to_a_limit() -> None:
    assert credit(10.0, 5.6) == 0
    assert 0 < credit(20.0, 5.6) < credit(25.0, 5.6) < MOST_CREDIT
    assert credit(1e4, 5.6) == MOST_CREDIT


def test_an_overwhelming_measure_is_not_vetoed_by_a_marginal_one() -> None:
    assert NATIVE.is_clean
    assert NATIVE.doubts == ()
    reserved = with_columns(NATIVE, interstitial=0.23)
    assert 0.5 < reserved.score <= RESERVED_SCORE
    assert reserved.doubts == ("interstitial",)
    weak = replace(reserved, significance=12.0)
    assert weak.score < 0.5


def test_several_contradictions_refuse() -> None:
    assert with_columns(NATIVE, interstitial=0.4, misfit=0.4).score < 0.5
    assert replace(NATIVE, agreement=0.7).score < 0.5
    assert replace(NATIVE, superlattice=0.3).score < 0.5
    assert replace(NATIVE, scale=0.3).score < 0.5


@given(
    st.floats(0, 300),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 0.4),
    st.floats(0, 0.3),
    st.floats(0, 1),
)
def test_a_fit_is_clean_or_reserved_and_never_both(
    significance, agreement, explained, scale, strain, interstitial
):
    quality = with_columns(
        replace(
            NATIVE,
            significance=significance,
            agreement=agreement,
            explained_power=explained,
            scale=scale,
            strain=strain,
        ),
        interstitial=interstitial,
    )
    assert 0 <= quality.score <= 1
    if quality.score > 0.5:
        assert quality.is_clean == (quality.doubts == ())
        assert quality.is_clean or quality.score <= RESERVED_SCORE
    if quality.votes["significance"] <= 0.5:
        assert quality.score <= 0.5


@pytest.mark.parametrize("name", list(BY_NAME))
def test_every_criterion_has_its_sentences(name) -> None:
    values = {"agreement": 0.9, "scale": 0.12, "significance": 3.0}
    fields = {n: v for n, v in values.items() if n == name}
    quality = replace(NATIVE, **fields)
    text = {"name": "MoS2", "value": 0.2, "percent": 20.0, "stated": 0.1, "found": 0.09}
    for template in (BY_NAME[name].objection, BY_NAME[name].reservation):
        said = template.format(**text)
        assert said.endswith(".")
        assert "MoS2" in said or name in ("superlattice", "explained_power")
    assert objection(quality, "MoS2", 0.1)


def test_a_reservation_has_numbers_and_pixel_sizes() -> None:
    (said,) = reservations(replace(NATIVE, scale=0.12), "MoS2", 0.112)
    assert "0.1 Å/px" in said
    assert "0.112" in said


@pytest.mark.parametrize("wrong", [1.12, 1 / 1.12, 1.18])
def test_a_pixel_size_up_to_a_fifth_off_is_placed_and_said(wrong) -> None:
    prior = built_in("MoS2")
    image = counted(render(prior, Pose.from_angle(10, PIXEL, (4, 7)), SHAPE, PIXEL), 3000, PIXEL)
    pose = register(image, PIXEL * wrong, prior)[0]
    assert pose.is_fit
    assert not pose.is_clean
    assert pose.pixel_size == pytest.approx(PIXEL, rel=0.01)
    assert f"{PIXEL * wrong:.4g}" in pose.reservations[0]


def test_row_jitter_and_row_offsets_do_not_refuse_a_lattice() -> None:
    prior, rng = built_in("WSe2"), np.random.default_rng(2)
    ideal = render(prior, Pose.from_angle(17, PIXEL, (4, 7)), SHAPE, PIXEL)
    columns = np.arange(SHAPE[1])
    shifted = np.stack(
        [
            np.interp(columns + s, columns, row)
            for s, row in zip(rng.normal(0, 0.5, SHAPE[0]), ideal, strict=True)
        ]
    )
    image = counted(shifted.astype(np.float32), 1000, PIXEL)
    image = image + 0.4 * image.mean() * rng.normal(size=(SHAPE[0], 1))
    pose = register(image, PIXEL, prior)[0]
    assert pose.is_clean


@pytest.mark.parametrize("border", [2, 20])
def test_a_border_of_zeros_does_not_refuse_a_lattice(border) -> None:
    prior = built_in("SrTiO3 [001]")
    whole = counted(render(prior, Pose.from_angle(3, 0.1, (4, 7)), SHAPE, 0.1), 3000, 0.1)
    cut = np.zeros_like(whole)
    inner = (slice(border, -border), slice(border, -border))
    cut[inner] = whole[inner]
    first, second = register(whole, 0.1, prior)[0], register(cut, 0.1, prior)[0]
    assert first.is_clean
    assert second.is_clean
    np.testing.assert_allclose(first.affine, second.affine, rtol=0.01, atol=0.05)


def test_the_documentation_holds_the_table_of_the_criteria() -> None:
    page = (Path(__file__).parents[3] / "docs" / "registration.md").read_text()
    assert criteria_table() in page, (
        "print it with `python -m napari_stemprior.registration.decision.criteria`"
    )


def test_the_conditions_name_their_thresholds() -> None:
    for criterion in CRITERIA:
        assert f"{criterion.threshold:g}" in criterion.condition.format(threshold=criterion.threshold)
