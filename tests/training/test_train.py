"""Training learns, stops and goes on."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_stemprior.errors import TrainingError
from napari_stemprior.network.checkpoint import load_network
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.progress import drain
from napari_stemprior.training.crystals import Crystal, library_crystals
from napari_stemprior.training.examples import collate, make_example
from napari_stemprior.training.train import Trainer, TrainingConfig

TINY = NetworkConfig(widths=(8, 8, 16, 16), token_width=16, embedding_width=8, heads=2)


@pytest.fixture(scope="module")
def bank() -> list[Crystal]:
    return library_crystals()[:4]


def settings(steps: int) -> TrainingConfig:
    return TrainingConfig(steps=steps, batch=2, side=32, warmup=2, workers=0, device="cpu", decay=0.0)


def test_a_resumed_run_is_the_same_run(bank: list[Crystal], tmp_path: Path) -> None:
    drain(Trainer(settings(4), tmp_path / "whole", bank, TINY).run())
    drain(Trainer(settings(2), tmp_path / "parts", bank, TINY).run())
    second = Trainer(settings(4), tmp_path / "parts", bank, TINY)
    assert second.step == 2
    drain(second.run())
    whole, _ = load_network(tmp_path / "whole" / "weights.safetensors")
    parts, notes = load_network(tmp_path / "parts" / "weights.safetensors")
    assert notes["samples"] == 8
    for (name, a), b in zip(whole.state_dict().items(), parts.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=2e-2, msg=name)


def test_the_loss_falls_on_one_batch(bank: list[Crystal], tmp_path: Path) -> None:
    trainer = Trainer(settings(60), tmp_path, bank, TINY)
    batch = collate([make_example(np.random.default_rng(i), bank, 32) for i in range(2)])
    losses = []
    for _ in range(60):
        losses.append(float(trainer._one_step(batch)["heat"].detach()))
        trainer.step += 1
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_the_log_is_a_table(bank: list[Crystal], tmp_path: Path) -> None:
    drain(Trainer(settings(4), tmp_path, bank, TINY).run(report_every=2))
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "4"]
    assert all(float(row["total"]) > 0 for row in rows)


def test_a_run_of_another_network_is_not_resumed(bank: list[Crystal], tmp_path: Path) -> None:
    drain(Trainer(settings(1), tmp_path, bank, TINY).run())
    with pytest.raises(TrainingError, match="other sizes"):
        Trainer(settings(2), tmp_path, bank, NetworkConfig(widths=(8, 8, 16, 32), token_width=16, heads=2))


def test_rate_warms_up_and_decays() -> None:
    config = TrainingConfig(steps=1000, warmup=10, decay=0.3, learning_rate=1.0)
    rates = [config.rate(s) for s in (0, 9, 500, 850, 999)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[1] == rates[2] == 1.0
    assert rates[3] == pytest.approx(0.5)
    assert rates[4] < 0.03
