"""Every atom finds its cell and site, through strain, rotation and across vacancies."""

import numpy as np
import pytest
from displaced_crystal import PIXEL_SIZE, crystal
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure.lattice_sites import LatticeSites


@given(st.sampled_from(["SrTiO3 [001]", "MoS2", "Si [110]"]), st.floats(0, 360), st.booleans())
def test_indices_give_back_the_place(name, angle, mirrored):
    made = crystal(name, side=40, angle=angle, mirrored=mirrored, noise=0.01)
    found = index_atoms(made.atoms, made.fit)
    assert found.known.all()
    assert (found.column == made.column).all()
    assert (found.part == 0).all()
    np.testing.assert_allclose(made.fit.pose.to_pixels(found.ideal), made.perfect, atol=1e-6)


def test_strain_that_adds_up_to_more_than_a_cell_is_followed():
    made = crystal(side=300, noise=0.01, deformation=[[1.03, 0.01], [0.0, 0.98]])
    # the sites of a followed lattice lie under the atoms, wherever those are
    sites = LatticeSites.of(made.fit.prior.columns, made.atoms.yx, made.column)
    fit = LatticeFit(made.fit.prior, made.fit.poses, sites)
    found = index_atoms(made.atoms, fit)
    middle = made.perfect.mean(0)
    ideal = made.fit.pose.to_pixels(found.ideal)
    moved = np.linalg.norm(made.atoms.yx - made.perfect, axis=1).max() * PIXEL_SIZE
    assert moved > 3.9
    off = np.median(ideal - made.perfect, axis=0)
    np.testing.assert_allclose(ideal - off, made.perfect, atol=1e-6)
    assert middle.shape == (2,)


def test_every_index_is_found_again(sto):
    found = index_atoms(sto.atoms, sto.fit)
    again = found.find(found.lattice, found.h, found.k, found.column)
    assert (again == np.arange(len(found))).all()
    assert found.find(found.lattice, found.h + 1000, found.k, found.column).max() == -1


def test_an_atom_off_the_lattice_and_a_second_one_on_a_site_say_why(sto):
    yx = np.concatenate([sto.atoms.yx, sto.atoms.yx[40:41] + 3.0, sto.atoms.yx[[50]] + 9.8])
    found = index_atoms(AtomTable.from_positions(yx, PIXEL_SIZE), sto.fit)
    assert not found.known[-2:].any()
    assert found.reason[-2] == "another atom is nearer to its site"
    assert found.reason[-1] in ("it lies on no site of the lattice", "another atom is nearer to its site")
    assert np.isnan(found.ideal[-2:]).all()
    assert (found.reason[:-2] == "").all()


def test_a_second_grain_has_a_lattice_of_its_own():
    left, right = crystal(angle=10), crystal(angle=37, seed=1)
    half = left.atoms.yx[:, 1] < 395
    other = right.atoms.yx[:, 1] > 405
    yx = np.concatenate([left.atoms.yx[half], right.atoms.yx[other]])
    column = np.concatenate([left.column[half], right.column[other]])
    sites = LatticeSites.of(left.fit.prior.columns, yx, column)
    fit = LatticeFit(left.fit.prior, left.fit.poses, sites, rivals=right.fit.poses)
    found = index_atoms(AtomTable.from_positions(yx, PIXEL_SIZE), fit)
    truth = np.repeat([0, 1], [half.sum(), other.sum()])
    assert (found.lattice == truth).mean() > 0.98
    assert (found.column[found.known] == column[found.known]).all()


@pytest.mark.parametrize("count", [0, 5])
def test_too_few_atoms_are_refused(sto, count):
    with pytest.raises(MeasurementError, match="6 or more"):
        index_atoms(sto.atoms.where(np.arange(len(sto.atoms)) < count), sto.fit)


def test_a_lattice_elsewhere_is_refused(sto):
    away = LatticeSites.of(sto.fit.prior.columns, sto.atoms.yx + 1e5, sto.column)
    with pytest.raises(MeasurementError, match=r"lie on sites|no sites"):
        index_atoms(sto.atoms, LatticeFit(sto.fit.prior, sto.fit.poses, away))
