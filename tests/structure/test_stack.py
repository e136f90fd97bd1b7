"""Stacks: what their names mean, where their layers lie, and what cannot be stacked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.errors import StructureError, UnknownPriorError
from napari_stemprior.structure import Stack, StructurePrior, bilayer, built_in, load_prior, stacked
from napari_stemprior.structure.column_table import column_rows, column_table
from napari_stemprior.structure.stack import STACKINGS, rotation, same_lattice


@pytest.mark.parametrize(
    "text",
    ["MoS2/WS2 twist 3.1°", "MoS2/WS2 twist 3.1", "mos2 / ws2 TWIST 3.1 deg", "MoS2 on WS2 twist +3.10"],
)
def test_one_stack_many_spellings(text: str) -> None:
    stack = load_prior(text)
    assert isinstance(stack, Stack)
    assert [layer.name for layer in stack.layers] == ["MoS2", "WS2"]
    assert stack.twists == (0.0, 3.1)
    assert stack.shifts == ((0.0, 0.0), (0.0, 0.0))
    assert stack.name == text
    assert stack.first_columns == (0, 2)
    assert [c.site for c in stack.columns] == ["Mo1", "S1", "W1", "S2"]


def test_an_untwisted_stack_of_two_materials_keeps_two_lattices() -> None:
    stack = load_prior("MoS2/WS2")
    assert isinstance(stack, Stack)
    assert stack.twists == (0.0, 0.0)


def test_three_layers_and_a_shift() -> None:
    stack = load_prior("graphene/MoS2/h-BN twist 10°, -4")
    assert isinstance(stack, Stack)
    assert stack.twists == (0.0, 10.0, -4.0)
    shifted = load_prior("MoS2/WS2 twist -2 shift 1.0,-0.5")
    assert isinstance(shifted, Stack)
    assert shifted.shifts[1] == (1.0, -0.5)
    assert shifted.twists[1] == -2.0


def test_layers_lie_deeper_one_after_the_other() -> None:
    stack = load_prior("MoS2/graphene twist 5")
    assert isinstance(stack, Stack)
    upper, lower = stack.layers
    assert lower.heights.min() > upper.heights.max() + 2.5
    assert stack.closest_in_layer == pytest.approx(1.4209, abs=1e-3)
    assert stack.area == upper.area


@pytest.mark.parametrize(
    ("stacking", "columns"),
    [
        ("AA", ["Mo2", "S4"]),
        ("AB", ["Mo", "MoS2", "S2"]),
        ("BA", ["Mo", "MoS2", "S2"]),
        ("AA'", ["MoS2", "MoS2"]),
        ("AB'", ["Mo2", "S2", "S2"]),
        ("A'B", ["Mo", "Mo", "S4"]),
    ],
)
def test_what_lies_over_what_in_a_homobilayer(stacking: str, columns: list[str]) -> None:
    prior = load_prior(f"MoS2 {stacking}")
    assert isinstance(prior, StructurePrior)
    assert sorted(c.formula for c in prior.columns) == columns
    assert prior.cell == pytest.approx(built_in("MoS2").cell)
    upper_metal = prior.columns[0]
    if stacking == "AB":  # chalcogen under the upper metal
        assert upper_metal.formula == "MoS2"
    if stacking == "BA":
        assert upper_metal.formula == "Mo"


def test_every_stacking_keeps_the_atoms() -> None:
    for name in STACKINGS:
        prior = bilayer(built_in("WS2"), name)
        counts: dict[str, float] = {}
        for column in prior.columns:
            for symbol, count in column.composition:
                counts[symbol] = counts.get(symbol, 0) + count
        assert counts == {"W": 2, "S": 4}
        sites = [c.site for c in prior.columns]
        assert len(set(sites)) == len(sites)


def test_bernal_graphene_hides_half_of_the_lower_layer() -> None:
    prior = load_prior("graphene AB")
    assert isinstance(prior, StructurePrior)
    assert sorted(c.formula for c in prior.columns) == ["C", "C", "C2"]
    assert prior.neighbour_distance == pytest.approx(1.4209, abs=1e-3)
    assert sorted(prior.layer_numbers) == [0, 0, 1]


def test_a_shift_makes_a_small_cell_of_one_lattice() -> None:
    step = built_in("MoS2").positions[1] - built_in("MoS2").positions[0]
    prior = load_prior(f"MoS2/MoS2 shift {step[0]},{step[1]}")
    assert isinstance(prior, StructurePrior)
    assert sorted(c.formula for c in prior.columns) == ["Mo", "MoS2", "S2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("MoS2/MoS2", "no twist.*'MoS2 AA'"),
        ("MoS2/MoS2 twist 0", "no twist.*'MoS2 AB'"),
        ("MoS2/MoS2 twist 60", "onto itself"),
        ("MoS2/MoS2 twist -120.05", "onto itself"),
        ("MoS2/WS2 twist fast", "twist cannot be read"),
        ("MoS2/WS2 shift 1", "shift cannot be read"),
        ("MoS2 twist 3", "two layers"),
        ("MoS2/WS2/MoSe2 twist 3", "2 twists"),
        ("Si [110]/MoS2 twist 3", r"Si \[110\] repeats along the beam"),
        ("1T-TaS2 AB", "honeycombs"),
        ("MoS2 AB/WS2 twist 3", "several layers"),
        ("MoS2/WS2 twist 3/graphene twist 3", "twist cannot be read"),
        ("MoS2/MoS2/WS2 shift 1,1", "two layers only"),
    ],
)
def test_what_cannot_be_stacked(text: str, says: str) -> None:
    with pytest.raises(StructureError, match=says) as caught:
        load_prior(text)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, UnknownPriorError)


def test_an_unknown_layer_is_named() -> None:
    with pytest.raises(UnknownPriorError, match=r"'MoS3'.*MoS2"):
        load_prior("WS2/MoS3 twist 3")


def test_a_stack_has_no_other_zone_axis() -> None:
    with pytest.raises(StructureError, match="leave out the zone axis"):
        load_prior("MoS2/WS2 twist 3", (1, 0, 0))


@pytest.mark.parametrize(
    ("twists", "shifts", "says"),
    [
        ((0.0,), ((0, 0), (0, 0)), "2 twists"),
        ((0.0, np.nan), ((0, 0), (0, 0)), "finite"),
        ((1.0, 2.0), ((0, 0), (0, 0)), "first layer"),
    ],
)
def test_a_stack_checks_itself(twists: tuple, shifts: tuple, says: str) -> None:
    layers = (built_in("MoS2"), built_in("WS2"))
    with pytest.raises(StructureError, match=says):
        Stack("bad", layers, twists, shifts)
    with pytest.raises(StructureError, match="two layers"):
        Stack("one", layers[:1], (0.0,), ((0.0, 0.0),))


@given(st.floats(-180, 180))
def test_only_the_symmetries_of_a_lattice_are_no_twist(twist: float) -> None:
    layer = built_in("MoS2")
    off = abs((twist + 30) % 60 - 30)
    if 0.19 < off < 0.21:
        return
    assert same_lattice(layer, layer, twist) == (off < 0.2)


@given(st.floats(1, 59), st.floats(-2, 2), st.floats(-2, 2))
def test_carried_is_a_rotation_and_a_shift(twist: float, x: float, y: float) -> None:
    stack = stacked([built_in("MoS2")] * 2, (0.0, twist), ((0.0, 0.0), (x, y)))
    assert isinstance(stack, Stack)
    turn, shift = stack.carried(1)
    assert turn @ [1.0, 0.0] == pytest.approx([np.cos(np.deg2rad(twist)), np.sin(np.deg2rad(twist))])
    assert shift == pytest.approx([x, y])
    assert rotation(twist) @ rotation(-twist) == pytest.approx(np.eye(2))


def test_the_table_of_columns_has_a_line_for_each() -> None:
    for prior in (built_in("SrTiO3 [001]"), load_prior("MoS2/WS2 twist 3.1"), load_prior("MoS2 AB")):
        rows = column_rows(prior)
        assert [row.site for row in rows] == [c.site for c in prior.columns]
        assert max(row.z_weight for row in rows) == 1
        text = column_table(prior)
        assert prior.name in text
        assert text.splitlines()[-len(rows)].startswith(rows[0].site)
    assert "twist 3.1°" in column_table(load_prior("MoS2/WS2 twist 3.1"))
