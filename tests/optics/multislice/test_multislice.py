"""The periodic image, the rectangular cell, and a small crystal by multislice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemprior.errors import StructureError
from napari_stemprior.optics.instrument import PRESETS
from napari_stemprior.optics.multislice.engine import orthogonal, scan
from napari_stemprior.optics.multislice.periodic_scan import PeriodicScan
from napari_stemprior.progress import Progress, drain
from napari_stemprior.structure.library import build_atoms, entries

#: A narrow aperture and a low detector: few probes on a coarse grid.
QUICK = replace(PRESETS["60 kV MAADF"], convergence_semi_angle=25.0, detector_inner=30.0, detector_outer=80.0)


def wave(nx: int, ny: int, cell: tuple[float, float], i: int, j: int) -> PeriodicScan:
    y, x = np.meshgrid(np.arange(ny) / ny, np.arange(nx) / nx, indexing="ij")
    return PeriodicScan(2 + np.cos(2 * np.pi * (i * x + j * y) + 0.3), cell)


@settings(deadline=None, max_examples=30)
@given(st.integers(-3, 3), st.integers(-2, 2), st.integers(0, 2**32 - 1))
def test_a_plane_wave_is_given_exactly_anywhere(i, j, seed):
    cell = (3.1, 5.3)
    one = wave(7, 5, cell, i, j)
    xy = np.random.default_rng(seed).uniform(-20, 20, (50, 2))
    expected = 2 + np.cos(2 * np.pi * (i * xy[:, 0] / cell[0] + j * xy[:, 1] / cell[1]) + 0.3)
    np.testing.assert_allclose(one.at(xy), expected, atol=1e-4)


def test_the_source_damps_a_wave_by_its_transfer():
    sigma = 0.7 / np.sqrt(8 * np.log(2))
    damped = wave(7, 5, (3.1, 5.3), 2, 0).blurred(0.7)
    swing = np.exp(-2 * (np.pi * sigma * 2 / 3.1) ** 2)
    assert damped.intensity.mean() == pytest.approx(2)
    assert damped.intensity.std() == pytest.approx(swing * np.sqrt(0.5), rel=1e-6)


@pytest.mark.parametrize(("name", "factor"), [("MoS2", 2), ("graphene", 2)])
def test_a_hexagonal_cell_becomes_the_smallest_rectangle(name, factor):
    atoms = build_atoms(entries()[name])
    box, angle = orthogonal(atoms)
    assert len(box) == factor * len(atoms)
    np.testing.assert_allclose(box.cell.angles(), 90)
    assert np.isclose(box.cell.volume, factor * atoms.cell.volume)
    # the neighbours of each species are where they were
    before = np.sort(atoms.repeat((2, 2, 1)).get_distances(0, range(4 * len(atoms)), mic=True))
    after = np.sort(box.repeat((1, 1, 1)).get_distances(0, range(len(box)), mic=True))
    assert np.isclose(before[1], after[1])
    assert abs(angle % 60) < 1e-6 or abs(angle % 60 - 60) < 1e-6


def test_a_turned_cell_tells_its_angle():
    atoms = build_atoms(entries()["graphene"])
    atoms.rotate(20, "z", rotate_cell=True)
    box, angle = orthogonal(atoms)
    assert angle == pytest.approx(20)
    np.testing.assert_allclose(box.cell.array, np.diag(box.cell.lengths()), atol=1e-9)


def test_no_rectangle_is_said_so():
    cell = [[3, 0, 0], [0.6180, 3.3317, 0], [0, 0, 10]]
    with pytest.raises(StructureError, match="no small rectangle"):
        orthogonal(Atoms("C", cell=cell, pbc=True))
    with pytest.raises(StructureError, match="orthogonal cell"):
        drain(scan(Atoms("C", cell=cell, pbc=True), QUICK))


def test_atoms_are_bright_and_the_hollow_is_dark():
    atoms = build_atoms(entries()["h-BN"])
    seen: list[Progress] = []
    instrument = replace(QUICK, source_size=0.3)
    box, turn = orthogonal(atoms)
    assert turn == pytest.approx(0)
    image = drain(scan(box, instrument), seen.append).blurred(instrument.source_size)
    nitrogen, boron, ring = image.at([*atoms.positions[::-1, :2], (0.0, 0.0)])
    assert nitrogen > boron > 1.3 * ring
    assert seen[-1].done == seen[-1].total
    assert 0 < image.intensity.min() < image.intensity.max() < 0.1


def test_moving_the_specimen_moves_the_image():
    box, _ = orthogonal(build_atoms(entries()["graphene"]))
    moved = box.copy()
    moved.positions[:, :2] += [0.61, 0.37]
    moved.wrap()
    one, other = drain(scan(box, QUICK)), drain(scan(moved, QUICK))
    xy = np.random.default_rng(0).uniform(0, 6, (200, 2))
    shift = np.array([0.61, 0.37])
    np.testing.assert_allclose(other.at(xy + shift), one.at(xy), rtol=0.02)


def test_phonons_are_seeded():
    box, _ = orthogonal(build_atoms(entries()["graphene"]))
    one, same, other = (drain(scan(box, QUICK, phonons=1, seed=s)).intensity for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3 * one.max()
