"""Which structures an image may show, before any lattice is laid on it: images and structures in one space.

A network with embeddings (``paper``) was taught to tell the structure of an image from others, hard ones
among them (`network.contrast`). One look at the image ranks a whole library, where the lattice is lost in
noise or broken into grains, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from napari_stemprior.errors import ModelError
from napari_stemprior.inference.canonical import CanonicalImage, check_field
from napari_stemprior.inference.models import model_path
from napari_stemprior.inference.prompt_encoding import unplaced_prompt
from napari_stemprior.network.checkpoint import load_network
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE, STRIDE
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.recording import PreparedImage
from napari_stemprior.recording.stored_image import middle_of
from napari_stemprior.structure import Prior

#: The network that is asked, of those that ship.
MODEL = "paper"
#: Canonical pixels on a side of the middle of an image that is looked at: 51 Å; and of what is resampled for
#: it, whose edges show the opposite ones.
_SIDE, _RESAMPLED = 256, 320


def structure_likeness(
    image: PreparedImage, pixel_size: float, priors: Sequence[Prior], model: str = MODEL
) -> NDArray[np.float64]:
    """Tell how well each of some structures agrees with an image; neither is laid on the other.

    Parameters
    ----------
    image : PreparedImage
    pixel_size : float
        Å/px.
    priors : sequence of StructurePrior or Stack
    model : str
        A network with embeddings.

    Returns
    -------
    (P,) array
        Larger for a structure that agrees better; the logarithm of its odds among equally likely ones, but
        for a constant.

    Raises
    ------
    ModelError
        If there is no such network, or it has no embeddings.
    PixelSizeError
        If the pixel size cannot show atoms or the field is too small.
    """
    network, _ = load_network(model_path(model))
    if not network.config.embeddings:
        raise ModelError(f"The network {model} does not embed images and structures; take {MODEL!r}.")
    check_field(image.shape, pixel_size)
    side = math.ceil(_RESAMPLED * CANONICAL_PIXEL_SIZE / pixel_size)
    image = image.cropped(*middle_of(image.shape, side**2))
    shown = CanonicalImage.from_prepared(image, pixel_size).image.float()
    height, width = (min(side, _SIDE) // STRIDE * STRIDE for side in shown.shape)
    top, left = (shown.shape[0] - height) // 2, (shown.shape[1] - width) // 2
    shown = shown[None, None, top : top + height, left : left + width]
    prompts = StructurePrompt.collate([unplaced_prompt(prior) for prior in priors])
    with torch.inference_mode():
        likeness = network.image_embedding(shown) @ network.structure_embedding(prompts).T
    return np.asarray(likeness[0].double().numpy())
