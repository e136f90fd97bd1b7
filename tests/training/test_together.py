"""Networks that learn from the same scenes learn as they would alone."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from napari_stemprior.commands.main import main
from napari_stemprior.errors import TrainingError
from napari_stemprior.network.checkpoint import load_network, load_tensors
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.progress import drain
from napari_stemprior.structure import StructurePrior
from napari_stemprior.training.config import TrainingConfig
from napari_stemprior.training.structure_bank import library_bank, save_bank
from napari_stemprior.training.together import train_together
from napari_stemprior.training.train import Trainer

TINY = NetworkConfig(widths=(8, 8, 16, 16), token_width=16, embedding_width=8, heads=2)
PLAIN = replace(TINY, self_attention=False, embeddings=False)


@pytest.fixture(scope="module")
def bank() -> list[StructurePrior]:
    return library_bank()[:4]


def settings(steps: int, network: NetworkConfig = TINY, seed: int = 1) -> TrainingConfig:
    return TrainingConfig(
        steps=steps,
        batch=2,
        side=32,
        warmup=2,
        workers=0,
        device="cpu",
        decay=0.0,
        seed=seed,
        network=network,
    )


def same(one: Path, other: Path) -> bool:
    tensors, others = (load_tensors(folder / "state.safetensors")[0] for folder in (one, other))
    return tensors.keys() == others.keys() and all(torch.equal(t, others[n]) for n, t in tensors.items())


def test_each_learns_what_it_learns_alone(bank: list[StructurePrior], tmp_path: Path) -> None:
    configs = {"tiny": settings(4), "plain": settings(3, PLAIN)}
    for name, config in configs.items():
        drain(Trainer(config, tmp_path / "alone" / name, bank).run())
    both = [Trainer(config, tmp_path / "both" / name, bank) for name, config in configs.items()]
    weights = drain(train_together(both))
    assert weights == [tmp_path / "both" / name / "weights.safetensors" for name in configs]
    assert [trainer.step for trainer in both] == [4, 3]
    assert all(same(tmp_path / "alone" / name, tmp_path / "both" / name) for name in configs)


def test_one_that_was_saved_earlier_catches_up(bank: list[StructurePrior], tmp_path: Path) -> None:
    drain(Trainer(settings(4), tmp_path / "whole", bank).run())
    drain(Trainer(settings(3), tmp_path / "ahead", bank).run())
    drain(Trainer(settings(1), tmp_path / "behind", bank).run())
    drain(train_together([Trainer(settings(4), tmp_path / name, bank) for name in ("ahead", "behind")]))
    assert same(tmp_path / "whole", tmp_path / "ahead")
    assert same(tmp_path / "whole", tmp_path / "behind")


def test_one_may_begin_later_and_from_other_weights(
    bank: list[StructurePrior], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    first = Trainer(settings(2), tmp_path / "first", bank)
    later = Trainer(settings(2), tmp_path / "later", bank, first_batch=3, weights_seed=9)
    steps = []
    for _ in train_together([first, later]):
        steps.append((first.step, later.step))
        clock[0] += 10.0
    assert steps == [(1, 0), (2, 0), (2, 0), (2, 1), (2, 2)]
    assert not same(tmp_path / "first", tmp_path / "later")
    assert first.seconds == later.seconds == 10.0  # to wait for its turn is no training


def test_a_stop_saves_all(bank: list[StructurePrior], tmp_path: Path) -> None:
    trainers = [Trainer(settings(9), tmp_path / name, bank) for name in ("a", "b")]
    work = train_together(trainers)
    next(work)
    next(work)
    work.close()
    assert [Trainer(settings(9), tmp_path / name, bank).step for name in ("a", "b")] == [2, 2]


@pytest.mark.parametrize("change", [{"seed": 2}, {"batch": 3}, {"negatives": 1}, {"recorded": 0.1}])
def test_other_scenes_are_refused(change: dict, bank: list[StructurePrior], tmp_path: Path) -> None:
    other = replace(settings(2), **change)
    with pytest.raises(TrainingError, match="the same scenes"):
        drain(
            train_together([Trainer(settings(2), tmp_path / "a", bank), Trainer(other, tmp_path / "b", bank)])
        )


TOML = """
[training]
steps = 2
batch = 2
side = 32
[network]
widths = [8, 8, 16, 16]
token_width = 16
heads = 2
"""


def test_the_command_trains_several(bank: list[StructurePrior], tmp_path: Path) -> None:
    save_bank(bank, tmp_path / "bank.npz")
    (tmp_path / "one.toml").write_text(TOML)
    (tmp_path / "two.toml").write_text(TOML + "self_attention = false\n")
    words = [
        "train",
        "--bank",
        tmp_path / "bank.npz",
        "--workers",
        0,
        "--device",
        "cpu",
        "-o",
        tmp_path / "runs",
    ]
    assert main([str(w) for w in (*words, "--config", tmp_path / "one.toml", tmp_path / "two.toml")]) == 0
    found = [load_network(tmp_path / "runs" / name / "weights.safetensors")[0] for name in ("one", "two")]
    assert [network.config.self_attention for network in found] == [True, False]


def test_two_configurations_of_one_name_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a").mkdir()
    for place in (tmp_path, tmp_path / "a"):
        (place / "one.toml").write_text(TOML)
    words = ["train", "-o", tmp_path / "runs", "--config", tmp_path / "one.toml", tmp_path / "a" / "one.toml"]
    assert main([str(w) for w in words]) == 2
    assert "Two configurations are called one; rename one." in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
