"""Compute devices by name."""

from __future__ import annotations

import torch

from napari_stemprior.errors import DeviceError


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
