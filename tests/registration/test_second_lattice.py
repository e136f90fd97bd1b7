"""A second layer of the same crystal is said; a second grain is none."""

from pathlib import Path

import numpy as np
import pytest
from two_grains import PIXEL, TwoGrains

from napari_stemprior.io import read_micrographs
from napari_stemprior.registration import LatticeFit, Pose, fit_lattice, follow_lattice
from napari_stemprior.registration.second_lattice import turn_between
from napari_stemprior.structure import built_in

SAMPLE = Path(__file__).parents[2] / "sample_data" / "simulated_MoS2_twisted_bilayer_10000e.tif"
SAID = (
    "A second lattice of MoS2, turned by 21.8°, is seen in the same places; a stack may describe the image."
)


@pytest.fixture(scope="module")
def bilayer() -> tuple[np.ndarray, float]:
    (micrograph,) = read_micrographs(SAMPLE)
    assert micrograph.pixel_size is not None
    return micrograph.image, micrograph.pixel_size


@pytest.mark.slow
def test_one_layer_on_a_twisted_bilayer_fits_with_a_reservation(bilayer: tuple[np.ndarray, float]) -> None:
    fit = fit_lattice(*bilayer, built_in("MoS2"))
    assert fit.is_fit
    assert fit.reservations == (SAID,)
    known = Pose(fit.pose.affine, fit.pose.origin, fit.pose.score)
    followed = follow_lattice(*bilayer, LatticeFit(fit.prior, (known,)))
    assert followed.reservations == (SAID,), "nor is it missed where the pose came from a ranking"
    assert followed.same_place(fit)


def test_a_second_grain_is_no_second_layer() -> None:
    prior = built_in("WS2")
    fit = fit_lattice(TwoGrains(prior).image(prior), PIXEL, prior)
    assert len(fit.grains) == 2
    assert not fit.reservations


@pytest.mark.parametrize(
    ("name", "angle", "expected"),
    [
        ("MoS2", 21.8, 21.8),
        ("MoS2", 98.2, 21.8),
        ("MoS2", -32.0, 28.0),
        ("MoS2", 180.0, 0.0),
        ("SrTiO3 [001]", 80.0, 10.0),
        ("Si [110]", 80.0, 80.0),
        ("Si [110]", 170.0, 10.0),
    ],
)
def test_a_turn_is_counted_up_to_the_symmetry_of_the_lattice(
    name: str, angle: float, expected: float
) -> None:
    first, second = (Pose.from_angle(10.0 + turn, 0.1).affine for turn in (0.0, angle))
    assert turn_between(first, second, built_in(name)) == pytest.approx(expected, abs=1e-6)
