"""The fast reference of one prior, or of layers that share no cell: the same for desk and command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.optics.instrument import Instrument
from napari_stemprior.optics.pose_protocols import ColumnPose
from napari_stemprior.optics.reference import DEFAULT_THICKNESS, reference_image
from napari_stemprior.structure import StructurePrior


def stack_reference(
    layers: Sequence[StructurePrior],
    instrument: Instrument,
    pixel_size: float,
    shape: tuple[int, int],
    poses: Sequence[ColumnPose | None],
    *,
    thickness: float = DEFAULT_THICKNESS,
) -> NDArray[np.float32]:
    """Simulate a stack, or a single prior, with the fast engine, free of noise.

    Each layer is in its own focus; what an upper layer does to the probe is left out, which two or three
    layers allow.

    Parameters
    ----------
    layers : sequence of StructurePrior
        Entrance side first, such as `Prior.layers`.
    instrument : Instrument
        Its defocus is that of the first layer.
    pixel_size : float
        Å/px.
    shape : (int, int)
        Rows and columns.
    poses : sequence of ColumnPose or None
        One a layer; None lays the first vector of the layer's cell along x.
    thickness : float
        Å, of a crystal that repeats along the beam; a layer has its own.

    Returns
    -------
    (H, W) array of float32
        Fraction of the beam that reaches the detector.

    Raises
    ------
    InstrumentError
        If the detector collects the direct beam.
    ValueError
        If there is not one pose a layer.
    """
    image = np.zeros(shape, dtype=np.float32)
    top = float(layers[0].heights.mean())
    for layer, pose in zip(layers, poses, strict=True):
        depth = float(layer.heights.mean()) - top
        lens = replace(instrument, defocus=instrument.defocus - depth)
        image += reference_image(layer, lens, pixel_size, shape, pose, thickness=thickness)
    return image
