"""The smallest cell, against spglib and against what is known."""

from itertools import product

import numpy as np
import pytest
import spglib
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemprior.structure.library import build_atoms, entries
from napari_stemprior.structure.translations import smallest_cell


@pytest.fixture(autouse=True, scope="module")
def errors_are_raised():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("spglib.error.OLD_ERROR_HANDLING", False)
        yield


def translations(lattice: np.ndarray, fractional: np.ndarray, kinds: list[int]) -> int:
    """Count the pure translations of a cell as spglib finds them; a plane is embedded in a tall cell."""
    dimension = len(lattice)
    cell = np.diag([0.0, 0.0, 37.0])
    cell[:dimension, :dimension] = lattice
    places = np.zeros((len(fractional), 3))
    places[:, :dimension] = fractional
    found = spglib.get_symmetry_dataset((cell, places, kinds), symprec=0.05)
    return int((found.rotations == np.eye(3, dtype=int)).all(axis=(1, 2)).sum())


@pytest.mark.parametrize("name", list(entries()))
def test_built_in_crystals_have_the_primitive_cell_that_spglib_finds(name: str) -> None:
    atoms = build_atoms(entries()[name])
    kinds = atoms.numbers.tolist()
    lattice, places, groups = smallest_cell(atoms.cell.array, atoms.get_scaled_positions(), kinds)
    count = translations(atoms.cell.array, atoms.get_scaled_positions(), kinds)
    assert len(groups) * count == len(atoms)
    assert abs(np.linalg.det(lattice)) * count == pytest.approx(atoms.cell.volume)
    assert translations(lattice, places, [kinds[group[0]] for group in groups]) == 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 3), st.integers(-2, 2))
def test_a_supercell_of_a_plane_is_divided_as_spglib_does(
    seed: int, first: int, second: int, lean: int
) -> None:
    rng = np.random.default_rng(seed)
    plane = np.array([[4.1, 0.3], [-1.2, 5.7]])
    basis = rng.random((int(rng.integers(1, 4)), 2))
    larger = np.array([[first, lean], [0, second]])
    cells = np.array(list(product(range(-8, 9), repeat=2)))
    places = ((cells[:, None] + basis[None]) @ np.linalg.inv(larger)).reshape(-1, 2)
    kinds = np.tile(np.arange(len(basis)) + 1, len(cells))
    inside = ((places > -1e-9) & (places < 1 - 1e-9)).all(axis=1)
    places, kinds = places[inside], kinds[inside]
    lattice, _, groups = smallest_cell(larger @ plane, places, kinds.tolist())
    assert len(groups) * translations(larger @ plane, places, kinds.tolist()) == len(places)
    assert abs(np.linalg.det(lattice)) == pytest.approx(abs(np.linalg.det(plane)))


def test_relaxed_anatase_keeps_its_centring_which_spglib_loses() -> None:
    kept, kept_by_spglib = 0, 0
    for seed in range(12):
        atoms = build_atoms(entries()["TiO2 anatase [100]"])
        atoms.rattle(0.01, seed=seed)
        kinds = atoms.numbers.tolist()
        _, _, groups = smallest_cell(atoms.cell.array, atoms.get_scaled_positions(), kinds)
        kept += len(groups) == len(atoms) / 2
        kept_by_spglib += translations(atoms.cell.array, atoms.get_scaled_positions(), kinds) == 2
    assert kept >= 11
    assert kept_by_spglib < 8
