"""The series of frames: lattices against the first one, whichever of their vectors a fit has named."""

import numpy as np
import pytest

from napari_stemprior.measurement.frame_series import FrameRecord, frame_series

_CELL = np.array([[3.16, 0.0], [-1.58, 2.7366]])


def _turn(degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s], [s, c]])


def _series(*cells):
    records = [FrameRecord("a.tif", n, "", {}, c, np.full(2, 1e-4)) for n, c in enumerate(cells)]
    return frame_series(records).table


def test_vectors_turned_by_a_symmetry_are_no_strain():
    table = _series(_CELL, _CELL @ _turn(120).T, -_CELL[::-1])
    for name in ("xx", "yy", "xy"):
        np.testing.assert_allclose(table[f"lattice_strain_{name}"], 0, atol=1e-4)
    np.testing.assert_allclose(table["lattice_rotation_degrees"], 0, atol=0.01)


def test_strain_and_rotation_of_the_lattice_come_back():
    stretch = np.array([[1.01, 0.002], [0.002, 0.995]])
    table = _series(_CELL, _CELL @ (stretch @ _turn(2)).T)
    assert table["lattice_strain_xx"][1] == pytest.approx(0.01, abs=1e-9)
    assert table["lattice_strain_yy"][1] == pytest.approx(-0.005, abs=1e-9)
    assert table["lattice_strain_xy"][1] == pytest.approx(0.002, abs=1e-9)
    assert table["lattice_rotation_degrees"][1] == pytest.approx(2, abs=1e-9)


def test_frames_that_failed_have_a_reason_and_no_numbers():
    records = [
        FrameRecord("a.tif", 0, "no atoms"),
        FrameRecord("a.tif", 1, "", {"defects_vacancy": 2}, _CELL, np.full(2, 1e-4)),
    ]
    table = frame_series(records).table
    assert table["status"].tolist() == ["failed", "measured"]
    assert np.isnan(table["lattice_strain_xx"][0])
    assert np.isnan(table["defects_vacancy"][0])
    assert table["lattice_strain_xx"][1] == pytest.approx(0, abs=1e-12)
