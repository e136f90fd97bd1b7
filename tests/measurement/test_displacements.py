"""Displacements against a reference, with honest errors."""

import numpy as np
import pytest
from displaced_crystal import PIXEL_SIZE, coverage, crystal

from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.displacements import displacements
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.measurement.position_errors import position_errors
from napari_stemprior.measurement.reference_lattice import in_polygon, polygon, reference_lattice


def measured(made, region=None, sigma=None):
    indices = index_atoms(made.atoms, made.fit)
    reference = reference_lattice(made.atoms, indices, region)
    return indices, reference, displacements(made.atoms, indices, reference, sigma)


@pytest.mark.parametrize("sigma", [None, 0.02])
def test_errors_cover_as_they_say(sigma):
    made = crystal(side=150)
    known = None if sigma is None else np.full(len(made.atoms), sigma)
    _, _, moved = measured(made, sigma=known)
    assert 0.93 < coverage(moved.xy, 0, moved.error[:, None]) < 0.97
    assert np.median(moved.position_error) == pytest.approx(0.02, rel=0.05)


def test_errors_of_the_fit_that_are_too_small_are_raised_and_never_lowered():
    made = crystal(side=120)
    _, _, moved = measured(made, sigma=np.full(len(made.atoms), 0.005))
    assert np.median(moved.position_error) == pytest.approx(0.02, rel=0.08)
    _, _, moved = measured(made, sigma=np.full(len(made.atoms), 0.05))
    assert np.median(moved.position_error) == pytest.approx(0.05, rel=1e-6)


def test_a_column_without_a_fit_is_not_known_better_than_the_others():
    made = crystal(side=100, noise=1e-6)
    sigma = np.full(len(made.atoms), 0.02)
    sigma[::3] = np.nan
    indices, _, moved = measured(made)
    error = position_errors(moved.ideal, moved.xy, indices.sublattice, sigma)
    assert (error >= 0.0199).all()


def test_one_atom_is_measured_where_it_was_put(sto):
    yx = sto.atoms.yx
    middle = int(np.argmin(np.linalg.norm(yx - yx.mean(0), axis=1)))

    def push(column, xy):
        move = np.zeros_like(xy)
        move[middle] = (0.3, -0.2)
        return move

    _, _, moved = measured(crystal(move=push, noise=0.003))
    np.testing.assert_allclose(moved.xy[middle], (0.3, -0.2), atol=0.012)


def test_a_reference_region_is_what_the_rest_is_compared_with():
    def stretched(column, xy):
        right = np.maximum(xy[:, 0] - 40, 0)
        return np.stack([0.02 * right, np.zeros(len(xy))], axis=1)

    made = crystal(angle=0, move=stretched, noise=0.002)
    _, reference, moved = measured(made, region=[(0, 0), (800, 350)])
    left = made.perfect[:, 1] < 350
    assert reference.used[~left].sum() == 0
    truth = stretched(None, made.perfect[:, ::-1] * PIXEL_SIZE)
    np.testing.assert_allclose(moved.xy, truth, atol=0.02)
    assert reference.description == "reference region"
    far = made.perfect[:, 1] > 700
    assert np.median(moved.error[far]) > np.median(moved.error[left])


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ([(0, 0), (5, 5)], "holds"),
        ([(5000, 5000), (6000, 6000)], "holds 0 atoms"),
        ([(0, 0), (np.nan, 5)], "finite corners"),
        ([(1, 2, 3)], "finite corners"),
        ("left", "list of corners"),
    ],
)
def test_a_bad_region_is_said_in_one_sentence(sto, region, words):
    indices = index_atoms(sto.atoms, sto.fit)
    with pytest.raises(MeasurementError, match=words) as caught:
        reference_lattice(sto.atoms, indices, region)
    assert "\n" not in str(caught.value)


def test_points_in_a_polygon():
    square = polygon([(0, 0), (10, 20)])
    yx = np.array([(5, 5), (5, 19), (11, 5), (-1, 5), (9, 21)], float)
    assert in_polygon(yx, square).tolist() == [True, True, False, False, False]


def test_a_part_that_is_not_there_is_named(sto):
    indices = index_atoms(sto.atoms, sto.fit)
    with pytest.raises(MeasurementError, match="no part 3 of the lattice"):
        reference_lattice(sto.atoms, indices, part=3)
