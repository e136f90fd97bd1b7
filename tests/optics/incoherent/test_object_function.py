"""Cross-sections and object functions against what physics demands."""

from dataclasses import replace

import numpy as np
import pytest

from napari_stemprior.optics import PRESETS, Instrument
from napari_stemprior.optics.incoherent.object_function import _amplitude, object_function

HAADF = PRESETS["200 kV HAADF"]
FREQUENCIES = np.linspace(0, 1.6, 9)


def cross_section(z: int, instrument: Instrument = HAADF) -> float:
    return float(object_function(((z, 1.0, 0.0),), instrument, np.zeros(1))[0])


def test_heavier_elements_scatter_more_between_the_first_and_the_second_power() -> None:
    for light, heavy in [(6, 14), (14, 42), (42, 79)]:
        exponent = np.log(cross_section(heavy) / cross_section(light)) / np.log(heavy / light)
        assert 1.3 < exponent < 2.0


def test_a_small_phase_is_borns_approximation() -> None:
    # hydrogen at 300 kV: the amplitude is i lambda gamma f(q), f(0) = 0.529 Å (Lobato and Van Dyck, table 1)
    q, amplitude = _amplitude(1, 300.0)
    born = HAADF.__class__(beam_energy=300.0).wavelength * (1 + 300 / 510.999) * 0.529
    assert q[0] == 0
    assert abs(amplitude[0]) == pytest.approx(born, rel=0.01)


def test_detectors_add_up() -> None:
    inner = replace(HAADF, detector_outer=110.0)
    outer = replace(HAADF, detector_inner=110.0)
    whole = object_function(((38, 1.0, 0.0),), HAADF, FREQUENCIES)
    parts = sum(object_function(((38, 1.0, 0.0),), i, FREQUENCIES) for i in (inner, outer))
    np.testing.assert_allclose(parts, whole, rtol=2e-3)


def test_far_apart_in_phase_atoms_that_move_scatter_one_by_one() -> None:
    pair = ((16, 1.0, 0.0), (16, 1.0, 3.1))
    shaken = object_function(pair, HAADF, FREQUENCIES, thermal=0.5)
    alone = object_function(pair, HAADF, FREQUENCIES, interfere=False)
    np.testing.assert_allclose(shaken, alone, rtol=1e-3)
    np.testing.assert_allclose(alone, 2 * object_function(pair[:1], HAADF, FREQUENCIES), rtol=1e-9)


def test_two_atoms_close_together_interfere_constructively() -> None:
    pair = ((16, 1.0, 0.0), (16, 1.0, 0.05))
    together = object_function(pair, HAADF, np.zeros(1), thermal=0.0)[0]
    assert together == pytest.approx(4 * cross_section(16), rel=0.01)


def test_half_an_atom_scatters_half() -> None:
    half = object_function(((38, 0.5, 0.0),), HAADF, FREQUENCIES)
    np.testing.assert_allclose(half, 0.5 * object_function(((38, 1.0, 0.0),), HAADF, FREQUENCIES))
