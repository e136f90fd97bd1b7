"""What the network promises whatever its weights."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from napari_stemprior.errors import ModelError
from napari_stemprior.network import fusion
from napari_stemprior.network.checkpoint import load_network, load_tensors, save_network, save_tensors
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.fusion import nearest_sites
from napari_stemprior.network.image_encoder import normalised
from napari_stemprior.network.prompt import StructurePrompt, describe_columns
from napari_stemprior.network.stemprior_net import StructurePromptedNet

SIDE = 64


@pytest.fixture(scope="module")
def network() -> StructurePromptedNet:
    torch.manual_seed(0)
    net = StructurePromptedNet(NetworkConfig(widths=(8, 16, 16, 32), token_width=32))
    return net.eval()


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def prompt(order: tuple[int, ...] = (0, 1, 2), shift: float = 0.0) -> StructurePrompt:
    """Three columns, each with a site, listed in any order and from any origin."""
    index = torch.tensor(order)
    fractional = torch.tensor([[0.1, 0.2], [0.5, 0.7], [0.8, 0.3]])[index] + shift
    columns, lattice = describe_columns(
        [torch.tensor([[4.0, 0.0], [1.0, 3.0]])],
        [3],
        fractional,
        torch.tensor([42.0, 16.0, 8.0])[index],
        torch.tensor([10.0, 4.0, 1.0])[index],
        torch.zeros(3),
        torch.zeros(3),
    )
    sites = torch.tensor([[20.3, 30.1], [40.0, 12.7], [33.3, 50.0]])[index]
    return StructurePrompt(
        columns, torch.ones(1, 3, dtype=torch.bool), lattice, torch.ones(1, dtype=torch.bool),
        sites[None], torch.arange(3)[None], torch.ones(1, 3, dtype=torch.bool),
    )  # fmt: skip


def test_the_order_of_columns_does_not_matter(network: StructurePromptedNet, image: torch.Tensor) -> None:
    with torch.inference_mode():
        assert_close(
            network(image, prompt()).heat, network(image, prompt((2, 0, 1))).heat, atol=1e-4, rtol=1e-4
        )


def test_the_origin_of_the_cell_does_not_matter(network: StructurePromptedNet, image: torch.Tensor) -> None:
    with torch.inference_mode():
        assert_close(
            network(image, prompt()).heat, network(image, prompt(shift=0.37)).heat, atol=1e-4, rtol=1e-4
        )


def test_the_prior_changes_the_answer(network: StructurePromptedNet, image: torch.Tensor) -> None:
    with torch.inference_mode():
        alone = network(image, StructurePrompt.absent()).heat
        assert not torch.allclose(alone, network(image, prompt()).heat, atol=1e-5)


def test_padding_does_not_change_the_answer(network: StructurePromptedNet, image: torch.Tensor) -> None:
    batch = StructurePrompt.collate([prompt(), StructurePrompt.absent()])
    with torch.inference_mode():
        both = network(image.expand(2, -1, -1, -1), batch).heat
        assert_close(both[:1], network(image, prompt()).heat, atol=1e-4, rtol=1e-4)
        assert_close(both[1:], network(image, StructurePrompt.absent()).heat, atol=1e-4, rtol=1e-4)


def test_gain_and_offset_do_not_matter(network: StructurePromptedNet, image: torch.Tensor) -> None:
    with torch.inference_mode():
        assert_close(
            network(image, prompt()).heat, network(image * 500 + 70, prompt()).heat, atol=1e-3, rtol=1e-3
        )


@pytest.mark.parametrize("side", [SIDE, 72])
@pytest.mark.parametrize(("count", "spread"), [(40, 1.0), (400, 1.0), (400, 0.2)])
def test_nearest_sites_are_the_nearest(
    count: int, spread: float, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of more sites than a group of blocks has candidates, and where too many of them crowd.

    A side that is no whole number of groups is looked at in groups as well.
    """
    grouped, looked = [], fusion._nearest_in_groups

    def watched(*arguments: Any) -> Any:
        grouped.append(arguments)
        return looked(*arguments)

    monkeypatch.setattr(fusion, "_nearest_in_groups", watched)
    generator = torch.Generator().manual_seed(2)
    sites = torch.rand(1, count, 2, generator=generator) * side * spread
    mask = torch.ones(1, count, dtype=torch.bool)
    mask[0, :5] = False
    nearest, valid = nearest_sites(sites, mask, (side, side), 3)
    assert bool(grouped) is (count > 96)
    assert bool(valid.all())
    assert int(nearest.min()) >= 5
    middles = torch.arange(side // 4) * 4 + 1.5
    centre = torch.stack(torch.meshgrid(middles, middles, indexing="ij"), -1).reshape(-1, 2)
    expected = (torch.cdist(centre, sites[0, 5:]) * 0.2).sort(dim=1).values[:, :3]
    found = sites[0, nearest[0].permute(1, 2, 0).reshape(-1, 3)]
    assert_close((found - centre[:, None]).norm(dim=-1) * 0.2, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("absent", [False, True])
def test_prediction_is_the_network_itself(
    network: StructurePromptedNet, image: torch.Tensor, absent: bool
) -> None:
    """The form that predicts leaves out what nothing depends on; training does not."""
    asked = StructurePrompt.absent() if absent else prompt()
    with torch.inference_mode():
        answers = network(image, asked), network.folded()(image, asked)
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    trained = network(image, asked)
    network.eval()
    for answer in answers:
        assert_close(answer.heat, trained.heat, atol=1e-5, rtol=1e-5)
        assert_close(answer.offset, trained.offset, atol=1e-5, rtol=1e-5)
        assert_close(answer.decoded, trained.decoded, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("absent", [False, True])
def test_the_maps_are_what_the_heads_say(
    network: StructurePromptedNet, image: torch.Tensor, absent: bool
) -> None:
    asked = StructurePrompt.absent() if absent else prompt()
    with torch.no_grad():
        said = network(image, asked)
        maps, column = network.maps(network.image_features(normalised(image), asked), asked)
    expected = torch.cat([said.heat.sigmoid(), said.offset, said.log_variance.exp()], dim=1)
    assert_close(maps, expected, atol=1e-6, rtol=1e-5)
    assert (column is None) is absent
    if column is not None:
        every_pixel = torch.cartesian_prod(*(torch.arange(n) for n in image.shape[-2:]))
        with torch.no_grad():
            likely = said.features_at(every_pixel.expand(len(image), -1, -1)) @ said.tokens.transpose(1, 2)
        chosen = likely.gather(2, column.long().flatten(1)[..., None])[..., 0]
        assert_close(chosen, likely.amax(dim=2), atol=1e-5, rtol=1e-5)


def test_what_is_folded_is_kept_until_a_weight_changes() -> None:
    network = StructurePromptedNet(NetworkConfig(widths=(8, 16, 16, 32), token_width=32))
    first = network.folded()
    assert network.folded() is first
    assert network.folded(torch.bfloat16) is not first
    again = network.folded()
    with torch.no_grad():
        network.head.weight.mul_(2)
    other = network.folded()
    assert other is not again
    assert_close(other.head.weight, network.head.weight)


def test_the_image_is_seen_before_the_structure(network: StructurePromptedNet, image: torch.Tensor) -> None:
    assert network.sees_image_first
    with torch.inference_mode():
        normal = normalised(image)
        seen = network.image_features(normal, prompt())
        assert torch.equal(seen, network.image_features(normal, StructurePrompt.absent()))
        assert torch.equal(network.fused(seen, prompt()).heat, network(image, prompt()).heat)


def test_weights_survive_the_disk(network: StructurePromptedNet, image: torch.Tensor, tmp_path: Path) -> None:
    save_network(network, tmp_path / "w.safetensors", {"steps": 3})
    loaded, notes = load_network(tmp_path / "w.safetensors")
    assert notes == {"steps": 3}
    with torch.inference_mode():
        assert_close(loaded(image, prompt()).heat, network(image, prompt()).heat, atol=2e-2, rtol=2e-2)


def test_weights_from_before_the_contrast_was_a_part_are_read(
    network: StructurePromptedNet, image: torch.Tensor, tmp_path: Path
) -> None:
    save_network(network, tmp_path / "new.safetensors")
    tensors, metadata = load_tensors(tmp_path / "new.safetensors")
    old = {name.removeprefix("contrast."): tensor for name, tensor in tensors.items()}
    assert {"project_image.weight", "project_structure.bias", "temperature"} <= old.keys()
    save_tensors(old, metadata, tmp_path / "old.safetensors")
    with torch.inference_mode():
        was, now = (
            load_network(tmp_path / f"{name}.safetensors")[0](image, prompt()) for name in ("old", "new")
        )
    assert torch.equal(was.heat, now.heat)
    assert torch.equal(was.image_embedding, now.image_embedding)


@pytest.mark.parametrize("content", [b"", b"not weights", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      "])
def test_damaged_weights_are_said_so(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.safetensors"):
        load_network(path)
