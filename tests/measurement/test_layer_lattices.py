"""Twist, shift, strain and moiré of a stack that is known."""

import numpy as np
import pytest

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.displacements import displacements
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.measurement.layers import measure_layers
from napari_stemprior.measurement.reference_lattice import reference_lattice
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import built_in, stacked

SIZE = 0.1


def bilayer(twist, stretch=1.0, noise=0.02, shift=(0.0, 0.0)):
    stack = stacked([built_in("MoS2"), built_in("MoS2")], twists=[0.0, 5.0])
    poses = (
        Pose.from_angle(10, SIZE, (5, 5), score=0.9),
        Pose.from_angle(10 + twist, SIZE / stretch, np.array([5, 5]) + np.array(shift)[::-1] / SIZE),
    )
    parts = [pose.columns(layer, (900, 900)) for pose, layer in zip(poses, stack.layers, strict=True)]
    yx = np.concatenate([p[0] for p in parts])
    yx = yx + np.random.default_rng(0).normal(size=yx.shape) * noise / SIZE
    layer = np.repeat([0, 1], [len(p[0]) for p in parts])
    return AtomTable.from_positions(yx, SIZE, layer=layer), LatticeFit(stack, poses)


def measured(atoms, fit):
    indices = index_atoms(atoms, fit)
    reference = reference_lattice(atoms, indices)
    moved = displacements(atoms, indices, reference)
    return measure_layers(indices, reference, moved.position_error)


def test_twist_and_moire_of_a_twisted_bilayer():
    first, second = measured(*bilayer(5.0))
    assert first.twist == 0
    assert second.twist == pytest.approx(5.0, abs=4 * second.twist_error)
    assert 0 < second.twist_error < 0.02
    a = built_in("MoS2").cell[0, 0]
    np.testing.assert_allclose(second.moire, a / (2 * np.sin(np.deg2rad(2.5))), rtol=0.01)
    np.testing.assert_allclose(second.strain, 0, atol=1e-3)


def test_a_twist_is_the_smallest_that_is_the_same_for_the_lattice():
    assert measured(*bilayer(58.0))[1].twist == pytest.approx(-2.0, abs=0.05)


def test_strain_of_a_layer_and_its_moire():
    _, second = measured(*bilayer(0.0, stretch=1.03))
    np.testing.assert_allclose(second.mismatch, (0.03, 0.03, 0), atol=1e-3)
    a = built_in("MoS2").cell[0, 0]
    np.testing.assert_allclose(second.moire, a * 1.03 / 0.03, rtol=0.03)


def test_the_shift_of_equal_lattices():
    _, second = measured(*bilayer(0.0, shift=(0.6, 0.4)))
    np.testing.assert_allclose(second.shift, (0.6, 0.4), atol=5 * second.shift_error + 1e-3)
    assert second.shift_error < 0.01


def test_one_layer_has_no_twist(sto):
    indices = index_atoms(sto.atoms, sto.fit)
    reference = reference_lattice(sto.atoms, indices)
    with pytest.raises(MeasurementError, match="one lattice only"):
        measure_layers(indices, reference, np.full(len(sto.atoms), 0.02))
