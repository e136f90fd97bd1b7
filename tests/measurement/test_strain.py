"""Strain and rotation of deformations that are known."""

import numpy as np
import pytest
from displaced_crystal import coverage, crystal
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.measurement.displacements import displacements
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.measurement.reference_lattice import reference_lattice
from napari_stemprior.measurement.strain import local_strain, strain_of_field, strain_of_gradient
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.registration.gpa.pose_field import PoseField

small = st.floats(-0.1, 0.1)


def turned(angle):
    t = np.deg2rad(angle)
    return np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])


@given(small, small, small, st.floats(-170, 170))
def test_a_rotation_of_any_size_is_no_strain(xx, yy, xy, angle):
    stretch = np.array([[1 + xx, xy], [xy, 1 + yy]])
    found = strain_of_gradient(turned(angle) @ stretch - np.eye(2))
    np.testing.assert_allclose([found.xx, found.yy, found.xy], [xx, yy, xy], atol=1e-12)
    assert found.rotation == pytest.approx(angle, abs=1e-9)


@given(small, small, small, small, st.floats(-180, 180))
def test_turning_the_frame_turns_the_strain(a, b, c, d, axis):
    gradient = np.array([[a, b], [c, d]])
    turn = turned(axis).T
    in_axes = strain_of_gradient(gradient, axis=axis)
    by_hand = strain_of_gradient(turn @ gradient @ turn.T)
    plain = strain_of_gradient(gradient)
    for name in ("xx", "yy", "xy", "rotation"):
        assert getattr(in_axes, name) == pytest.approx(getattr(by_hand, name), abs=1e-12)
    assert in_axes.xx + in_axes.yy == pytest.approx(plain.xx + plain.yy, abs=1e-12)
    assert in_axes.rotation == pytest.approx(plain.rotation, abs=1e-9)


def measured(made, region=None, axis=0.0):
    indices = index_atoms(made.atoms, made.fit)
    moved = displacements(made.atoms, indices, reference_lattice(made.atoms, indices, region))
    return local_strain(indices, moved, axis=axis)


def test_errors_of_a_perfect_crystal_cover_as_they_say():
    found = measured(crystal(side=200))
    for name in ("xx", "yy", "xy", "rotation"):
        assert 0.93 < coverage(getattr(found, name), 0, getattr(found, f"{name}_error")) < 0.97


def test_a_step_of_strain_is_measured_on_either_side():
    def step(column, xy):
        right = np.maximum(xy[:, 0] - 75, 0)
        return np.stack([0.02 * right, -0.01 * right], axis=1)

    made = crystal(side=150, angle=25, move=step, noise=0.01)
    found = measured(made, region=[(0, 0), (1500, 650)])
    x = made.perfect[:, 1] * 0.1
    for inside, xx, xy in ((x < 65, 0, 0), (x > 85, 0.02, -0.005)):
        assert np.nanmean(found.xx[inside]) == pytest.approx(xx, abs=3e-4)
        assert np.nanmean(found.xy[inside]) == pytest.approx(xy, abs=3e-4)
        assert np.nanmean(found.yy[inside]) == pytest.approx(0, abs=3e-4)
        assert 0.93 < coverage(found.xx[inside], xx, found.xx_error[inside]) < 0.97
    along = measured(made, region=[(0, 0), (1500, 650)], axis=90)
    np.testing.assert_allclose(along.yy, found.xx, atol=1e-9)


def test_off_centring_of_a_sublattice_is_no_strain():
    def off(column, xy):
        return np.where((column == 1)[:, None], (0.15, 0.0), (0.0, 0.0))

    found = measured(crystal(move=off, noise=0.005))
    assert np.abs(found.xx).max() < 0.006


def test_the_field_of_the_fringes_has_the_strain_of_its_gradient():
    rows, columns = np.arange(0, 200.0, 10), np.arange(0, 300.0, 10)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    moved = np.stack([0.02 * x, 0.01 * x + 0.03 * y], axis=-1)
    made = crystal(side=20)
    pose = Pose.from_angle(0, 0.1)
    field = PoseField(pose, rows, columns, moved, np.ones(y.shape), 0.01)
    found = strain_of_field(LatticeFit(made.fit.prior, (pose,), field=field), 0.1)
    exact = strain_of_gradient(np.array([[0.01, 0.03], [0.02, 0.0]]))
    assert found.xx[5, 5] == pytest.approx(float(exact.xx), abs=1e-9)
    assert found.xy[5, 5] == pytest.approx(float(exact.xy), abs=1e-9)
    assert strain_of_field(made.fit, 0.1) is None
