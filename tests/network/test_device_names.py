"""Devices by name: what the machine has not is refused."""

import pytest
import torch

from napari_stemprior.errors import DeviceError
from napari_stemprior.network.devices import available_devices, resolve_device


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch):
    def set_count(cuda: int, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return set_count


@pytest.mark.parametrize(
    "name", ["cuda:7", "cuda:2", "cuda:256", "cuda:-1", "cuda:", "cpu:1", "mps", "toaster", ""]
)
def test_what_is_not_there_is_refused_in_one_sentence(gpus, name: str) -> None:
    gpus(2)
    with pytest.raises(DeviceError) as refused:
        resolve_device(name)
    assert str(refused.value) == (
        f"This machine has no device {name!r}; choose one of auto, cpu, cuda:0, cuda:1."
    )


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7", "mps"])
def test_without_a_gpu_there_is_the_cpu(gpus, name: str) -> None:
    gpus(0)
    with pytest.raises(DeviceError, match=f"no device '{name}'; choose one of auto, cpu\\."):
        resolve_device(name)
    assert available_devices() == ["cpu"]
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")


def test_what_is_there_is_taken(gpus) -> None:
    gpus(2)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")
    assert [resolve_device(f"cuda:{n}").index for n in (0, 1)] == [0, 1]
    gpus(0, mps=True)
    assert resolve_device("auto") == torch.device("mps")
    assert resolve_device("mps:0") == torch.device("mps:0")
