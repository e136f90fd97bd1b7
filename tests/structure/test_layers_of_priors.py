"""A crystal is a stack of one layer: both answer the same questions."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemprior.structure import Prior, built_in, load_prior
from napari_stemprior.structure.stack import rotation

CRYSTALS = ("MoS2", "SrTiO3 [001]")
STACKS = ("MoS2/WS2 twist 3.1", "graphene/MoS2/h-BN twist 10 -4")


@pytest.mark.parametrize("name", [*CRYSTALS, *STACKS])
def test_the_columns_are_those_of_the_layers_one_after_the_other(name: str) -> None:
    prior: Prior = load_prior(name)
    columns = [column for layer in prior.layers for column in layer.columns]
    assert list(prior.columns) == columns
    for first, layer in zip(prior.first_columns, prior.layers, strict=True):
        assert prior.columns[first] == layer.columns[0]
    assert len(prior.twists) == len(prior.shifts) == len(prior.layers) == len(prior.cell_lines)


@pytest.mark.parametrize("name", [*CRYSTALS, *STACKS])
def test_a_layer_is_carried_by_its_twist_and_shift(name: str) -> None:
    prior = load_prior(name)
    for number, (twist, shift) in enumerate(zip(prior.twists, prior.shifts, strict=True)):
        turn, move = prior.carried(number)
        np.testing.assert_allclose(turn, rotation(twist))
        np.testing.assert_allclose(move, shift)


@pytest.mark.parametrize("name", CRYSTALS)
def test_a_crystal_is_its_own_only_layer(name: str) -> None:
    prior = built_in(name)
    assert prior.layers == (prior,)
    assert prior.crystal is prior


@pytest.mark.parametrize("name", STACKS)
def test_a_stack_is_no_crystal_and_does_not_repeat(name: str) -> None:
    stack = load_prior(name)
    assert stack.crystal is None
    assert stack.period == 0
