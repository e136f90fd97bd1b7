"""Descriptions of a structure that do not depend on how it lies or how its cell is chosen."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from napari_stemprior.inference.prompt_encoding import described, unplaced_prompt
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.modulation import StructureModulation
from napari_stemprior.network.prompt import CELL_FEATURES, VECTOR_FEATURES, StructurePrompt
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.network.surroundings import surroundings
from napari_stemprior.structure import StructurePrior, built_in, load_prior


def around(prior: StructurePrior, cell: np.ndarray | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    return surroundings(
        [torch.from_numpy(np.array(prior.cell if cell is None else cell))],
        [len(prior.columns)],
        torch.from_numpy(prior.fractional),
        torch.from_numpy(prior.z_weights),
    )


@given(st.floats(0, 2 * np.pi), st.booleans())
def test_a_turn_or_a_mirror_changes_nothing(angle: float, mirrored: bool) -> None:
    prior = built_in("1T'-WTe2")
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turned = prior.cell @ turn @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    for left, right in zip(around(prior), around(prior, turned), strict=True):
        assert_close(left, right, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["MoS2", "Si [110]", "SrTiO3 [001]"])
def test_a_larger_cell_of_the_same_crystal_changes_nothing(name: str) -> None:
    prior = built_in(name)
    (columns, lattice), (more, larger) = described(prior), described(prior.repeated(2, 3))
    first = columns[0, :, CELL_FEATURES:]
    # the columns of the larger cell come cell by cell
    assert_close(first.repeat(6, 1), more[0, :, CELL_FEATURES:], atol=1e-3, rtol=1e-3)
    assert_close(lattice[0, VECTOR_FEATURES:], larger[0, VECTOR_FEATURES:], atol=1e-3, rtol=1e-3)


def test_neighbours_stand_where_they_are_counted() -> None:
    """Graphene: three neighbours at 1.42 Å, six at 2.46, three at 2.84, between the radii around them."""
    counted, _ = around(built_in("graphene"))
    radii = np.arange(0.7, 7.01, 0.45)
    number = counted[0, : len(radii)].numpy() * 2 * np.pi * radii * 0.45 / 7
    assert number[1:3].sum() == pytest.approx(3, abs=0.01)  # 1.15 and 1.60 Å
    assert number[3:6].sum() == pytest.approx(9, abs=0.01)  # 2.05 to 2.95 Å


def test_another_scale_or_basis_is_another_description() -> None:
    prior = built_in("MoS2")
    first, rings = around(prior)
    for other in (around(prior.scaled(1.05)), around(built_in("h-BN"), prior.cell)):
        assert (first - other[0]).abs().max() > 0.1
        assert (rings - other[1]).abs().max() > 0.02


def test_a_stack_is_described_layer_by_layer() -> None:
    stack = load_prior("WS2/WS2 twist 5")
    columns, _ = described(stack)
    alone, _ = described(built_in("WS2"))
    assert_close(columns[0, :2, CELL_FEATURES:], alone[0, :, CELL_FEATURES:], atol=1e-3, rtol=1e-3)
    assert_close(columns[0, 2:, CELL_FEATURES:], alone[0, :, CELL_FEATURES:], atol=1e-3, rtol=1e-3)


@pytest.fixture(scope="module")
def networks() -> tuple[StructurePromptedNet, StructurePromptedNet]:
    torch.manual_seed(0)
    plain = StructurePromptedNet(NetworkConfig(widths=(8, 8, 16, 16), token_width=16, self_attention=False))
    more = StructurePromptedNet(
        NetworkConfig(widths=(8, 8, 16, 16), token_width=16, surroundings=True, modulation=True)
    )
    more.load_state_dict(plain.state_dict(), strict=False)
    return plain.eval(), more.eval()


def test_new_parts_begin_without_a_say(networks: tuple[StructurePromptedNet, StructurePromptedNet]) -> None:
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    prompt = unplaced_prompt(built_in("MoS2"))
    plain, more = networks
    with torch.inference_mode():
        assert_close(plain(image, prompt).heat, more(image, prompt).heat, atol=1e-5, rtol=1e-5)


def test_without_a_prior_nothing_is_modulated() -> None:
    torch.manual_seed(1)
    part = StructureModulation(16, (8, 4))
    torch.nn.init.normal_(part.out.weight)
    x = torch.rand(2, 4, 6, 6)
    tokens, mask = torch.rand(2, 5, 16), torch.tensor([[True] * 5, [False] * 5])
    out = part(tokens * mask[..., None], mask)(x, 1)
    assert_close(out[1], x[1])
    assert not torch.allclose(out[0], x[0])


def test_the_embedding_of_an_image_does_not_depend_on_the_prompt() -> None:
    torch.manual_seed(2)
    network = StructurePromptedNet(
        NetworkConfig(widths=(8, 8, 16, 16), token_width=16, surroundings=True, modulation=True)
    ).eval()
    torch.nn.init.normal_(network.modulation.out.weight)
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        alone = network(image, StructurePrompt.absent()).image_embedding
        told = network(image, unplaced_prompt(built_in("MoS2"))).image_embedding
    assert alone is not None
    assert told is not None
    assert_close(alone, told, atol=1e-5, rtol=1e-5)
