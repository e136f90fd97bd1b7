"""What the network is asked to get right."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_stemprior.errors import TrainingError
from napari_stemprior.network.stemprior_net import NetworkOutput
from napari_stemprior.training.examples import Example

#: Logit of what is left out.
_NEVER = -1e4


@dataclass(frozen=True)
class LossWeights:
    """Weight of each part in the sum.

    Parameters
    ----------
    heat, hidden : float
        Column maps of the entrance layer and of the layers below.
    offset : float
        Sub-pixel position with its variance.
    site : float
        Contrast of a column with the tokens of the cell.
    contrast : float
        Contrast of whole images with whole structures; nothing in a network without embeddings.
    """

    heat: float = 1.0
    hidden: float = 1.0
    offset: float = 0.02
    site: float = 0.02
    contrast: float = 0.02

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value >= 0 for value in vars(self).values()):
            raise TrainingError("The weights of the losses must be finite and not negative.")


def losses(output: NetworkOutput, example: Example, weights: LossWeights | None = None) -> dict[str, Tensor]:
    """Return every part of the loss and, as ``total``, their weighted sum.

    Heat maps are learned by cross-entropy against the blurred truth, whose minimum is the
    probability itself: that is what calibrates `confidence`. Where the target is NaN nobody looked, and
    nothing is learned there.
    """
    heat = _heat(output.heat[:, 0], example.heat[:, 0]) * 10
    hidden = _heat(output.heat[:, 1], example.heat[:, 1]) * 10
    parts = {
        "heat": heat,
        "hidden": hidden,
        "offset": _offset(output, example),
        "site": _site(output, example),
        "contrast": _contrast(output, example),
    }
    weight = asdict(weights or LossWeights())
    parts["total"] = sum((weight[name] * value for name, value in parts.items()), torch.zeros_like(heat))
    return parts


def _heat(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy where the target is known: the mean over each image, then over those with any."""
    known = torch.isfinite(target)
    each = F.binary_cross_entropy_with_logits(logits, torch.nan_to_num(target), reduction="none")
    count = known.sum(dim=(1, 2))
    means = each.masked_fill(~known, 0.0).sum(dim=(1, 2)) / count.clamp(min=1)
    return means.sum() / (count > 0).sum().clamp(min=1)


def _offset(output: NetworkOutput, example: Example) -> Tensor:
    """Negative log-likelihood of a normal error, with its own variance."""
    known = torch.isfinite(example.offset[:, :1])
    error2 = ((output.offset - torch.nan_to_num(example.offset)) ** 2).sum(1, keepdim=True)
    likelihood = 0.5 * error2 * torch.exp(-output.log_variance) + output.log_variance
    return _mean(likelihood, known)


def _site(output: NetworkOutput, example: Example) -> Tensor:
    """Contrast per column: the pixel's feature against every token of the cell."""
    usable = example.column_token >= 0
    place = example.columns.masked_fill(~usable[..., None], 0.0).round().long()
    logits = output.features_at(place) @ output.tokens.float().transpose(1, 2)
    logits = logits.masked_fill(~output.token_mask[:, None], _NEVER)
    label = example.column_token.clamp(min=0)
    each = F.cross_entropy(logits.flatten(0, 1), label.flatten(), reduction="none")
    return _mean(each, usable.flatten())


def _contrast(output: NetworkOutput, example: Example) -> Tensor:
    """Contrast of whole images and structures, both ways (Radford et al., arXiv:2103.00020).

    An image is told from the structures of the other images in the batch, from its own hard negatives
    (`training.prompt_sampling.hard_negative`) and from those of the others.
    """
    image, structure, chosen = output.image_embedding, output.structure_embedding, example.matched
    if image is None or structure is None:
        return output.heat.sum() * 0
    logits = (image @ structure.T).masked_fill(~chosen, _NEVER)
    label = torch.arange(len(logits), device=logits.device)
    backwards = F.cross_entropy((structure @ image.T).masked_fill(~chosen, _NEVER), label, reduction="none")
    if output.negative_embedding is not None:
        hard = output.negative_embedding
        others = chosen[:, None].expand(hard.shape[:2]).flatten()
        logits = torch.cat([logits, (image @ hard.flatten(0, 1).T).masked_fill(~others, _NEVER)], dim=1)
    each = F.cross_entropy(logits, label, reduction="none") + backwards
    # one pair alone is told from nothing
    return 0.5 * _mean(each, chosen) * (chosen.sum() > 1)


def _mean(values: Tensor, known: Tensor) -> Tensor:
    """Return the mean of what is known, 0 where nothing is; to pick it out would make a GPU wait."""
    return values.masked_fill(~known, 0.0).sum() / known.sum().clamp(min=1)
