"""A recorded step learns what a step learns that is taken as it comes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.structure import StructurePrior
from napari_stemprior.training import cuda_graph
from napari_stemprior.training.config import TrainingConfig
from napari_stemprior.training.cuda_graph import StaticExample, StaticExamples, padded
from napari_stemprior.training.examples import Example, collate, make_example
from napari_stemprior.training.losses import losses
from napari_stemprior.training.prompt_sampling import PromptKind
from napari_stemprior.training.run_state import RunState
from napari_stemprior.training.structure_bank import library_bank
from napari_stemprior.training.train import Trainer

TINY = NetworkConfig(widths=(8, 8, 16, 16), token_width=16, embedding_width=8, heads=2)


@pytest.fixture(scope="module")
def bank() -> list[StructurePrior]:
    return library_bank()[:6]


@pytest.fixture(scope="module")
def examples(bank: list[StructurePrior]) -> list[Example]:
    def drawn(seed: int) -> Example:
        rng = np.random.default_rng(seed)
        return make_example(rng, bank, 64, list(PromptKind)[seed % len(PromptKind)], negatives=1)

    return [collate([drawn(3 * first + i) for i in range(3)]) for first in range(4)]


def learned(example: Example) -> tuple[dict[str, float], torch.Tensor]:
    """Return the losses of a network and the gradient of its weights."""
    torch.manual_seed(0)
    network = StructurePromptedNet(replace(TINY, modulation=True, surroundings=True)).train()
    output = network(example.image, example.prompt)
    assert example.negatives is not None
    embedded = network.structure_embedding(example.negatives)
    output.negative_embedding = embedded.reshape(len(example.image), -1, embedded.shape[-1])
    parts = losses(output, example)
    parts["total"].backward()  # type: ignore[no-untyped-call]
    gradient = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    return {name: value.item() for name, value in parts.items()}, gradient


def test_padding_teaches_nothing(examples: list[Example]) -> None:
    for example in examples:
        longer = padded(example)
        assert longer is not None
        assert longer.columns.shape[1] > example.columns.shape[1]
        plain, gradient = learned(example)
        parts, same = learned(longer)
        assert parts == pytest.approx(plain, rel=1e-4, abs=1e-5)
        assert torch.allclose(same, gradient, rtol=1e-3, atol=1e-4 * gradient.abs().max().item())


def test_the_next_mini_batch_is_written_where_the_last_one_lay(examples: list[Example]) -> None:
    place = StaticExamples(torch.device("cpu"))
    first = place(examples[0])
    at = first.image.data_ptr(), first.prompt.sites.data_ptr(), first.column_token.data_ptr()
    second = place(examples[1])
    assert second is first
    assert isinstance(second, StaticExample)
    assert at == (second.image.data_ptr(), second.prompt.sites.data_ptr(), second.column_token.data_ptr())
    assert torch.equal(second.image, examples[1].image)
    there = examples[1].columns.shape[1]
    assert torch.equal(second.columns[:, :there], examples[1].columns)
    assert (second.column_token[:, there:] == -2).all()
    assert not second.prompt.site_mask[:, examples[1].prompt.sites.shape[1] :].any()
    assert examples[0].image.data_ptr() != at[0]  # what was drawn stays as it was


@pytest.mark.parametrize("limit", ["_COLUMNS", "_TOKENS", "_SITES"])
def test_what_is_too_long_is_not_recorded(
    examples: list[Example], monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(cuda_graph, limit, (1, 2) if limit == "_SITES" else 1)
    found = StaticExamples(torch.device("cpu"))(examples[0])
    assert not isinstance(found, StaticExample)
    assert torch.equal(found.image, examples[0].image)


def test_a_processor_records_nothing() -> None:
    assert StaticExamples.on(torch.device("cpu")) is None


def test_the_rate_of_each_step_is_that_of_the_schedule() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    state = RunState(network, 0.5, lambda step: 1.0 / (1 + step), weight_decay=0.0, ema_decay=0.9)
    before = network.weight.item()
    for step in range(3):
        state.learn(network(torch.ones(1, 1)).sum())
        after = network.weight.item()
        # the first steps of Adam down a constant slope are as long as the rate
        assert before - after == pytest.approx(0.5 / (1 + step), rel=1e-4)
        before = after


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only a GPU records")
def test_recorded_steps_are_steps(
    bank: list[StructurePrior], examples: list[Example], tmp_path: Path
) -> None:
    config = TrainingConfig(steps=20, batch=3, side=64, warmup=2, device="cuda", network=TINY, negatives=1)
    recorded, plain = (Trainer(config, tmp_path / name, bank) for name in ("recorded", "plain"))
    place = StaticExamples(recorded.device)
    for number in range(12):
        example = examples[number % len(examples)]
        one = recorded._one_step(place(example))["total"].item()
        two = plain._one_step(example.to(plain.device))["total"].item()
        assert one == pytest.approx(two, rel=0.02)
    assert recorded.step == plain.step == 12
