"""Profiles, picked atoms, planes, statistics in regions: numbers known in closed form."""

import numpy as np
import pandas as pd
import pytest
from displaced_crystal import coverage, crystal

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.displacements import displacements
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.measurement.line_profile import line_profile
from napari_stemprior.measurement.picked_atoms import measure_picked
from napari_stemprior.measurement.plane_spacings import plane_spacings
from napari_stemprior.measurement.reference_lattice import reference_lattice
from napari_stemprior.measurement.region_statistics import region_statistics


def test_a_profile_of_a_ramp_is_the_ramp():
    image = np.indices((60, 80))[1].astype(float)
    found = line_profile(image, 0.5, (30, 10), (30, 50), width=8)
    np.testing.assert_allclose(found.value, np.arange(10, 51))
    np.testing.assert_allclose(found.position, np.arange(41) * 0.5)
    np.testing.assert_allclose(found.error, 0, atol=1e-9)
    assert (found.count == 17).all()
    # backwards it is mirrored
    back = line_profile(image, 0.5, (30, 50), (30, 10), width=8)
    np.testing.assert_allclose(back.value, found.value[::-1])


def test_the_error_of_a_profile_is_that_of_its_mean():
    image = np.random.default_rng(0).normal(size=(3000, 3000))
    found = line_profile(image, 1.0, (1500, 20), (1500, 2980), width=60)
    assert 0.935 < coverage(found.value, 0, found.error) < 0.955


def test_masked_pixels_and_the_outside_are_left_out():
    image = np.ones((50, 50))
    image[:, 20:25] = np.nan
    found = line_profile(image, 1.0, (25, 0), (25, 49), width=10)
    assert np.isnan(found.value[21:24]).all()
    np.testing.assert_allclose(found.value[:19], 1)
    assert (line_profile(np.ones((50, 50)), 1.0, (0, 5), (0, 40), width=10).count == 6).all()


@pytest.mark.parametrize(
    ("start", "end", "width", "words"),
    [((1, 1), (1, 1.2), 0, "shorter than a pixel"), ((900, 900), (950, 950), 0, "outside"),
     ((0, np.nan), (3, 3), 0, "finite"), ((0, 0), (9, 9), -1, "0 Å or more")],
)  # fmt: skip
def test_a_line_that_is_none_is_refused(start, end, width, words):
    with pytest.raises(MeasurementError, match=words):
        line_profile(np.ones((20, 20)), 1.0, start, end, width)


def test_a_right_triangle():
    atoms = AtomTable.from_positions(np.array([[0, 0], [0, 30], [40, 30]]), 0.1)
    ids = atoms.rows["atom_id"].tolist()
    found = measure_picked(atoms, np.full(3, 0.02), ids)
    np.testing.assert_allclose(found.distance, (3, 4))
    np.testing.assert_allclose(found.distance_error, 0.02 * np.sqrt(2))
    assert found.angle == pytest.approx(90)
    assert found.direction == pytest.approx((0, 90))
    assert np.isnan(measure_picked(atoms, np.full(3, 0.02), ids[:2]).angle)


def test_errors_of_distances_and_angles_are_those_of_many_draws():
    rng = np.random.default_rng(0)
    true = np.array([[0, 0], [5.0, 30], [40, 45]])
    ids, sigma, rows = None, 0.05, []
    for _ in range(400):
        atoms = AtomTable.from_positions(true + rng.normal(size=(3, 2)) * sigma / 0.1, 0.1)
        ids = atoms.rows["atom_id"].tolist()
        found = measure_picked(atoms, np.full(3, sigma), ids)
        rows.append((found.distance[0], found.angle, found.direction[0]))
    spread = np.std(rows, axis=0)
    np.testing.assert_allclose(
        spread, (found.distance_error[0], found.angle_error, found.direction_error[0]), rtol=0.12
    )


@pytest.mark.parametrize(
    ("ids", "words"), [([0], "two different"), ([0, 0], "two different"), ([0, 99], "no atom 99")]
)
def test_picks_that_are_none_are_refused(ids, words):
    atoms = AtomTable.from_positions(np.eye(3)[:, :2] * 9, 0.1)
    with pytest.raises(MeasurementError, match=words):
        measure_picked(atoms, np.full(3, 0.1), ids)


@pytest.mark.parametrize("angle", [0.0, 33.0])
def test_planes_on_both_sides_of_an_interface(angle):
    made = crystal(side=120, noise=0.02, angle=angle, move=lambda column, xy: step(xy, angle))
    indices = index_atoms(made.atoms, made.fit)
    corner = ((0, 0), (1200, 1200))
    moved = displacements(made.atoms, indices, reference_lattice(made.atoms, indices))
    found = plane_spacings(
        made.atoms,
        indices,
        reference_lattice(made.atoms, indices),
        moved.position_error,
        (1, 0),
        "Sr1",
        corner,
    )
    third = len(found.spacing) // 3
    left, right = found.spacing[2:third], found.spacing[-third:-2]
    assert right.mean() / left.mean() == pytest.approx(1.02, abs=0.003)
    assert np.nanmedian(found.spacing_error) < 0.02
    assert (found.spacing_error > 0).all()
    assert found.site == "Sr1"


def step(xy, angle):
    """Stretch by 2 % along the first axis of the crystal beyond its middle."""
    t = np.deg2rad(angle)
    axis = np.array([np.cos(t), np.sin(t)])
    place = (xy - xy.mean(0)) @ axis
    return 0.02 * np.maximum(place, 0)[:, None] * axis


def test_planes_that_are_none_are_refused(sto):
    indices = index_atoms(sto.atoms, sto.fit)
    reference = reference_lattice(sto.atoms, indices)
    error = np.full(len(indices), 0.02)
    for planes, site, region, words in (
        ((0, 0), None, None, "not both 0"),
        ((1, 0), "Pb", None, "no site Pb"),
        ((1, 0), None, ((0, 0), (30, 30)), "Fewer than two planes|no planes"),
    ):
        with pytest.raises(MeasurementError, match=words):
            plane_spacings(sto.atoms, indices, reference, error, planes, site, region)


def test_statistics_of_a_region():
    table = pd.DataFrame(
        {"atom_id": range(6), "x_px": [0, 1, 2, 3, 90, 91], "y_px": [0.0] * 6,
         "lattice_site": ["A", "A", "B", "B", "A", "A"], "width_angstrom": [1.0, 3.0, np.nan, 5.0, 100, 100],
         "width_error_angstrom": [0.1] * 6, "ellipse_direction_degrees": [179.0, 3.0, 90, 90, 0, 0],
         "reason": [""] * 6}
    )  # fmt: skip
    found = region_statistics(table, [(-5, -5), (5, 50)]).set_index(["lattice_site", "quantity"])
    assert found.loc[("A", "width_angstrom"), "mean"] == 2
    assert found.loc[("A", "width_angstrom"), "error_of_mean"] == pytest.approx(1.0)
    assert found.loc[("B", "width_angstrom"), "count"] == 1
    assert np.isnan(found.loc[("B", "width_angstrom"), "deviation"])
    assert found.loc[("A", "ellipse_direction_degrees"), "mean"] == pytest.approx(1.0)
    assert "width_error_angstrom" not in found.index.get_level_values(1)
    with pytest.raises(MeasurementError, match="No atom lies in"):
        region_statistics(table, [(50, 50), (60, 60)])
