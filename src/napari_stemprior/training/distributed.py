"""Training on several devices at once, through Lightning Fabric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from napari_stemprior.errors import TrainingError
from napari_stemprior.network.devices import resolve_device
from napari_stemprior.training.config import TrainingConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def start_fabric(config: TrainingConfig) -> Fabric | None:
    """Start one process a device; call it once, before anything is trained.

    Returns
    -------
    Fabric or None
        None for a single device, which needs no Fabric.

    Raises
    ------
    TrainingError
        If several devices are asked for and Lightning Fabric is not installed, or there are fewer.
    DeviceError
        If the machine has no such device at all.
    """
    if config.devices == 1:
        return None
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise TrainingError(
            "Training on several devices needs Lightning Fabric: pip install napari-stemprior[train]."
        ) from error
    kind = resolve_device(config.device).type
    if kind == "cuda" and torch.cuda.device_count() < config.devices:
        raise TrainingError(
            f"{config.devices} devices are asked for, this machine has {torch.cuda.device_count()}."
        )
    fabric = Fabric(accelerator=kind, devices=config.devices, strategy="ddp")
    fabric.launch()
    return fabric


def share_gradients(fabric: Fabric, network: nn.Module) -> None:
    """Average the gradients of all devices, in one message.

    The network is small, and which of its parts a batch reaches depends on its prompts: that suits one plain
    sum better than a wrapper that watches every part.
    """
    parameters = list(network.parameters())
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters])
    mean = fabric.all_reduce(flat, reduce_op="mean")
    assert isinstance(mean, torch.Tensor)
    for parameter, part in zip(parameters, torch.split(mean, [p.numel() for p in parameters]), strict=True):
        parameter.grad = part.view_as(parameter)
