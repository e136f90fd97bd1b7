"""How bright columns are is seen through any width, and only what noise cannot make speaks."""

from __future__ import annotations

import numpy as np
import pytest
from gaussian_scene import counted, render
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemprior.registration import Pose, register
from napari_stemprior.registration.decision.intensities import compare_intensities
from napari_stemprior.registration.fit import diagnose
from napari_stemprior.registration.fourier.reflections import column_weights, list_reflections
from napari_stemprior.structure import built_in

PIXEL = 0.2
SHAPE = (224, 240)
NAMES = ["graphene", "MoS2", "1T-TiSe2", "SrTiO3 [001]", "GaAs [110]", "CaF2 [001]", "TiO2 anatase [100]"]


def _measured(prior, column, width=0.45, tail=0.0, extra=None):
    """Amplitudes at the reflections of columns of given brightness, preprocessed as images are."""
    found = list_reflections(prior)
    places, column = prior.fractional, np.asarray(column, dtype=float)
    if extra is not None:
        places, column = np.vstack([places, extra[0]]), np.append(column, extra[1])
    transfer = np.exp(-2 * (np.pi * width * found.radius) ** 2 - 2 * tail * found.radius)
    transfer *= 1 - np.exp(-2 * (np.pi * 3.0 * found.radius) ** 2)
    return found, np.exp(-2j * np.pi * (found.hk @ places.T)) @ column * transfer


def _judged(prior, column, noise=1e-3, **more):
    found, measured = _measured(prior, column, **more)
    return compare_intensities(
        prior, found, measured, np.full(len(measured), (noise * np.abs(measured).max()) ** 2)
    )


@settings(max_examples=25)
@given(
    name=st.sampled_from(NAMES),
    exponent=st.floats(1.25, 1.95),
    width=st.floats(0.3, 0.65),
    tail=st.floats(0, 0.8),
    scale=st.floats(1e-3, 1e6),
)
def test_columns_as_bright_as_their_atoms_fit_through_any_probe(name, exponent, width, tail, scale):
    prior = built_in(name)
    found = _judged(prior, scale * column_weights(prior, exponent), width=width, tail=tail)
    assert found.misfit < 0.07
    assert found.interstitial < 0.05
    assert found.contrast > 0.9


@settings(max_examples=15)
@given(level=st.floats(0.0, 0.9), width=st.floats(0.3, 0.6))
def test_a_column_in_the_hollow_is_never_made_brighter_and_is_seen_where_columns_are_sharp(level, width):
    prior = built_in("MoSe2")
    weights = column_weights(prior, 1.7)
    hollow = 2 * prior.fractional[1] - prior.fractional[0]
    found = _judged(prior, weights / weights.max(), width=width, extra=(hollow, level))
    # what the noise and the other columns could do is taken off; blurred ones could do nearly all of it
    assert found.interstitial < 1.1 * level + 0.02
    if width < 0.45 and level > 0.25:
        assert found.interstitial > level / 2 - 0.05


@pytest.mark.parametrize("name", ["MoTe2", "MoS2", "WSe2"])
def test_a_column_that_is_not_there_is_missed(name):
    prior = built_in(name)
    weights = column_weights(prior, 1.7)
    only = np.where(weights == weights.max(), weights, 0.05 * weights)
    assert _judged(prior, only).misfit > 0.22


def test_equivalent_columns_are_no_calcium_and_fluorine():
    prior = built_in("CaF2 [001]")
    assert _judged(prior, np.ones(len(prior.columns))).contrast < 0.5
    assert _judged(prior, column_weights(prior, 1.25)).contrast > 0.9


def test_noise_alone_is_no_objection():
    prior = built_in("MoTe2")
    rng = np.random.default_rng(2)
    found, measured = _measured(prior, column_weights(prior, 1.7))
    level = np.abs(measured).max()
    for _ in range(20):
        noise = (rng.normal(size=(2, len(measured))) * level * 0.3).T @ (1, 1j)
        judged = compare_intensities(
            prior, found, measured + noise, np.full(len(measured), 2 * (0.3 * level) ** 2)
        )
        assert judged.misfit < 0.2
        assert judged.interstitial < 0.2


def test_reflections_that_were_not_measured_do_not_count_as_dark():
    prior = built_in("SrTiO3 [001]")
    found, measured = _measured(prior, column_weights(prior, 1.7))
    measured[::3] = 0
    judged = compare_intensities(prior, found, measured, np.full(len(measured), 1e-9))
    assert judged.misfit < 0.05
    assert (
        compare_intensities(prior, found, np.zeros(len(measured), complex), np.ones(len(measured))).misfit
        == 0
    )


@pytest.mark.parametrize(
    ("shown", "prior", "words"),
    [
        ("1T-TaS2", "MoTe2", "brighter or darker"),
        ("MoTe2", "1T-TiS2", "bright"),
        ("1T-TiSe2", "MoSe2", "MoSe2 has no"),
        ("Fe [100]", "CaF2 [001]", "should differ"),
        ("BaTiO3 [001]", "CsPbBr3 [001]", "bright"),
    ],
)
def test_a_crystal_of_the_same_lattice_is_no_clean_fit_by_the_brightness_of_its_columns(shown, prior, words):
    right, wrong = built_in(shown), built_in(prior)
    # the pixel size is off by what makes the lattices one
    own = np.sqrt(wrong.area / right.area)
    pixel = PIXEL * (own / 2 ** (round(2 * np.log2(own)) / 2))
    image = counted(render(right, Pose.from_angle(40, PIXEL, (1, 2)), SHAPE, PIXEL), 3000, PIXEL)
    assert not register(image, pixel, wrong)[0].is_clean
    assert words in diagnose(image, pixel, wrong)
    assert register(image, PIXEL, right)[0].is_clean
