"""The projection of crystals: known spacings, conserved atoms, and what must not matter."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell, mx2
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.errors import StructureError
from napari_stemprior.structure import StructurePrior, built_in, names, project
from napari_stemprior.structure.library import build_atoms, entries
from napari_stemprior.structure.prior import MERGE_DISTANCE


def pair_distances(prior: StructurePrior) -> np.ndarray:
    """(N, N) shortest distances between columns over the periodic plane."""
    shifts = np.array([(i, j) for i in range(-3, 4) for j in range(-3, 4)]) @ prior.cell
    delta = prior.positions[:, None, None] - prior.positions[None, :, None] + shifts
    distance = np.linalg.norm(delta, axis=-1)
    distance[distance < 1e-6] = np.inf
    return distance.min(axis=-1)


def fingerprint(prior: StructurePrior) -> list[object]:
    """What does not depend on origin, rotation or handedness."""
    lengths = sorted(np.linalg.norm(prior.cell, axis=1))
    angle = abs(prior.cell[0] @ prior.cell[1])
    distances = pair_distances(prior)
    columns = []
    for index, column in enumerate(prior.columns):
        around = sorted(
            (round(distances[index, j], 2), other.composition) for j, other in enumerate(prior.columns)
        )
        columns.append((column.composition, column.layer, round(column.height, 2), around))
    return [
        *np.round(lengths, 3),
        round(angle, 2),
        round(prior.period, 3),
        sorted(columns, key=repr),
    ]


def assert_same(one: StructurePrior, other: StructurePrior) -> None:
    mine, theirs = fingerprint(one), fingerprint(other)
    assert mine[:4] == pytest.approx(theirs[:4], abs=0.02)
    assert len(mine[4]) == len(theirs[4])
    for (a, a_layer, a_height, a_near), (b, b_layer, b_height, b_near) in zip(
        mine[4], theirs[4], strict=True
    ):
        assert (a, a_layer) == (b, b_layer)
        assert a_height == pytest.approx(b_height, abs=0.02)
        assert [d for d, _ in a_near] == pytest.approx([d for d, _ in b_near], abs=0.02)


def bilayer(shift: float = 0.0) -> Atoms:
    """WS2 on top of MoS2."""
    bottom = mx2("MoS2", a=3.16, thickness=3.12, vacuum=0)
    top = mx2("WS2", a=3.16, thickness=3.12, vacuum=0)
    bottom.cell[2] = top.cell[2] = (0, 0, 30)
    top.positions[:, 2] += 6.1
    top.positions[:, 1] += 1.0
    both = bottom + top
    both.positions[:, 2] += shift
    both.pbc = True
    return both


@pytest.mark.parametrize("name", names())
def test_every_built_in_prior_is_sound(name: str) -> None:
    prior = built_in(name)
    assert pair_distances(prior).min() > MERGE_DISTANCE
    assert np.linalg.det(prior.cell) > 0
    assert prior.cell[0] == pytest.approx([np.linalg.norm(prior.cell[0]), 0])
    assert all(0 <= f < 1 for column in prior.columns for f in column.position)
    sites = [column.site for column in prior.columns]
    assert len(set(sites)) == len(sites)
    assert prior.layer_numbers.tolist() == [0] * len(sites)


@pytest.mark.parametrize("name", names())
def test_projection_conserves_atoms(name: str) -> None:
    entry = entries()[name]
    prior, atoms = built_in(name), build_atoms(entry)
    symbols = atoms.get_chemical_symbols()
    counts: dict[str, float] = {}
    for column in prior.columns:
        for symbol, count in column.composition:
            counts[symbol] = counts.get(symbol, 0) + count
    total = sum(counts.values())
    for symbol in set(symbols):
        assert counts[symbol] / total == pytest.approx(symbols.count(symbol) / len(symbols))
    if prior.period:  # a crystal: also the density of atoms
        assert total / (prior.area * prior.period) == pytest.approx(len(atoms) / atoms.get_volume())
    else:
        assert total / prior.area == pytest.approx(len(atoms) / np.linalg.det(atoms.cell[:2, :2]))


@pytest.mark.parametrize(
    ("name", "spacing"),
    [
        ("Si [110]", 5.4310 / 4),  # the dumbbell
        ("GaAs [110]", 5.6533 / 4),
        ("graphene", 2.461 / math.sqrt(3)),
        ("MoS2", 3.161 / math.sqrt(3)),
        ("SrTiO3 [001]", 3.905 / 2),
        ("Au [110]", 4.0786 * math.sqrt(6) / 4),
        ("W [111]", 3.1652 * math.sqrt(6) / 3),
    ],
)
def test_known_spacings(name: str, spacing: float) -> None:
    assert built_in(name).neighbour_distance == pytest.approx(spacing, abs=1e-3)


def test_strontium_titanate_has_its_four_columns() -> None:
    prior = built_in("SrTiO3 [001]")
    assert prior.cell == pytest.approx(np.eye(2) * 3.905)
    assert sorted(column.formula for column in prior.columns) == ["O", "O", "Sr", "TiO"]
    assert prior.period == pytest.approx(3.905)


def test_a_layer_has_no_period_and_its_top_is_the_high_side() -> None:
    prior = built_in("1T-TiSe2")
    heights = {column.site: column.height for column in prior.columns}
    assert prior.period == 0
    assert sorted(heights.values()) == pytest.approx([0, 3.07 / 2, 3.07])
    atoms = build_atoms(entries()["1T-TiSe2"])
    top = atoms.positions[:, 2].argmax()
    entrance = next(column for column in prior.columns if column.height == 0)
    assert entrance.position == pytest.approx(atoms.get_scaled_positions()[top, :2], abs=1e-6)


def test_a_bilayer_has_its_top_layer_first() -> None:
    prior = project(bilayer(), name="bilayer")
    assert {column.layer for column in prior.columns if column.element == "W"} == {0}
    assert {column.layer for column in prior.columns if column.element == "Mo"} == {1}
    assert min(c.height for c in prior.columns if c.layer == 1) > max(
        c.height for c in prior.columns if c.layer == 0
    )


@given(st.floats(-40, 40), st.floats(-1, 1), st.integers(0, 2))
def test_a_slab_may_wrap_across_the_cell(shift: float, lean: float, turns: int) -> None:
    """Where the slab stands in its cell, and where c leans to, says nothing about the layers."""
    atoms = bilayer(shift)
    atoms.cell[2, :2] = lean * atoms.cell[0, :2] + turns * atoms.cell[1, :2]
    atoms.wrap()
    assert_same(project(atoms, name="bilayer"), project(bilayer(), name="bilayer"))


def test_a_thick_slab_of_large_atoms_is_one_layer() -> None:
    """Planes of lead are as far apart as van der Waals layers, but bonded."""
    from ase.build import fcc111

    slab = fcc111("Pb", (1, 1, 4), vacuum=8)
    slab.pbc = True
    assert set(project(slab, name="Pb").layer_numbers) == {0}


def test_a_layer_without_a_third_vector() -> None:
    with_vacuum = mx2("MoS2", a=3.161, thickness=3.12, vacuum=8)
    with_vacuum.pbc = True
    flat = with_vacuum.copy()
    flat.cell[2] = 0
    flat.pbc = (True, True, False)
    thin = with_vacuum.copy()
    thin.cell[2] = (0, 0, 3.0)  # thinner than the layer, but it does not repeat along it
    thin.pbc = (True, True, False)
    reference = project(with_vacuum, name="MoS2")
    for layer in (flat, thin):
        assert_same(project(layer, name="MoS2"), reference)
        assert_same(project(layer, (0, 0, 1), name="MoS2"), reference)
    with pytest.raises(StructureError, match="does not repeat along c"):
        project(flat, (1, 1, 1), name="MoS2")


@given(
    st.sampled_from(["MoS2", "SrTiO3 [110]", "GaN [11-20]", "Si [110]", "TiO2 anatase [100]", "1T-TaS2"]),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(-1, 1),
)
def test_a_supercell_is_the_same_crystal(name: str, na: int, nb: int, nc: int, shear: int) -> None:
    entry = entries()[name]
    uvw = np.array(entry.get("zone_axis", (0, 0, 1)))
    matrix = np.diag([na, nb, nc]) @ np.array([[1, shear, 0], [0, 1, 0], [0, 0, 1]])
    atoms = build_atoms(entry)
    large = make_supercell(atoms, matrix)
    direction = np.linalg.det(matrix) * uvw @ np.linalg.inv(matrix)
    axis = tuple(np.round(direction).astype(int).tolist())
    assert_same(project(large, axis, name=name), project(atoms, tuple(uvw.tolist()), name=name))


def test_a_noisy_supercell_reduces_and_a_vacancy_keeps_it_large() -> None:
    unit = mx2("MoS2", a=3.161, thickness=3.12, vacuum=8)
    unit.pbc = True
    large = unit.repeat((2, 2, 1))
    large.rattle(0.005, seed=0)
    assert len(project(large, name="2x2").columns) == 2
    assert project(large, name="2x2").area == pytest.approx(project(unit, name="1x1").area, rel=1e-3)
    sulphur = next(i for i, symbol in enumerate(large.get_chemical_symbols()) if symbol == "S")
    del large[sulphur]
    vacancy = project(large, name="vacancy")
    assert len(vacancy.columns) == 8
    assert sorted(c.formula for c in vacancy.columns if c.element == "S") == ["S", "S2", "S2", "S2"]


def test_large_supercells_reduce_by_any_order() -> None:
    """13 and 7 are primes beyond any short list of fractions."""
    large = bulk("Au", "fcc", a=4.0786, cubic=True).repeat((13, 7, 1))
    prior = project(large, name="gold")
    assert len(prior.columns) == 1
    assert prior.area == pytest.approx(4.0786**2 / 4)


@given(st.tuples(*[st.floats(-20, 20)] * 3), st.booleans())
def test_translation_does_not_matter(shift: tuple[float, float, float], wrap: bool) -> None:
    for name in ("SrTiO3 [110]", "CeO2 [110]", "BaTiO3 [001]"):
        entry = entries()[name]
        atoms = build_atoms(entry)
        atoms.positions += shift
        if wrap:
            atoms.wrap()
        assert_same(project(atoms, tuple(entry["zone_axis"]), name=name), built_in(name))


@given(st.floats(-180, 180))
def test_a_file_turned_about_the_beam_gives_a_turned_prior(angle: float) -> None:
    atoms = mx2("MoS2", a=3.161, thickness=3.12, vacuum=8)
    atoms.pbc = True
    turned = atoms.copy()
    turned.rotate(angle, "z", rotate_cell=True)
    straight, prior = project(atoms, name="MoS2"), project(turned, name="MoS2")
    assert_same(prior, straight)
    # Mo to S, carried by the same rotation
    t = math.radians(angle)
    rotation = np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]])
    bond = (straight.positions[1] - straight.positions[0]) @ rotation.T
    cells = (prior.positions[1] - prior.positions[0] - bond) @ np.linalg.inv(prior.cell)
    assert cells == pytest.approx(np.round(cells), abs=1e-6)


@pytest.mark.parametrize("axis", [(1, 1, 0), (1, -1, 0), (0, 1, 1), (-1, 0, 1), (2, 2, 0), (0, -1, -1)])
def test_equivalent_zone_axes(axis: tuple[int, int, int]) -> None:
    for name in ("Si [110]", "GaAs [110]", "SrTiO3 [110]"):
        assert_same(built_in(name, axis), built_in(name))


@pytest.mark.parametrize("axis", [(1, 1, 2), (3, 1, -2), (5, 0, 3), (0, 7, 1), (-3, -4, -5), (12, 5, 7)])
def test_any_zone_axis_keeps_the_density(axis: tuple[int, int, int]) -> None:
    prior = built_in("Al [100]", axis)
    atoms = sum(count for column in prior.columns for _, count in column.composition)
    assert prior.area * prior.period / atoms == pytest.approx(4.0495**3 / 4)


def test_as_it_lies_finds_the_repeat_along_z() -> None:
    """The primitive cell of gold has no vector along z, but its lattice has."""
    assert_same(
        project(bulk("Au", "fcc", a=4.0786), name="Au"),
        project(bulk("Au", "fcc", a=4.0786, cubic=True), name="Au"),
    )
    monoclinic = Atoms("Si", cell=[[4, 0, 0], [0, 5, 0], [1.234, 0, 4.321]], pbc=True)
    with pytest.raises(StructureError, match="give a zone axis"):
        project(monoclinic, name="leaning")
    assert project(monoclinic, (0, 0, 1), name="leaning").period > 4.3


@pytest.mark.filterwarnings("ignore:scaled_positions")  # ASE says that the site is shared, as meant
def test_partial_occupancy_counts_in_parts() -> None:
    from ase.spacegroup import crystal

    alloy = crystal(
        ["In", "Ga", "As"],
        [(0, 0, 0), (0, 0, 0), (0.25, 0.25, 0.25)],
        occupancies=[0.53, 0.47, 1.0],
        spacegroup=216,
        cellpar=[5.869] * 3 + [90] * 3,
    )
    prior = project(alloy, (1, 1, 0), name="InGaAs")
    assert [column.composition for column in prior.columns] == [
        (("In", 0.53), ("Ga", 0.47)),
        (("As", 1.0),),
    ]
    half = project(alloy.repeat((1, 1, 2)), (1, 1, 0), name="InGaAs")
    assert half.area == pytest.approx(prior.area)


@pytest.mark.parametrize(
    ("atoms", "axis", "says"),
    [
        (Atoms(), None, "no atoms"),
        (Atoms("Au"), None, "no cell"),
        (Atoms("Au", cell=[3, 3, 3], pbc=False), None, "not periodic"),
        (Atoms("Au", cell=[3, 3, 3], pbc=(True, False, True)), (0, 0, 1), "not periodic"),
        (Atoms("Au", cell=[3, 3, 3], pbc=True), (0, 0, 0), r"\[000\]"),
        (Atoms("X", cell=[3, 3, 3], pbc=True), None, "element"),
        (Atoms("Au", [(np.nan, 0, 0)], cell=[3, 3, 3], pbc=True), None, "finite"),
    ],
)
def test_what_cannot_be_projected(atoms: Atoms, axis: tuple[int, int, int] | None, says: str) -> None:
    with pytest.raises(StructureError, match=says) as caught:
        project(atoms, axis, name="bad.cif")
    assert str(caught.value).startswith("bad.cif: ")


def test_closest_columns_of_a_layer() -> None:
    assert built_in("MoS2").closest_in_layer == pytest.approx(3.161 / np.sqrt(3), abs=1e-3)
    assert built_in("Au [100]").closest_in_layer == pytest.approx(4.0786 / 2, abs=1e-3)
    assert built_in("Si [110]").closest_in_layer == pytest.approx(5.431 / 4, abs=1e-3)
