"""What a scan did to a micrograph, found before it is analysed."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.recording import remarks
from napari_stemprior.recording.prepared_strips import prepare_strips
from napari_stemprior.recording.stored_image import is_stored, stored
from napari_stemprior.scratch_arrays import ScratchArrays
from napari_stemprior.workflow.operations import Operations


@dataclass(frozen=True, eq=False)
class Recorded:
    """What was found in a recording.

    Parameters
    ----------
    sentences : tuple of str
        What was set right, and whether the columns look dark.
    left_out : (H, W) array of uint8, optional
        1 where there is no signal, 2 where single pixels were filled; None where all pixels are good, or the
        image is too large to be in memory.
    """

    sentences: tuple[str, ...]
    left_out: NDArray[np.uint8] | None = None


def inspect_recording(
    operations: Operations, micrograph: Micrograph, how_to_invert: str
) -> Generator[Progress, None, Recorded]:
    """Find what holds no signal in a recording, and what else is set right before it is analysed."""
    yield Progress(0, 0, "Preparing the recording")
    image = micrograph.analysed
    if is_stored(image):
        strips = yield from prepare_strips(stored(image, micrograph.name), ScratchArrays())
        return Recorded(tuple(remarks(strips, how_to_invert)))
    prepared = operations.prepare(image)
    yield Progress(0, 0, "Judging the contrast")
    sentences = tuple(remarks(prepared, how_to_invert))
    mask = np.where(prepared.valid, np.where(prepared.mended, 2, 0), 1).astype(np.uint8)
    return Recorded(sentences, mask if mask.any() else None)
