"""What is to be learned, and that a step asks the device for nothing, for which a GPU would have to wait."""

import math
import traceback
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from napari_stemprior.network import fusion
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.stemprior_net import NetworkOutput, StructurePromptedNet
from napari_stemprior.training.examples import Example, collate, make_example
from napari_stemprior.training.losses import losses
from napari_stemprior.training.structure_bank import library_bank

TINY = NetworkConfig(widths=(8, 8, 16, 16), token_width=16, embedding_width=8, heads=2)


@pytest.fixture(scope="module")
def example() -> Example:
    bank = library_bank()[:6]
    return collate([make_example(np.random.default_rng(i), bank, 64, negatives=1) for i in range(4)])


@pytest.fixture(scope="module")
def output(example: Example) -> NetworkOutput:
    torch.manual_seed(0)
    network = StructurePromptedNet(TINY).train()
    found = network(example.image, example.prompt)
    assert example.negatives is not None
    found.negative_embedding = network.structure_embedding(example.negatives).reshape(4, 1, -1)
    return found


def test_an_image_is_told_from_structures_that_others_show(output: NetworkOutput, example: Example) -> None:
    chosen = torch.tensor([True, False, True, True])
    found = float(losses(output, replace(example, matched=chosen))["contrast"].detach())
    image, structure = output.image_embedding, output.structure_embedding
    hard = output.negative_embedding
    assert image is not None
    assert structure is not None
    assert hard is not None
    logits = image[chosen] @ structure[chosen].T
    both = torch.cat([logits, image[chosen] @ hard[chosen].flatten(0, 1).T], dim=1)
    label = torch.arange(3)
    cross = torch.nn.functional.cross_entropy
    expected = 0.5 * (cross(both, label) + cross(logits.T, label))
    assert found == pytest.approx(float(expected.detach()), rel=1e-5)
    alone = torch.tensor([False, False, True, False])
    assert float(losses(output, replace(example, matched=alone))["contrast"].detach()) == 0


def test_what_nobody_knows_is_not_learned(output: NetworkOutput, example: Example) -> None:
    unknown = replace(
        example,
        heat=torch.full_like(example.heat, math.nan),
        offset=torch.full_like(example.offset, math.nan),
        column_token=torch.full_like(example.column_token, -1),
        matched=torch.zeros_like(example.matched),
    )
    parts = losses(output, unknown)
    assert {name: float(value.detach()) for name, value in parts.items()} == dict.fromkeys(parts, 0.0)
    half = replace(example, column_token=example.column_token.clone())
    half.column_token[::2] = -2
    some = example.column_token[1::2] >= 0
    assert bool(some.any())
    assert float(losses(output, half)["site"].detach()) > 0


class Questions(TorchDispatchMode):
    """Notes who asks the device for a number or for places, other than the library itself."""

    ASKED = ("_local_scalar_dense", "nonzero", "masked_select")

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        picks = args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ()
        by_truth = any(isinstance(t, torch.Tensor) and t.dtype == torch.bool for t in picks)
        name = func.__name__.split(".")[0]
        if name in self.ASKED or (name.startswith("index") and by_truth):
            own = [frame for frame in traceback.extract_stack() if "napari_stemprior" in frame.filename]
            self.asked.append(f"{own[-1].filename}:{own[-1].lineno}" if own else "torch")
        return func(*args, **(kwargs or {}))


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find nearest sites as a GPU does that trains: a CPU first looks at a few candidates."""
    monkeypatch.setattr(fusion, "_CANDIDATES", ())


@pytest.mark.usefixtures("as_on_a_gpu")
def test_a_step_asks_the_device_for_nothing(example: Example) -> None:
    network = StructurePromptedNet(TINY).train()
    with Questions() as questions:
        found = network(example.image, example.prompt)
        losses(found, example)["total"].backward()
    assert not questions.asked
    with Questions() as questions:
        _ = bool(found.heat.isfinite().any()), found.heat[found.heat > 0].sum()
    assert len(questions.asked) == 2, "the test sees such questions"
