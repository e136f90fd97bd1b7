"""In which number format a network runs: bfloat16 where the device has instructions for it."""

import pytest
import torch

from napari_stemprior.errors import DeviceError
from napari_stemprior.network.devices import fast_in_bfloat16, resolve_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("told", "fast"),
    [
        ({"amx_bf16": True, "avx512_bf16": False}, True),
        ({"amx_bf16": False, "avx512_bf16": True}, True),
        ({"avx512_bf16": False, "avx512_f": True}, False),
        ({"architecture": "aarch64"}, False),
    ],
)
def test_a_cpu_is_asked_for_its_instructions(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, object], fast: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    assert fast_in_bfloat16(CPU) is fast
    assert resolve_precision("auto", CPU) is (torch.bfloat16 if fast else torch.float32)


def test_an_older_torch_is_asked_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for answer in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda told=answer: told, raising=False)
        assert fast_in_bfloat16(CPU) is answer
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert not fast_in_bfloat16(CPU)


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_a_gpu_is_asked_for_its_generation(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], fast: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert fast_in_bfloat16(torch.device("cuda:0")) is fast


def test_the_gpu_of_a_mac_stays_in_float32() -> None:
    assert resolve_precision("auto", torch.device("mps")) is torch.float32


def test_what_a_person_asks_for_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    assert resolve_precision("bfloat16", CPU) is torch.bfloat16
    assert resolve_precision("float32", CPU) is torch.float32
    with pytest.raises(DeviceError) as refused:
        resolve_precision("float16", CPU)
    assert str(refused.value) == ("There is no precision 'float16'; choose one of auto, float32, bfloat16.")
