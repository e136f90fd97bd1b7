"""Off-centring in a cage: measured, tested against noise, sorted into domains."""

import numpy as np
import pytest
from displaced_crystal import coverage, crystal

from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.displacements import displacements
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.measurement.polarisation import polarisation
from napari_stemprior.measurement.reference_lattice import reference_lattice


def measured(made, centre="Ti", cage="Sr"):
    indices = index_atoms(made.atoms, made.fit)
    moved = displacements(made.atoms, indices, reference_lattice(made.atoms, indices))
    return polarisation(made.atoms, indices, moved.position_error, centre=centre, cage=cage)


@pytest.mark.parametrize("seed", range(4))
def test_noise_is_disordered_and_has_no_domains(seed):
    found = measured(crystal(seed=seed))
    assert found.state == "disordered"
    assert found.domain.max() == -1
    assert found.excess == pytest.approx(1, abs=0.25)
    assert 0.9 < coverage(found.xy, 0, found.error[:, None]) < 0.99


def test_two_domains_are_told_apart():
    def opposite(column, xy):
        arrow = np.where(xy[:, :1] > 60, (0.1, 0.05), (-0.1, 0.05))
        return np.where((column == 1)[:, None], arrow, 0.0)

    made = crystal(side=120, move=opposite, noise=0.015)
    found = measured(made)
    assert found.state == "ordered"
    assert found.domain.max() == 1
    right = made.perfect[found.atom, 1] > 600
    far = np.abs(made.perfect[found.atom, 1] - 600) > 80
    for side, truth in ((right, (0.1, 0.05)), (~right, (-0.1, 0.05))):
        assert len(np.unique(found.domain[side & far])) == 1
        np.testing.assert_allclose(found.xy[side & far].mean(0), truth, atol=0.004)
    angles = found.angle[right & far]
    assert np.median(angles) == pytest.approx(np.rad2deg(np.arctan2(0.05, 0.1)), abs=3)
    assert found.histogram()[1].sum() == len(found.atom)


def test_arrows_that_are_large_but_random_have_no_domains():
    def random(column, xy):
        return np.where((column == 1)[:, None], np.random.default_rng(5).normal(size=xy.shape) * 0.1, 0.0)

    found = measured(crystal(side=120, move=random, noise=0.01))
    assert found.state == "disordered"
    assert found.domain.max() == -1


def test_a_site_that_the_prior_lacks_is_named(sto):
    with pytest.raises(MeasurementError, match="no site Pb; it has Sr"):
        measured(sto, "Pb", "Sr")


def test_strain_and_rotation_are_no_off_centring():
    found = measured(crystal(deformation=[[1.02, 0.03], [-0.01, 0.98]], noise=0.002, angle=0, side=60))
    np.testing.assert_allclose(found.mean, 0, atol=0.002)


def test_an_ideal_offset_turns_with_the_crystal():
    # oxygen O1 lies off the middle of its two titanium neighbours nowhere, Ti off Sr2 never: use MoS2
    found = measured(crystal("MoS2", angle=73, noise=0.003), "S", "Mo")
    np.testing.assert_allclose(found.mean, 0, atol=0.002)


def jittered(polar, seed, uniform=0.0):
    """A crystal along the scan, whose rows the scan has shifted by 0.04 Å each."""
    shift = np.repeat(np.random.default_rng(seed).normal(size=(200, 2)) * 0.04, 10, axis=0)

    def move(column, xy):
        arrow = np.where(xy[:, :1] > 60, (polar, uniform), (-polar, uniform))
        own = np.where((column == 1)[:, None], arrow, 0.0)
        return own + shift[np.clip((xy[:, 1] * 10).astype(int) + 200, 0, 1999)]

    return crystal(side=120, angle=1, noise=0.02, move=move, seed=seed)


@pytest.mark.parametrize("seed", range(4))
def test_rows_that_the_scan_shifts_are_no_polarisation(seed):
    found = measured(jittered(0.0, seed))
    assert found.chance_of_agreement < 1e-3, "arrows along a row agree"
    assert found.chance_of_rows < 1e-9
    assert found.row_shift == pytest.approx(0.04, abs=0.02)
    assert found.state == "disordered"
    assert np.abs(found.mean).max() < 4 * found.mean_error


def test_domains_show_through_shifted_rows():
    assert measured(jittered(0.1, 1)).state == "ordered"


def test_a_uniform_offset_is_named_as_such():
    offset = np.array((0.04, -0.02))
    found = measured(crystal(side=120, move=lambda c, xy: np.where((c == 1)[:, None], offset, 0.0)))
    assert found.state == "uniform"
    assert found.domain.max() == -1
    np.testing.assert_allclose(found.mean, offset, atol=4 * found.mean_error)
