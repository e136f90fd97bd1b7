"""Row jitter is found and taken out; a crystal's own displacements are left alone."""

import numpy as np
import pytest
from displaced_crystal import crystal

from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.displacements import displacements
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.measurement.reference_lattice import reference_lattice
from napari_stemprior.measurement.scan_errors import scan_errors, without_scan_errors
from napari_stemprior.measurement.strain import local_strain


def jitter(column, xy):
    rng = np.random.default_rng(1)
    rows = np.convolve(rng.normal(size=4000), np.ones(20) / np.sqrt(20), "same") * 0.06
    return np.stack([rows[(xy[:, 1] * 10).astype(int)], np.zeros(len(xy))], axis=1)


def measured(made):
    indices = index_atoms(made.atoms, made.fit)
    return indices, displacements(made.atoms, indices, reference_lattice(made.atoms, indices))


def test_a_clean_scan_has_no_jitter():
    made = crystal(side=150)
    indices, moved = measured(made)
    found = scan_errors(made.atoms, indices, moved)
    assert (found.chance > 0.001).all()
    assert (found.jitter < 0.003).all()
    left = without_scan_errors(made.atoms, indices, moved, found)
    if (found.chance >= 0.01).all():
        np.testing.assert_array_equal(left.xy, moved.xy)


def test_jitter_is_found_in_x_alone_and_taken_out():
    made = crystal(side=150, move=jitter)
    indices, moved = measured(made)
    found = scan_errors(made.atoms, indices, moved)
    assert found.chance[0] < 1e-6
    assert found.chance[1] > 0.001
    assert found.jitter[0] == pytest.approx(0.05, abs=0.02)
    left = without_scan_errors(made.atoms, indices, moved, found)
    assert left.xy[:, 0].std() < 0.7 * moved.xy[:, 0].std()
    assert left.xy[:, 1].std() == pytest.approx(moved.xy[:, 1].std(), rel=0.02)
    before, after = local_strain(indices, moved), local_strain(indices, left)
    assert np.nanstd(after.xy) < 0.8 * np.nanstd(before.xy)


def test_strain_is_not_taken_for_jitter():
    def bent(column, xy):
        return np.stack([0.00005 * (xy[:, 1] - 75) ** 2, np.zeros(len(xy))], axis=1)

    made = crystal(side=150, move=bent)
    indices, moved = measured(made)
    found = scan_errors(made.atoms, indices, moved)
    left = without_scan_errors(made.atoms, indices, moved, found)
    assert np.abs(left.xy - moved.xy).max() < 0.05
    assert np.ptp(left.xy[:, 0]) > 0.9 * np.ptp(moved.xy[:, 0])


@pytest.mark.parametrize("angle", [0, 13, 30])
def test_a_step_of_strain_and_domains_are_not_taken_for_jitter(angle):
    def stepped(column, xy):
        right = xy[:, :1] > 75
        step = np.maximum(xy[:, :1] - 75, 0) * (0.01, 0.005)
        return step + np.where((column == 1)[:, None] & right, (0.1, 0.05), 0.0)

    made = crystal(side=150, move=stepped, angle=angle)
    indices, moved = measured(made)
    found = scan_errors(made.atoms, indices, moved)
    assert (found.jitter < 0.01).all()


def test_a_few_rows_are_too_few():
    made = crystal(side=9)
    indices, moved = measured(made)
    with pytest.raises(MeasurementError, match="bands"):
        scan_errors(made.atoms, indices, moved)
