"""The reference of a stack: layers that share no cell, each imaged by the fast engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.optics.instrument import Instrument
from napari_stemprior.optics.reference import Placed, reference_image
from napari_stemprior.structure import Stack


def stack_reference(
    stack: Stack,
    instrument: Instrument,
    pixel_size: float,
    shape: tuple[int, int],
    poses: Sequence[Placed],
) -> NDArray[np.float32]:
    """Simulate a stack with the fast engine, free of noise.

    Each layer is in its own focus; what an upper layer does to the probe is left out, which two or three
    layers allow.

    Parameters
    ----------
    stack : Stack
    instrument : Instrument
    pixel_size : float
        Å/px.
    shape : (int, int)
    poses : sequence of Placed
        One a layer, as in a `StackPose`.

    Returns
    -------
    (H, W) array of float32
        Fraction of the beam that reaches the detector.
    """
    image = np.zeros(shape, dtype=np.float32)
    top = float(stack.layers[0].heights.mean())
    for layer, pose in zip(stack.layers, poses, strict=True):
        depth = float(layer.heights.mean()) - top
        lens = replace(instrument, defocus=instrument.defocus - depth)
        image += reference_image(layer, lens, pixel_size, shape, pose)
    return image
