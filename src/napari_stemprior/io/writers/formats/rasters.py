"""Atoms drawn on the grid of the image: label mask and heat map, as TIFF with a pixel size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_stemprior.atoms.table import AtomTable
from napari_stemprior.io.writers.formats.subject import ExportSubject
from napari_stemprior.io.writers.label_mask import disk_radius, label_mask

#: Standard deviation of a peak of the heat map over the radius of a disk of the mask.
_SIGMA_OVER_RADIUS = 0.5
#: A peak is drawn this many standard deviations wide.
_REACH = 4.0


def write_mask_tiff(subject: ExportSubject, path: Path, radius: float | None = None) -> None:
    """Write `label_mask` as an integer TIFF: 0 is background, ``atom_id + 1`` an atom."""
    table = subject.table
    labels = label_mask(table, subject.known_shape("A mask"), radius)
    _write_tiff(path, labels, table.pixel_size, {"labels": "atom_id + 1"})


def write_heat_map(subject: ExportSubject, path: Path) -> None:
    """Write `heat_map` as a float32 TIFF."""
    heat = heat_map(subject.atoms, subject.known_shape("A heat map"))
    _write_tiff(path, heat, subject.table.pixel_size, {"values": "confidence at the centre of an atom"})


def heat_map(table: AtomTable, shape: tuple[int, int], sigma: float | None = None) -> NDArray[np.float32]:
    """Draw every atom as a Gaussian peak as high as its confidence; where two overlap the higher counts.

    Parameters
    ----------
    table : AtomTable
        Every row is drawn. A missing confidence counts as 1.
    shape : (int, int)
        Rows and columns of the image.
    sigma : float, optional
        Standard deviation in Å; by default half the radius of a disk of `label_mask`.

    Returns
    -------
    (H, W) array of float32
    """
    heat = np.zeros(shape, np.float32)
    width = (_SIGMA_OVER_RADIUS * disk_radius(table) if sigma is None else sigma) / table.pixel_size
    reach = int(np.ceil(_REACH * width))
    confidence = table.rows["confidence"].fillna(1.0).to_numpy()
    for (y, x), height in zip(table.yx, confidence, strict=True):
        top, left = max(0, round(y) - reach), max(0, round(x) - reach)
        bottom, right = min(shape[0], round(y) + reach + 1), min(shape[1], round(x) + reach + 1)
        if top >= bottom or left >= right:
            continue
        along_y = np.exp(-0.5 * ((np.arange(top, bottom) - y) / width) ** 2)
        along_x = np.exp(-0.5 * ((np.arange(left, right) - x) / width) ** 2)
        window = heat[top:bottom, left:right]
        np.maximum(window, height * along_y[:, None] * along_x[None], out=window, casting="same_kind")
    return heat


def _write_tiff(path: Path, picture: NDArray[Any], pixel_size: float, about: dict[str, str]) -> None:
    pixels_per_cm = 1e8 / pixel_size
    # the tag is a ratio of 32-bit numbers, which ends at 0.023 Å/px; the description has no such end
    resolution = (pixels_per_cm, pixels_per_cm) if pixels_per_cm < 2**32 else None
    tifffile.imwrite(
        path,
        picture,
        resolution=resolution,
        resolutionunit="CENTIMETER" if resolution else None,
        description=json.dumps({"pixel_size_angstrom": float(pixel_size), **about}),
        metadata=None,
        compression="zlib",
    )
