"""Octahedra that are turned by a known angle, and bonds that bend."""

import numpy as np
import pytest
from displaced_crystal import coverage, crystal

from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.measurement.octahedra import bond_angles, octahedral_tilts

TILT = 6.0
A = 3.905


def tilted(tilt=TILT, noise=0.01, angle=10.0, **more):
    """SrTiO3 whose octahedra turn by ± tilt: oxygen moves across the bond by a / 2 tan(tilt)."""
    flat = crystal(noise=0.0, angle=angle, **more)
    indices = index_atoms(flat.atoms, flat.fit)
    axes = flat.fit.pose.to_pixels(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))[:, ::-1] * 0.1
    along = axes[1:] - axes[0]
    size = A / 2 * np.tan(np.deg2rad(tilt))
    move = np.zeros((len(indices), 2))
    # O1 lies at (0, 1/2): its Ti neighbours are along x, so it moves along y; O2 the other way round
    one, two = indices.column == 2, indices.column == 3
    sign = (-1.0) ** (indices.h + indices.k)
    move[one] = (sign[:, None] * along[1])[one] * size
    move[two] = -(sign[:, None] * along[0])[two] * size
    return crystal(noise=noise, angle=angle, move=lambda column, xy: move, **more), indices


def measured(made, **more):
    indices = index_atoms(made.atoms, made.fit)
    return octahedral_tilts(made.atoms, indices, np.full(len(indices), 0.01), centre="Ti", **more)


@pytest.mark.parametrize("angle", [0.0, 10.0, 77.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_tilt_is_found_whatever_way_the_crystal_lies(angle, mirrored):
    found = measured(tilted(angle=angle, mirrored=mirrored)[0])
    assert found.state == "tilted"
    assert abs(found.amplitude) == pytest.approx(TILT, abs=4 * found.amplitude_error)
    assert found.amplitude_error < 0.1
    assert 0.9 < coverage(np.abs(found.angle), TILT, found.error) < 0.99


def test_noise_is_no_tilt():
    found = measured(crystal(noise=0.02))
    assert found.state == "not tilted beyond the error"
    assert 0.9 < coverage(found.angle, 0, 2 * found.error) <= 1
    assert abs(found.amplitude) < 4 * found.amplitude_error


def test_a_turned_and_strained_crystal_is_not_tilted():
    found = measured(crystal(noise=0.001, deformation=[[1.01, 0.02], [-0.02, 0.99]]))
    np.testing.assert_allclose(found.angle, 0, atol=0.3)


def test_bonds_bend_twice_the_tilt():
    made, _ = tilted()
    indices = index_atoms(made.atoms, made.fit)
    found = bond_angles(made.atoms, indices, np.full(len(indices), 0.01), end="Ti")
    assert found.bend == pytest.approx(2 * TILT, abs=0.2)
    # to either side equally often
    assert np.median(found.angle) == pytest.approx(180, abs=2 * TILT + 1)
    assert abs(found.angle.mean() - 180) < 1.5
    assert 0.9 < coverage(np.abs(found.angle - 180), 2 * TILT, found.error) < 0.99


def test_straight_bonds_have_no_bend_beyond_the_error():
    made = crystal(noise=0.01)
    indices = index_atoms(made.atoms, made.fit)
    found = bond_angles(made.atoms, indices, np.full(len(indices), 0.01), end="Ti")
    assert found.bend < 0.2
    assert found.angle.mean() == pytest.approx(180, abs=0.1)
    assert 0.92 < coverage(found.angle, 180, found.error) < 0.98


@pytest.mark.parametrize("corner", ["Pb", "Sr"])
def test_sites_that_are_no_corners_are_refused(sto, corner):
    if corner == "Pb":
        with pytest.raises(MeasurementError, match="no site Pb; it has Sr"):
            measured(sto, corner=corner)
    else:  # four Sr around Ti are a cage too, and turn with the lattice
        assert measured(sto, corner=corner).state == "not tilted beyond the error"


def test_an_image_without_oxygen_says_so(sto):
    atoms = sto.atoms.where((sto.atoms.rows["element"] != "O").to_numpy())
    indices = index_atoms(atoms, sto.fit)
    with pytest.raises(MeasurementError, match="ABF"):
        octahedral_tilts(atoms, indices, np.full(len(indices), 0.01), centre="Ti")
