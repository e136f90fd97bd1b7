"""A simulated image as a TIFF that says what it was made with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_stemprior import __version__
from napari_stemprior.atomic_write import replaced

#: What every file of `write_reference` holds.
REFERENCE_MARK = b'"software": "napari-stemprior '


def write_reference(path: Path, image: NDArray[np.float32], metadata: Mapping[str, Any]) -> None:
    """Write an image as a 32-bit TIFF with its pixel size and a JSON description.

    Parameters
    ----------
    path : pathlib.Path
    image : (H, W) array
    metadata : mapping
        Plain values; ``pixel_size_angstrom`` is read back by `read_micrograph`, and the resolution tags
        tell it to other programs.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    described = {"software": f"napari-stemprior {__version__}", **metadata}
    per_centimetre = 1e8 / float(metadata["pixel_size_angstrom"])
    with replaced(path) as beside:
        tifffile.imwrite(
            beside,
            np.asarray(image, np.float32),
            photometric="minisblack",
            description=json.dumps(described, ensure_ascii=True),
            resolution=(per_centimetre, per_centimetre),
            resolutionunit="CENTIMETER",
            metadata=None,
            software=None,
        )
