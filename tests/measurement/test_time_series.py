"""Atoms that drift, vanish and return over the frames of a recording."""

import numpy as np
import pytest
from displaced_crystal import PIXEL_SIZE, crystal

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.measurement.time_series import follow_atoms
from napari_stemprior.registration import LatticeFit, Pose


def frames(drifts, noise=0.02, gone=(), cells=(0, 0)):
    """MoS2 that drifts by (x, y) in Å; the atoms of `gone` miss in the second frame."""
    out = []
    for number, drift in enumerate(drifts):
        made = crystal("MoS2", side=60, noise=0.0)
        rng = np.random.default_rng(number)
        yx = (
            made.atoms.yx
            + np.asarray(drift)[::-1] / PIXEL_SIZE
            + rng.normal(size=made.atoms.yx.shape) * noise / PIXEL_SIZE
        )
        keep = np.ones(len(yx), bool)
        keep[list(gone) if number == 1 else []] = False
        pose = made.fit.pose
        cell = pose.to_pixels(np.array([[0.0, 0.0], np.array(cells) @ made.fit.prior.cell]))
        origin = np.asarray(pose.origin) + np.asarray(drift)[::-1] / PIXEL_SIZE + (cell[1] - cell[0]) * number
        atoms = AtomTable.from_positions(yx[keep], PIXEL_SIZE)
        fit = LatticeFit(made.fit.prior, (Pose(pose.affine, origin, score=0.9),))
        out.append((atoms, index_atoms(atoms, fit)))
    return out


def test_drift_is_found_and_taken_off():
    drifts = [(0, 0), (0.6, -0.3), (1.1, 0.5)]
    found = follow_atoms(frames(drifts))
    assert (np.abs(found.drift - drifts) < 4 * found.drift_error[:, None] + 1e-9).all()
    assert found.drift_error[1] < 0.005
    assert (found.sites["frames"] == 3).mean() > 0.97
    # two positions of 0.02 Å each
    assert found.sites["mean_square_move_angstrom2"].mean() == pytest.approx(2 * 2 * 0.02**2, rel=0.15)


@pytest.mark.parametrize("cells", [(1, 0), (-2, 3)])
def test_a_fit_that_begins_at_another_cell_finds_the_same_atoms(cells):
    plain, moved = (
        follow_atoms(frames([(0, 0), (0.4, 0.2)])),
        follow_atoms(frames([(0, 0), (0.4, 0.2)], cells=cells)),
    )
    np.testing.assert_allclose(moved.drift, plain.drift, atol=1e-9)
    assert len(moved.sites) == len(plain.sites)


def test_an_atom_that_goes_and_returns():
    found = follow_atoms(frames([(0, 0)] * 3, gone=[100, 200]))
    lost = found.sites[found.sites["vanished"] > 0]
    assert len(lost) == 2
    assert (lost["appeared"] == 1).all()
    assert (lost["frames"] == 2).all()


def test_what_cannot_be_followed_is_refused(sto):
    one = frames([(0, 0)])
    with pytest.raises(MeasurementError, match="two frames"):
        follow_atoms(one)
    with pytest.raises(MeasurementError, match="different priors"):
        follow_atoms([*one, (sto.atoms, index_atoms(sto.atoms, sto.fit))])
