"""Compute devices by name, and the number format in which each is fast."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_stemprior.errors import DeviceError

#: What a person may ask for: the faster one that the device is good at, or one of them.
PRECISIONS = ("auto", "float32", "bfloat16")
#: NVIDIA's compute capability from which on bfloat16 has units of its own (A100, RTX 30).
_BFLOAT16_CAPABILITY = 8


def available_devices() -> list[str]:
    """List the devices of this machine, each GPU of CUDA with its number, ``cpu`` first."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found += [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def resolve_device(name: str) -> torch.device:
    """Return the torch device of a name.

    Parameters
    ----------
    name : str
        ``cpu``, ``cuda``, ``mps``, one of them with its number such as ``cuda:1``, or ``auto`` for the
        fastest there is.

    Raises
    ------
    DeviceError
        If the machine has no such device.
    """
    found = available_devices()
    kinds = list(dict.fromkeys(device.split(":")[0] for device in found))
    if name == "auto":
        return torch.device(kinds[-1])
    # torch itself takes any number, whether there is such a device or not
    if name not in {*found, *kinds, *(f"{kind}:0" for kind in kinds)}:
        raise DeviceError(f"This machine has no device {name!r}; choose one of auto, {', '.join(found)}.")
    return torch.device(name)


def exact_dtype(device: torch.device) -> torch.dtype:
    """Return the format in which sums of many pixels are taken: float64 where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def fast_in_bfloat16(device: torch.device) -> bool:
    """Tell whether a device has instructions of its own for matrices in bfloat16.

    Of CPUs those with AMX or AVX-512 BF16 (Intel from 2020, AMD from 2022), of GPUs NVIDIA's of compute
    capability 8 and above. Other devices imitate bfloat16, which takes longer than float32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= _BFLOAT16_CAPABILITY
    return device.type == "cpu" and _cpu_has_bfloat16()


def _cpu_has_bfloat16() -> bool:
    ask = getattr(torch.cpu, "get_capabilities", None)  # of newer torch
    if ask is not None:
        told = ask()
        return bool(told.get("amx_bf16") or told.get("avx512_bf16"))
    ask = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # of older ones
    return bool(ask is not None and ask())


def resolve_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the number format of the network's layers on a device.

    Parameters
    ----------
    name : str
        ``float32``, ``bfloat16``, or ``auto`` for bfloat16 where the device is fast in it and float32
        elsewhere.
    device : torch.device

    Raises
    ------
    DeviceError
        If there is no such precision.
    """
    if name not in PRECISIONS:
        raise DeviceError(f"There is no precision {name!r}; choose one of {', '.join(PRECISIONS)}.")
    if name == "auto":
        return torch.bfloat16 if fast_in_bfloat16(device) else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def sent(value: Tensor, device: torch.device | str) -> Tensor:
    """Send a tensor to a device.

    What goes to a GPU goes by way of memory that it reads by itself, so that neither waits for the other.
    """
    if torch.device(device).type == "cuda" and value.device.type == "cpu":
        return value.pin_memory().to(device, non_blocking=True)
    return value.to(device)
