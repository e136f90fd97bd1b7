"""An image of the list of all, and what the list says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_stemprior.structure import Prior
from napari_stemprior.workflow.segment_frame import FrameResult

#: Screen pixels of a small picture.
THUMBNAIL = 36

Frame = tuple[int, ...]


@dataclass(eq=False)
class ListedImage:
    """An image of the list: a frame of an open layer, or of a file that is not open."""

    name: str
    layer: Image | None = None
    frame: Frame = ()
    path: Path | None = None
    #: Number of the frame in its file.
    index: int = 0
    thumbnail: NDArray[np.float32] | None = None
    #: Of a file that is not open; of a layer the one that it is segmented with.
    prior: Prior | None = None
    pixel_size: float | None = None
    pixel_size_from: str = "file"
    #: What was found while the file was not open.
    result: FrameResult | None = None
    problem: str = ""
    #: Whether a person says that every atom was checked.
    reviewed: bool = False


@dataclass(frozen=True)
class Summary:
    """What the list says of an image; None stands for what is not known yet."""

    prior: str = ""
    fit: str = ""
    reservations: str = ""
    atoms: int | None = None
    doubts: int | None = None
    corrected: bool = False
