"""A network with all that it takes to ask it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from napari_stemprior.inference.calibration import Calibration
from napari_stemprior.inference.tiles import Answer, predict_each
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.progress import Progress


@dataclass(frozen=True, eq=False)
class Predictor:
    """A network, where and in which number format it answers, and how sure its answers are.

    Parameters
    ----------
    network : StructurePromptedNet
        On `device`, in evaluation mode.
    device : torch.device
    precision : torch.dtype
        Of its coarse layers, see `StructurePromptedNet.folded`.
    calibration : Calibration
    """

    network: StructurePromptedNet
    device: torch.device
    precision: torch.dtype
    calibration: Calibration

    def answers(
        self, image: Tensor, prompts: Sequence[StructurePrompt], stage: str
    ) -> Generator[Progress, None, list[Answer]]:
        """Run the network over an image with several prompts; see `predict_each`."""
        asked = (self.network, image, prompts, self.device, stage, self.precision)
        return (yield from predict_each(*asked))
