"""How a prior looks at several thicknesses and defoci, side by side."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from skimage.util import montage

from napari_stemprior.errors import InstrumentError
from napari_stemprior.optics.instrument import Instrument
from napari_stemprior.optics.multislice.reference import Quality, cell_series
from napari_stemprior.optics.reference import check_incoherent, reference_image
from napari_stemprior.progress import Progress
from napari_stemprior.structure import StructurePrior

#: Å shown of the prior in each picture, where its cells are smaller.
_LEAST_FIELD = 8.0


@dataclass(frozen=True, eq=False)
class Montage:
    """Pictures of one prior at several thicknesses and defoci.

    Parameters
    ----------
    images : (T, D, h, w) array of float32
        Fraction of the beam that reaches the detector.
    thicknesses : tuple of float
        Å, of the rows.
    defoci : tuple of float
        Å, of the columns.
    pixel_size : float
        Å/px.
    """

    images: NDArray[np.float32]
    thicknesses: tuple[float, ...]
    defoci: tuple[float, ...]
    pixel_size: float

    def picture(self, gap: int = 2, *, same_scale: bool = False) -> NDArray[np.float32]:
        """Join the images into one.

        Parameters
        ----------
        gap : int
            Pixels of NaN between them.
        same_scale : bool
            Leave the intensities as they are; else each image runs from 0 to 1, so that the thin and
            the defocused can be seen too.

        Returns
        -------
        (H, W) array of float32
        """
        rows, columns, height, width = self.images.shape
        tiles = self.images.reshape(-1, height, width)
        if not same_scale:
            low, high = tiles.min(axis=(1, 2), keepdims=True), tiles.max(axis=(1, 2), keepdims=True)
            tiles = (tiles - low) / np.maximum(high - low, np.float32(1e-12))
        framed = montage(tiles, fill=np.nan, grid_shape=(rows, columns), padding_width=gap)
        inner = framed[gap : framed.shape[0] - gap, gap : framed.shape[1] - gap]
        return np.ascontiguousarray(inner, dtype=np.float32)


def thickness_defocus_montage(
    prior: StructurePrior,
    instrument: Instrument,
    thicknesses: Sequence[float],
    defoci: Sequence[float],
    *,
    engine: Literal["fast", "multislice"] = "fast",
    pixel_size: float = 0.1,
    shape: tuple[int, int] | None = None,
    phonons: int = 0,
    quality: Quality = "preview",
    seed: int = 0,
) -> Generator[Progress, None, Montage]:
    """Simulate a prior at every pair of a thickness and a defocus.

    Parameters
    ----------
    prior : StructurePrior
    instrument : Instrument
        Its own defocus is not used.
    thicknesses, defoci : sequence of float
        Å. A layer has its own thickness and looks the same in every row.
    engine : {"fast", "multislice"}
        Multislice sends the waves through the thickest crystal once and reads them out at each
        thickness, for all defoci.
    pixel_size : float
        Å/px.
    shape : (int, int), optional
        Rows and columns of each picture; two cells or 8 Å by default.
    phonons, quality, seed
        As in `multislice_reference`.

    Yields
    ------
    Progress

    Returns
    -------
    Montage

    Raises
    ------
    InstrumentError
        If there is no thickness or defocus, one is not possible, or the engine is not known.
    MissingPackageError
        If the engine is multislice and abTEM is not installed.
    """
    rows, columns = tuple(map(float, thicknesses)), tuple(map(float, defoci))
    if not rows or not columns:
        raise InstrumentError("A montage needs one thickness and one defocus at least.")
    if not all(np.isfinite(t) and t > 0 for t in rows):
        raise InstrumentError(f"The thicknesses {list(rows)} are not possible; give positive Å.")
    if engine not in ("fast", "multislice"):
        raise InstrumentError(f'The engine {engine!r} is not known; give "fast" or "multislice".')
    shape = shape or _field(prior, pixel_size)
    images = np.empty((len(rows), len(columns), *shape), dtype=np.float32)
    total = images.shape[0] * images.shape[1]
    if engine == "fast":
        check_incoherent(instrument)
        for done, (i, j) in enumerate(np.ndindex(len(rows), len(columns))):
            yield Progress(done, total, "montage")
            lens = replace(instrument, defocus=columns[j])
            images[i, j] = reference_image(prior, lens, pixel_size, shape, thickness=rows[i])
        yield Progress(total, total, "montage")
    else:
        series = yield from cell_series(
            prior, instrument, rows, columns, phonons=phonons, quality=quality, seed=seed
        )
        for i, j in np.ndindex(len(rows), len(columns)):
            images[i, j] = series[i][j].draw(prior, pixel_size, shape)
    return Montage(images, rows, columns, pixel_size)


def _field(prior: StructurePrior, pixel_size: float) -> tuple[int, int]:
    """Two cells, or enough to see a lattice."""
    first = prior.cell[0]
    width = float(np.hypot(*first))
    height = prior.area / width
    side = [int(np.ceil(min(40.0, max(_LEAST_FIELD, 2 * length)) / pixel_size)) for length in (height, width)]
    return side[0], side[1]
