"""A prior of which nobody knows where it lies: whether to believe it, and what it adds.

Its spacings, kinds and brightness ratios are known. It is believed if the image shows the longest spacing of
each of its layers, in whatever direction, and if the network sees more with it than without: where a prior
is wrong the network overlooks columns. Of the validation set at 300 and 3,000 e/Å² all right priors are seen
but graphene at 300, and 30 and 55 % of the wrong ones.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch
from numpy.typing import NDArray

from napari_stemprior.inference.mode_strengths import mode_strengths_steps
from napari_stemprior.inference.tiles import Answer
from napari_stemprior.progress import Progress, drain
from napari_stemprior.structure import Prior, StructurePrior

#: A mode this much above what an image without order has (`mode_strengths.Modes`) is a spacing that is seen.
_SEEN = 9.5
#: Part of a length by which a spacing that is seen may differ from the prior's: pixel sizes are known so
#: well.
_TOLERANCE = 0.03
#: 1/Å: frequencies between which the longest spacing of a prior is looked for, and part of the strongest
#: structure factor there that it must have.
_SHORTEST, _LONGEST, _WEAK = 0.2, 0.9, 0.35


def spacings_are_seen(prior: Prior, image: NDArray[np.floating], pixel_size: float) -> bool:
    """Tell whether an image has a spacing of every layer of a prior, in any direction.

    Parameters
    ----------
    prior : StructurePrior or Stack
    image : (H, W) array
        Any unit.
    pixel_size : float
        Å/px.
    """
    return drain(spacings_are_seen_steps(prior, image, pixel_size))


def spacings_are_seen_steps(
    prior: Prior, image: NDArray[np.floating], pixel_size: float
) -> Generator[Progress, None, bool]:
    """Tell whether an image has the spacings of a prior, step by step; see `spacings_are_seen`."""
    modes = yield from mode_strengths_steps(image, pixel_size)
    seen = modes.length[modes.in_band][modes.excess > _SEEN]
    return all(_has_spacing(layer, seen) for layer in prior.layers)


def _has_spacing(layer: StructurePrior, seen: NDArray[np.float64]) -> bool:
    """Tell whether one of the frequencies (1/Å) is the lowest at which a layer scatters strongly."""
    spans = np.ceil(_LONGEST * np.linalg.norm(layer.cell, axis=1)).astype(int)
    orders = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in spans), indexing="ij"), -1).reshape(-1, 2)
    length = np.linalg.norm(orders @ np.linalg.inv(layer.cell).T, axis=1)
    factor = np.abs(np.exp(2j * np.pi * orders @ layer.fractional.T) @ layer.z_weights)
    inside = (length > _SHORTEST) & (length < _LONGEST)
    strong = length[inside & (factor > _WEAK * factor[inside].max(initial=0))]
    return bool(len(strong)) and bool((np.abs(seen / strong.min() - 1) < _TOLERANCE).any())


def agrees(hinted: Answer, alone: Answer) -> bool:
    """Tell whether a prior without a place agrees with the image: the network sees more with it."""
    return bool(hinted.probability.sum() > alone.probability.sum())


def hinted_probability(hinted: Answer, alone: Answer) -> NDArray[np.float64]:
    """Return the (2, H, W) probability of a column; what the image alone shows stays."""
    return np.asarray(torch.maximum(hinted.probability, alone.probability).numpy(), dtype=np.float64)
