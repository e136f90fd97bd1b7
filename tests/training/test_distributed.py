"""Training on several devices."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from napari_stemprior.errors import DeviceError, TrainingError
from napari_stemprior.network.checkpoint import load_network
from napari_stemprior.network.devices import resolve_device
from napari_stemprior.training.config import TrainingConfig
from napari_stemprior.training.distributed import share_gradients, start_fabric
from napari_stemprior.training.train import Trainer


class FakeFabric:
    """Two devices, of which the other one has no gradient at all."""

    def all_reduce(self, data: torch.Tensor, reduce_op: str) -> torch.Tensor:
        assert reduce_op == "mean"
        return data / 2


def test_gradients_are_averaged_and_parts_that_were_not_reached_get_some() -> None:
    network = nn.ModuleDict({"used": nn.Linear(2, 3), "unused": nn.Linear(4, 1)})
    network["used"](torch.ones(1, 2)).sum().backward()
    before = network["used"].weight.grad.clone()
    share_gradients(FakeFabric(), network)
    torch.testing.assert_close(network["used"].weight.grad, before / 2)
    torch.testing.assert_close(network["unused"].weight.grad, torch.zeros(1, 4))


def test_training_takes_no_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert resolve_device(TrainingConfig().device) == torch.device("cuda")
    with pytest.raises(DeviceError, match="no device 'cuda:7'"):
        Trainer(TrainingConfig(device="cuda:7"), tmp_path, [])
    with pytest.raises(DeviceError, match="no device 'cuda:7'"):
        start_fabric(TrainingConfig(device="cuda:7", devices=2))


def test_one_device_needs_no_fabric() -> None:
    assert start_fabric(TrainingConfig(device="cpu")) is None


def test_without_fabric_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(TrainingError, match=r"pip install napari-stemprior\[train\]"):
        start_fabric(TrainingConfig(device="cpu", devices=2))


@pytest.mark.slow
def test_two_processes_train_one_network(tmp_path: Path) -> None:
    pytest.importorskip("lightning_fabric")
    config = tmp_path / "tiny.toml"
    config.write_text(
        "[training]\nsteps = 2\nbatch = 2\nside = 32\nworkers = 0\ndevices = 2\ndevice = 'cpu'\n"
        "[network]\nwidths = [8, 8, 16, 16]\ntoken_width = 16\nembedding_width = 8\nheads = 2\n"
    )
    command = [sys.executable, "-m", "napari_stemprior", "train", "--config", str(config), "-o"]
    done = subprocess.run(
        [*command, str(tmp_path / "run")], capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    _, notes = load_network(tmp_path / "run" / "weights.safetensors")
    assert notes["devices"] == 2
    assert notes["samples"] == 8
    assert json.loads((tmp_path / "run" / "config.json").read_text())["devices"] == 2
