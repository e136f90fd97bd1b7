"""Which priors have the cell and the structure factors of a lattice that an image shows."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from gaussian_scene import counted, render
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemprior.progress import drain
from napari_stemprior.registration import Pose
from napari_stemprior.registration.fourier.features import fourier_features
from napari_stemprior.registration.fourier.normalized_image import preprocess
from napari_stemprior.registration.unit_cell.mean_cell import follow_basis
from napari_stemprior.registration.unit_cell.reciprocal_basis import find_bases
from napari_stemprior.registration.unit_cell.structure_match import (
    SeenAmplitudes,
    StructureMatch,
    match_structure,
)
from napari_stemprior.structure import StructurePrior, built_in
from napari_stemprior.structure.prior import Column

PIXEL, SHAPE = 0.2, (420, 400)


@cache
def amplitudes(name: str, angle: float = 23.0, mirrored: bool = False, dose: float = 3000) -> SeenAmplitudes:
    pose = Pose.from_angle(angle, PIXEL, (5, 3), mirrored=mirrored)
    image = counted(render(built_in(name), pose, SHAPE, PIXEL), dose, PIXEL)
    features = drain(fourier_features(preprocess(np.asarray(image, np.float32), PIXEL)))
    return SeenAmplitudes(drain(follow_basis(features, find_bases(features)[0])))


def matched(
    seen: SeenAmplitudes, prior: StructurePrior, low: float = 0.9, high: float = 1.1
) -> StructureMatch:
    match = match_structure(seen, prior, low, high)
    assert match is not None
    return match


@pytest.mark.parametrize("name", ["MoS2", "SrTiO3 [110]", "1T'-WTe2", "ReS2", "TiO2 rutile [001]"])
def test_the_right_prior_matches_along_a_lattice_that_is_the_true_one(name: str) -> None:
    prior, seen = built_in(name), amplitudes(name)
    match = matched(seen, prior)
    assert match.likeness > 0.93
    assert match.scale == pytest.approx(1.0, abs=0.005)
    # the lattice vectors are those of the true pose, or others of the same lattice
    true = Pose.from_angle(23.0, PIXEL, (5, 3)).affine * PIXEL
    steps = np.linalg.inv(true @ prior.cell.T) @ (match.linear @ prior.cell.T)
    assert steps == pytest.approx(np.round(steps), abs=0.03)
    assert abs(np.linalg.det(np.round(steps))) == pytest.approx(1.0)


def test_brightness_tells_crystals_of_one_cell_apart() -> None:
    seen = amplitudes("SrTiO3 [001]")
    likeness = {name: matched(seen, built_in(name)).likeness for name in ("SrTiO3 [001]", "LaAlO3 [001]")}
    assert likeness["SrTiO3 [001]"] > likeness["LaAlO3 [001]"] + 0.01


def test_another_cell_does_not_match() -> None:
    seen = amplitudes("SrTiO3 [001]")
    assert match_structure(seen, built_in("graphene"), 0.9, 1.1) is None
    assert (
        match_structure(seen, built_in("MoS2"), 0.5, 2.0) is None
    )  # no square lattice is near a hexagonal one


@settings(max_examples=8, deadline=None)
@given(factor=st.floats(0.7, 1.4))
def test_the_scale_is_that_of_the_prior_where_it_is_free(factor: float) -> None:
    prior = built_in("MoS2")
    larger = StructurePrior("larger", "[001]", prior.cell * factor, prior.columns, source="a test")
    match = matched(amplitudes("MoS2"), larger, 0.6, 1.7)
    assert match.likeness > 0.9
    times = (match.scale * factor) ** 2  # cells of the image in one of the prior
    assert times == pytest.approx(round(times), rel=0.02)


def test_a_chiral_cell_is_matched_as_it_lies_and_mirrored() -> None:
    # no axis of this lattice carries it onto itself
    for mirrored in (False, True):
        seen = amplitudes("ReS2", 40.0, mirrored)
        match = matched(seen, built_in("ReS2"))
        assert match.likeness > 0.93
        affine = Pose.from_angle(40.0, PIXEL, (5, 3), mirrored=mirrored).affine
        assert np.sign(np.linalg.det(match.linear)) == np.sign(np.linalg.det(affine))


def test_faint_reflections_may_hide_the_cell() -> None:
    # of two columns that hardly differ the spectrum shows half the cell
    prior = built_in("MoS2")
    moved = tuple(
        Column(((c.position[0] + n) / 2, c.position[1]), c.composition, c.height, c.layer, f"{c.site}{n}")
        for n in (0, 1)
        for c in prior.columns
    )
    doubled = StructurePrior("doubled", "[001]", prior.cell * [[2.0], [1.0]], moved, source="a test")
    assert matched(amplitudes("MoS2"), doubled).likeness > 0.93
    assert match_structure(amplitudes("MoS2"), doubled, 0.9, 1.1, most=1) is None
