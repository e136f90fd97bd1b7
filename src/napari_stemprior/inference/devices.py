"""Compute devices by name."""

from __future__ import annotations

import torch

from napari_stemprior.errors import DeviceError

#: Names that a person may give.
DEVICES = ("auto", "cpu", "cuda", "mps")


def available_devices() -> list[str]:
    """List the device names that work on this machine, ``auto`` first."""
    found = ["auto", "cpu"]
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def resolve_device(name: str) -> torch.device:
    """Return the torch device of a name; ``auto`` takes the fastest there is.

    Raises
    ------
    DeviceError
        If the name is unknown or the machine has no such device.
    """
    found = available_devices()
    if name == "auto":
        return torch.device(found[-1] if len(found) > 2 else "cpu")
    kind = name.split(":")[0]
    if kind not in DEVICES:
        raise DeviceError(f"There is no device {name!r}; choose one of {', '.join(DEVICES)}.")
    if kind not in found:
        raise DeviceError(f"This machine has no {kind} device; choose one of {', '.join(found)}.")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"There is no device {name!r}; choose one of {', '.join(found)}.") from error
