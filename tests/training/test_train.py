"""Training learns, stops and goes on."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_stemprior.errors import ModelError, TrainingError
from napari_stemprior.network.checkpoint import load_network, load_tensors, save_network, save_tensors
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.progress import drain
from napari_stemprior.structure import StructurePrior
from napari_stemprior.training.config import TrainingConfig, read_config
from napari_stemprior.training.examples import ExampleStream, collate, make_example
from napari_stemprior.training.loss_log import forget_after
from napari_stemprior.training.prompt_sampling import PromptOdds
from napari_stemprior.training.run_state import RunState
from napari_stemprior.training.structure_bank import library_bank
from napari_stemprior.training.train import Trainer

TINY = NetworkConfig(widths=(8, 8, 16, 16), token_width=16, embedding_width=8, heads=2)


@pytest.fixture(scope="module")
def bank() -> list[StructurePrior]:
    return library_bank()[:4]


def settings(steps: int, network: NetworkConfig = TINY) -> TrainingConfig:
    return TrainingConfig(
        steps=steps, batch=2, side=32, warmup=2, workers=0, device="cpu", decay=0.0, network=network
    )


def test_a_resumed_run_is_the_same_run(bank: list[StructurePrior], tmp_path: Path) -> None:
    drain(Trainer(settings(4), tmp_path / "whole", bank).run())
    drain(Trainer(settings(2), tmp_path / "parts", bank).run())
    second = Trainer(settings(4), tmp_path / "parts", bank)
    assert second.step == 2
    drain(second.run())
    _, notes = load_network(tmp_path / "parts" / "weights.safetensors")
    assert notes["samples"] == 8
    (whole, _), (parts, _) = (load_tensors(tmp_path / n / "state.safetensors") for n in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, parts[name]), name


def test_a_state_of_another_version_is_refused(bank: list[StructurePrior], tmp_path: Path) -> None:
    drain(Trainer(settings(1), tmp_path, bank).run())
    tensors, metadata = load_tensors(tmp_path / "state.safetensors")
    del tensors["average.n_averaged"]
    save_tensors(tensors, metadata, tmp_path / "state.safetensors")
    with pytest.raises(TrainingError, match="another version; begin it anew"):
        Trainer(settings(2), tmp_path, bank)


def test_the_first_steps_are_soon_forgotten() -> None:
    network = torch.nn.Linear(1, 1, bias=False)
    state = RunState(network, 0.0, lambda step: 1.0, weight_decay=0.0, ema_decay=0.9)
    expected = 0.0
    for step in range(30):
        with torch.no_grad():
            network.weight.fill_(float(step))
        state.learn(network(torch.zeros(1, 1)).sum())
        kept = min(0.9, (1 + step) / (10 + step)) if step else 0.0
        expected = kept * expected + (1 - kept) * step
        assert state.averaged.weight.item() == pytest.approx(expected, abs=1e-5)


def test_the_loss_falls_on_one_batch(bank: list[StructurePrior], tmp_path: Path) -> None:
    trainer = Trainer(settings(60), tmp_path, bank)
    batch = collate([make_example(np.random.default_rng(i), bank, 32) for i in range(2)])
    losses = []
    for _ in range(60):
        losses.append(float(trainer._one_step(batch)["heat"].detach()))
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_the_log_is_a_table(bank: list[StructurePrior], tmp_path: Path) -> None:
    drain(Trainer(settings(4), tmp_path, bank).run(report_every=2))
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert all(float(row["total"]) > 0 for row in rows)


def test_a_run_of_another_network_is_not_resumed(bank: list[StructurePrior], tmp_path: Path) -> None:
    drain(Trainer(settings(1), tmp_path, bank).run())
    with pytest.raises(TrainingError, match="other sizes"):
        Trainer(settings(2, replace(TINY, widths=(8, 8, 16, 32))), tmp_path, bank)


def test_rate_warms_up_and_decays() -> None:
    config = TrainingConfig(steps=1000, warmup=10, decay=0.3, learning_rate=1.0)
    rates = [config.learning_rate * config.rate_factor(s) for s in (0, 9, 500, 850, 999)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[1] == rates[2] == 1.0
    assert rates[3] == pytest.approx(0.5)
    assert rates[4] < 0.03


def test_the_shipped_configuration_leaves_out_what_brings_nothing() -> None:
    config = read_config("small")
    assert config.network == NetworkConfig(self_attention=False, embeddings=False)
    assert config.steps > 1000


def test_a_part_that_is_left_out_has_no_weights() -> None:
    whole = set(StructurePromptedNet(NetworkConfig()).state_dict())
    parts = {
        "self_attention": "self_attention.",
        "cell_attention": "cell_attention.",
        "site_attention": "site_",
        "embeddings": "contrast.",
    }
    for switch, prefix in parts.items():
        left = set(StructurePromptedNet(NetworkConfig(**{switch: False})).state_dict())
        assert left < whole
        assert not any(name.startswith(prefix) for name in left)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[training]\nstepz = 3", r"\[training\] has no field 'stepz'"),
        ("[training]\nside = 50", "multiple of 8"),
        ("[training]\nsteps = 'many'", "must be a whole number"),
        ("[training]\nsteps = 0", "at least 1"),
        ("[network]\nself_attention = 1", "must be true or false"),
        ("[optimiser]\nname = 'x'", r"unknown section \[optimiser\]"),
        ("training = 3", "must be a section"),
        ("[training]\nsteps = 2.5", "steps must be a whole number, not 2.5"),
        ("[training]\nlearning_rate = nan", "learning_rate is nan"),
        ("[training]\nlearning_rate = -1", "above 0"),
        ("[training]\nseed = -1", "must not be negative"),
        ("[training]\nside = 1000000000", "from 32 to"),
        ("[network]\nwidths = [16, 40]", "widths must be 4 numbers"),
        ("[network]\nwidths = 16", "a list of whole numbers"),
        ("[network]\nheads = 0", "heads must be whole numbers from 1"),
        ("[losses]\nheat = inf", "finite"),
        ("[prompts]\nmatched = -1", "odds"),
        ("steps = = 3", "not a TOML file"),
        (f"steps = {'1' * 5000}", "not a TOML file"),
        (f"steps = {'[' * 100_000}", "not a TOML file"),
    ],
)
def test_a_bad_configuration_is_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(TrainingError, match=message):
        read_config(path)


def test_a_missing_configuration_names_those_that_ship(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"one of: \w.*\bsmall\b"):
        read_config(tmp_path / "nowhere.toml")


def test_a_scene_does_not_depend_on_the_prompts(bank: list[StructurePrior]) -> None:
    streams = [ExampleStream(bank, 32, 3, 7, odds=odds) for odds in (None, PromptOdds(0, 0, 1, 0, 0))]
    first, second = (next(iter(stream)) for stream in streams)
    torch.testing.assert_close(first.image, second.image)
    assert not second.prompt.present.any()


def test_each_device_sees_its_own_scenes(bank: list[StructurePrior]) -> None:
    first, second = (next(iter(ExampleStream(bank, 32, 1, 7, rank=rank))) for rank in (0, 1))
    assert not torch.equal(first.image, second.image)


@pytest.mark.parametrize("steps", [2, 4], ids=["stale", "missing"])
def test_weights_that_are_not_those_of_the_state_are_written_again(bank, tmp_path, steps):
    """As after a kill between the two, or where a person took them away."""
    path = drain(Trainer(settings(4), tmp_path, bank).run(save_every=2))
    whole = path.read_bytes()
    if steps == 4:
        path.unlink()
    else:
        drain(Trainer(settings(2), tmp_path / "shorter", bank).run()).replace(path)
    assert drain(Trainer(settings(4), tmp_path, bank).run()) == path
    again, _ = load_network(path)
    path.write_bytes(whole)
    first, _ = load_network(path)
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor)


def test_a_run_that_is_stopped_saves_where_it_is(bank, tmp_path):
    work = Trainer(settings(9), tmp_path, bank).run()
    for _ in range(3):
        next(work)
    work.close()
    assert Trainer(settings(9), tmp_path, bank).step == 3


@pytest.mark.parametrize("text", ["", "step,x\n\xffa,b\n"])
def test_a_damaged_log_is_told(bank, tmp_path, text):
    drain(Trainer(settings(1), tmp_path, bank).run())
    (tmp_path / "log.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(TrainingError, match=r"log\.csv"):
        drain(Trainer(settings(2), tmp_path, bank).run())


def test_a_row_of_the_log_that_was_cut_off_is_dropped(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("step,total\n1,0.5\n\nmany,1\n2")
    forget_after(path, 5)
    assert path.read_text().split() == ["step,total", "1,0.5"]


def test_weights_that_are_not_finite_are_refused(bank, tmp_path):
    path = drain(Trainer(settings(1), tmp_path, bank).run())
    network, _ = load_network(path)
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] = float("nan")
    save_network(network, path)
    with pytest.raises(ModelError, match="not finite"):
        load_network(path)


def test_numbers_beyond_half_precision_are_kept(tmp_path: Path) -> None:
    network = StructurePromptedNet(TINY).eval()
    network.up2.norm_first.running_var[0] = 3e5
    save_network(network, tmp_path / "w.safetensors")
    again, _ = load_network(tmp_path / "w.safetensors")
    assert again.up2.norm_first.running_var[0] == 3e5
    assert load_tensors(tmp_path / "w.safetensors")[0]["head.weight"].dtype == torch.float16


def test_a_network_that_was_loaded_under_inference_mode_predicts() -> None:
    with torch.inference_mode():
        network = StructurePromptedNet(TINY).eval()
        assert network.folded() is network.folded()
