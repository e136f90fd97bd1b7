from __future__ import annotations

import numpy as np
import pytest
from gaussian_scene import counted, render
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemprior.errors import MicrographError, PixelSizeError
from napari_stemprior.progress import Progress, drain
from napari_stemprior.registration import Pose, ranking
from napari_stemprior.registration.ranking import rank_priors
from napari_stemprior.structure import built_in

PIXEL = 0.2
SHAPE = (224, 240)
FEW = [built_in(n) for n in ("graphene", "MoS2", "SrTiO3 [001]", "Si [110]", "Au [110]", "Al [100]")]


def _image(name, dose=3000, pixel=PIXEL, angle=31.0, mirrored=False):
    prior = built_in(name)
    return counted(
        render(prior, Pose.from_angle(angle, pixel, (40, 50), mirrored=mirrored), SHAPE, pixel), dose, pixel
    )


@pytest.mark.slow
@settings(max_examples=5)
@given(
    name=st.sampled_from(["MoS2", "SrTiO3 [001]", "Si [110]"]),
    angle=st.floats(0, 360),
    mirrored=st.booleans(),
)
def test_the_crystal_that_is_shown_comes_first(name, angle, mirrored):
    ranked = drain(rank_priors(_image(name, angle=angle, mirrored=mirrored), PIXEL, FEW))
    assert ranked[0].name == name
    assert ranked[0].is_fit
    assert abs(ranked[0].pixel_size / PIXEL - 1) < 0.005
    assert not any(s.is_fit for s in ranked[1:])


def test_without_a_pixel_size_the_geometry_decides_and_the_lattice_tells_it():
    ranked = drain(rank_priors(_image("SrTiO3 [001]"), None, FEW))
    assert ranked[0].name == "SrTiO3 [001]"
    assert abs(ranked[0].pixel_size / PIXEL - 1) < 0.01


def test_crystals_of_one_geometry_are_a_tie_in_the_order_given_unless_a_pixel_size_decides():
    alike = [built_in(n) for n in ("Ge [110]", "Au [110]", "Si [110]")]
    image = _image("Si [110]", pixel=0.15)
    unknown = drain(rank_priors(image, None, alike))
    assert [s.name for s in unknown[:2]] == ["Ge [110]", "Si [110]"]
    assert unknown[0].tie == unknown[1].tie != unknown[2].tie
    known = drain(rank_priors(image, 0.15, alike))
    assert known[0].name == "Si [110]"
    assert known[0].tie != known[1].tie


def test_the_brightness_of_the_columns_tells_crystals_of_one_lattice_apart():
    layers = [built_in(n) for n in ("WS2", "MoS2")]
    for shown in ("MoS2", "WS2"):
        ranked = drain(rank_priors(_image(shown, dose=10_000), PIXEL, layers))
        assert ranked[0].name == shown


def test_a_pixel_size_that_no_crystal_confirms_is_nominal():
    ranked = drain(rank_priors(_image("MoS2"), PIXEL * 1.09, FEW))
    assert ranked[0].name == "MoS2"
    assert abs(ranked[0].pixel_size / PIXEL - 1) < 0.01


def test_noise_has_no_fit_but_a_ranking():
    noise = np.random.default_rng(0).poisson(2.0, SHAPE).astype(float)
    assert not any(s.is_fit for s in drain(rank_priors(noise, PIXEL, FEW)))


def test_it_tells_its_progress_and_can_be_closed():
    work = rank_priors(_image("MoS2"), PIXEL, FEW)
    first = next(work)
    assert isinstance(first, Progress)
    assert first.total == len(FEW)
    told = [first]
    while "MoS2" not in told[-1].stage:
        told.append(next(work))
    comparing = "comparing cells and structure factors"
    # graphene has another cell, and is not laid on the image
    assert list(dict.fromkeys(p.stage for p in told)) == ["transforming the image", comparing, "MoS2"]
    assert all(p.total == len(FEW) for p in told)
    work.close()


def _asked(monkeypatch, best):
    """Let two priors be laid on an image first, those that are named; return what was asked."""
    monkeypatch.setattr(ranking, "_LIKELIEST", 2)
    asked = []

    def likeness(image, pixel_size, priors):
        asked.append(pixel_size)
        return np.array([1.0 if prior.name in best else 0.0 for prior in priors])

    return likeness, asked


def test_the_likeliest_are_laid_first_where_no_lattice_is_seen(monkeypatch):
    monkeypatch.setattr(ranking, "seen_amplitudes", _nothing_seen)
    likeness, asked = _asked(monkeypatch, ("SrTiO3 [001]", "graphene"))
    ranked = drain(rank_priors(_image("SrTiO3 [001]"), PIXEL, FEW, likeness))
    assert asked == [PIXEL]
    assert [s.name for s in ranked] == ["SrTiO3 [001]", "graphene"]
    assert ranked[0].is_fit


@pytest.mark.parametrize("best", [("Si [110]", "graphene"), ("Au [110]", "Al [100]")])
def test_all_others_are_tried_where_no_likely_one_fits_well(monkeypatch, best):
    monkeypatch.setattr(ranking, "seen_amplitudes", _nothing_seen)
    likeness, _ = _asked(monkeypatch, best)
    ranked = drain(rank_priors(_image("SrTiO3 [001]"), PIXEL, FEW, likeness))
    assert ranked[0].name == "SrTiO3 [001]"
    assert sorted(s.name for s in ranked) == sorted(prior.name for prior in FEW)


def test_nobody_is_asked_where_the_image_shows_its_lattice_or_no_pixel_size_is_known(monkeypatch):
    likeness, asked = _asked(monkeypatch, ("Al [100]", "graphene"))
    for pixel_size in (PIXEL, None):
        ranked = drain(rank_priors(_image("SrTiO3 [001]"), pixel_size, FEW, likeness))
        assert ranked[0].name == "SrTiO3 [001]"
    assert asked == []


def _nothing_seen(features, count):
    yield Progress(0, count, "")


def test_bad_input_is_refused():
    with pytest.raises(PixelSizeError, match="positive"):
        drain(rank_priors(np.eye(64), -1.0, FEW))
    with pytest.raises(MicrographError, match="No pixel"):
        drain(rank_priors(np.full((64, 64), np.nan), None, FEW))
