"""Columns of known numbers of atoms, from the steps of their intensities."""

import numpy as np
import pytest

from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.atom_counting import count_atoms


def columns(counts, noise, seed=0, per_atom=2.0):
    rng = np.random.default_rng(seed)
    return counts * per_atom + rng.normal(size=len(counts)) * noise * per_atom


@pytest.mark.parametrize("seed", range(3))
def test_atoms_are_counted(seed):
    counts = np.random.default_rng(seed).integers(3, 11, 800)
    found = count_atoms(columns(counts, 0.18, seed))
    assert len(found.mean) == 8
    assert found.first == 3
    assert (found.count == counts).mean() > 0.98
    assert found.per_atom == pytest.approx(2.0, rel=0.02)
    assert found.deviation == pytest.approx(0.36, rel=0.1)
    # the stated chance of error is the true one
    wrong = (found.count != counts).mean()
    assert wrong == pytest.approx(found.chance_of_error.mean(), abs=0.012)


def test_the_unit_of_the_image_does_not_matter():
    counts = np.random.default_rng(1).integers(2, 7, 400)
    one, other = (count_atoms(columns(counts, 0.15, per_atom=p)) for p in (1.0, 1000.0))
    np.testing.assert_array_equal(one.count, other.count)
    assert other.per_atom == pytest.approx(1000 * one.per_atom)


def test_a_known_first_number_is_taken():
    counts = np.random.default_rng(2).integers(4, 8, 300)
    found = count_atoms(columns(counts, 0.1), first=9)
    assert found.count.min() == 9
    assert not any("extrapolation" in text for text in found.reservations)


def test_one_thickness_is_not_counted():
    found = count_atoms(columns(np.full(200, 5), 0.2))
    assert np.isnan(found.count).all()
    assert any("Only one thickness" in text for text in found.reservations)


def test_unknown_intensities_have_no_count_and_thickness_follows():
    values = columns(np.repeat([2, 3], 50), 0.1)
    values[7] = np.nan
    found = count_atoms(values)
    assert np.isnan(found.count[7])
    assert np.isfinite(np.delete(found.count, 7)).all()
    assert np.nanmax(found.thickness(4.08)) == pytest.approx(3 * 4.08)


@pytest.mark.parametrize(
    ("values", "words"),
    [(np.arange(5.0), "30 or more"), (np.ones(100), "no steps"), (np.full(99, np.nan), "there are 0")],
)
def test_what_cannot_be_counted_is_refused(values, words):
    with pytest.raises(MeasurementError, match=words):
        count_atoms(values)
