"""Fine-tuning learns, distils the parent, stops and goes on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from test_augmentation import TINY, left_half, make_view

from napari_stemprior.adaptation.finetune import FinetuneConfig, FineTuner
from napari_stemprior.errors import TrainingError
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.progress import drain
from napari_stemprior.training.structure_bank import library_bank

CONFIG = FinetuneConfig(steps=6, batch=2, side=32, learning_rate=1e-3)


@pytest.fixture(scope="module")
def bank():
    return library_bank()[:3]


def parent():
    torch.manual_seed(4)
    return StructurePromptedNet(TINY).eval()


def weights(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def test_a_resumed_run_is_the_straight_run(bank, tmp_path: Path):
    straight = drain(FineTuner(parent(), [make_view()], bank, CONFIG).run())
    state = tmp_path / "state.safetensors"
    first = FineTuner(parent(), [make_view()], bank, CONFIG, state=state)
    work = first.run()
    for _ in range(3):
        next(work)
    work.close()  # as a person stops it
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]
    second = FineTuner(parent(), [make_view()], bank, CONFIG, state=state, resume=True)
    assert second.step == 3
    resumed = drain(second.run())
    assert len(second.losses) == CONFIG.steps
    for (name, a), b in zip(weights(straight).items(), weights(resumed).values(), strict=True):
        assert torch.equal(a, b), name


def test_another_run_is_not_gone_on_with(bank, tmp_path: Path):
    state = tmp_path / "state.safetensors"
    work = FineTuner(parent(), [make_view()], bank, CONFIG, state=state).run()
    next(work)
    work.close()
    for views, config in (
        ([make_view(1)], CONFIG),
        ([make_view()], FinetuneConfig(steps=7, batch=2, side=32)),
    ):
        with pytest.raises(TrainingError, match="other pairs, settings or another parent"):
            FineTuner(parent(), views, bank, config, state=state, resume=True)


def test_the_statistics_of_the_parent_stay(bank):
    before = weights(parent())
    after = weights(drain(FineTuner(parent(), [make_view()], bank, CONFIG).run()))
    for name, value in before.items():
        if "running" in name:
            torch.testing.assert_close(after[name], value, msg=name)
    assert any(not torch.equal(before[n], after[n]) for n in before if n.endswith("weight"))


def test_the_loss_on_the_pairs_falls(bank):
    config = FinetuneConfig(steps=40, batch=2, side=32, replay=0.0, learning_rate=3e-3)
    tuner = FineTuner(parent(), [make_view()], bank, config)
    drain(tuner.run())
    assert np.mean(tuner.losses[-8:]) < 0.8 * np.mean(tuner.losses[:8])


def test_half_of_a_batch_are_scenes_as_the_parent_knew_them(bank):
    tuner = FineTuner(
        parent(), [make_view(known=left_half())], bank, FinetuneConfig(steps=1, batch=4, side=32)
    )
    examples = tuner.examples(0)
    assert [bool(torch.isnan(e.heat).any()) for e in examples] == [False, False, True, True]
    assert [
        float((e.heat - o.heat).nan_to_num().abs().max())
        for e, o in zip(examples, tuner.examples(0), strict=True)
    ] == [0.0] * 4


def test_minutes_decide_the_steps(bank):
    tuner = FineTuner(parent(), [make_view()], bank, FinetuneConfig(minutes=1e-6, batch=2, side=32))
    drain(tuner.run())
    assert tuner.step == tuner.steps == 8


def test_nothing_reviewed_is_said(bank):
    with pytest.raises(TrainingError, match="No pixel"):
        FineTuner(parent(), [make_view(known=np.zeros((56, 72), bool))], bank, CONFIG)
