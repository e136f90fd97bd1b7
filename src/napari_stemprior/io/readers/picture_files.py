"""PNG and JPEG through Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from napari_stemprior.io.readers.decoded_size import check_decoded_size
from napari_stemprior.io.readers.raw_image import RawImage, described_pixel_size
from napari_stemprior.recording.image_check import grey

#: Modes whose single channel is the intensity.
_GREY_MODES = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


def read_picture(path: Path) -> list[RawImage]:
    """Read a PNG or JPEG.

    The dots per inch of such a file describe a print, so the pixel size stays unknown unless the
    description carries ours.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    MicrographError
        If it is coloured.
    Exception
        Whatever Pillow raises on a file that it cannot read.
    """
    with Image.open(path) as picture:
        check_decoded_size(path, picture.width * picture.height * 4)
        described = (described_pixel_size(picture.info.get(k)) for k in ("Description", "comment", "Comment"))
        size = next((value for value in described if value is not None), None)
        if picture.mode in _GREY_MODES:
            pixels = np.array(picture)
        else:  # palette, CMYK, YCbCr, LA, RGBA and so on
            pixels = grey(np.asarray(picture.convert("RGB")), path.name, alpha=False)
    return [RawImage(pixels[None], pixel_size=(size, size))]
