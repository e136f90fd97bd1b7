"""What is read off the network's maps: at their maxima and at the registered sites.

All that follows needs these numbers only, so the maps of a large image need never be in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.inference.maxima import highest_around, is_peak, maxima
from napari_stemprior.inference.tiles import Answer
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.progress import Progress
from napari_stemprior.structure.lattice_sites import LatticeSites

#: What the progress says.
STAGE = "finding the columns"

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Å around a pixel in which the strongest claim of the image alone counts.
_SUPPORT = 0.3
#: Side in pixels of the neighbourhood whose highest value is the height at a site.
_AT_SITE = 5
#: Rows around those that are read off which the readings depend on: offsets carry a maximum by 3.5 pixels,
#: and there its support is looked for within 2.
MARGIN = 8


@dataclass(frozen=True, eq=False)
class MapPeaks:
    """The maxima of one map.

    Parameters
    ----------
    pixel : (N, 2) array of int
        Where the maximum is, canonical pixels.
    yx : (N, 2) array
        Where the offsets say that the column is.
    height : (N,) array
        Of the map.
    support : (N,) array
        The strongest claim of the image alone around `yx`.
    site : (N,) array of int
        Column of the cell that the place looks like; -1 where unknown.
    variance : (N,) array of float32
        Of the offset, pixels².
    """

    pixel: Integers
    yx: Floats
    height: Floats
    support: Floats
    site: Integers
    variance: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.yx)

    def where(self, keep: NDArray[np.bool_] | Integers) -> MapPeaks:
        """Return some of the peaks, or the peaks in another order."""
        return MapPeaks(*(getattr(self, one.name)[keep] for one in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[MapPeaks]) -> MapPeaks:
        """Put parts together."""
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))

    @classmethod
    def none(cls) -> MapPeaks:
        """Return no peaks."""
        floats, integers = np.zeros(0), np.zeros(0, np.int64)
        return cls(
            np.zeros((0, 2), np.int64), np.zeros((0, 2)), floats, floats, integers, np.zeros(0, np.float32)
        )


@dataclass(frozen=True, eq=False)
class MapReadings:
    """What the maps of an image say.

    Parameters
    ----------
    shape : (int, int)
        Of the canonical image.
    peaks : (MapPeaks, MapPeaks)
        Of the entrance layer and of the hidden ones.
    at_site, support : (M,) array
        At each registered site the height of the map of its layer and the strongest claim of the image alone;
        0 where it lies outside the image.
    """

    shape: tuple[int, int]
    peaks: tuple[MapPeaks, MapPeaks]
    at_site: Floats
    support: Floats

    @classmethod
    def joined(cls, shape: tuple[int, int], bands: Sequence[MapReadings]) -> MapReadings:
        """Put the readings of bands of rows together; each has the sites of the whole."""
        upper, lower = (MapPeaks.joined([band.peaks[layer] for band in bands]) for layer in (0, 1))
        at_site, support = (np.sum([getattr(b, n) for b in bands], axis=0) for n in ("at_site", "support"))
        return cls(shape, (upper, lower), at_site, support)


def read_maps(
    answer: Answer,
    probability: NDArray[np.floating],
    unprompted: NDArray[np.floating],
    sites: LatticeSites | None = None,
    layers: Sequence[bool] = (False, True),
    shape: tuple[int, int] | None = None,
    first: int = 0,
    core: slice | None = None,
) -> Generator[Progress, None, MapReadings]:
    """Read the maps of an image, or of a band of its rows, step by step.

    Parameters
    ----------
    answer : Answer
        For offsets, variances and sites.
    probability : (2, H, W) array
        What decides, after mixing with trust.
    unprompted : (2, H, W) array
        What the image says without the prior.
    sites : LatticeSites, optional
        Registered columns, in canonical pixels of the whole image.
    layers : sequence of bool
        Which maps are read: that of the entrance layer is False, that of the hidden ones True.
    shape : (int, int), optional
        Of the whole image; by default the maps are of the whole.
    first : int
        Row of the whole image at which the band begins.
    core : slice, optional
        Rows of the whole image that are read off; all by default. The band has `MARGIN` rows more on either
        side, or ends with the image.
    """
    rows, columns = probability.shape[1:]
    whole = (rows, columns) if shape is None else shape
    wanted = slice(first, first + rows) if core is None else core
    reach = 2 * round(_SUPPORT / CANONICAL_PIXEL_SIZE) + 1
    here = Progress(0, 1, STAGE)
    claim = unprompted.max(axis=0)
    labels, variance = answer.site.numpy(), answer.variance.numpy()
    found = [MapPeaks.none(), MapPeaks.none()]
    at_site, supported = np.zeros((2, 0 if sites is None else len(sites)))
    for hidden in layers:
        heat = probability[int(hidden)]
        yield here
        if sites is not None:
            row, column = pixel_of(sites.yx, whole).T
            inside = sites_inside(sites, whole) & (row >= wanted.start) & (row < wanted.stop)
            mine = np.flatnonzero(inside & (sites.is_hidden == hidden))
            row, column = row[mine] - first, column[mine]
            at_site[mine] = highest_around(heat, row, column, _AT_SITE)
            supported[mine] = highest_around(claim, row, column, reach)
            yield here
        peak = is_peak(heat)
        peak[: wanted.start - first] = peak[wanted.stop - first :] = False
        yield here
        pixel, yx, height = maxima(heat, answer, peak)
        row, column = pixel_of(yx, (rows, columns)).T
        found[int(hidden)] = MapPeaks(
            pixel + np.array([first, 0]),
            yx + np.array([first, 0]),
            height,
            highest_around(claim, row, column, reach).astype(float),
            labels[row, column].astype(np.int64),
            variance[row, column],
        )
    return MapReadings(whole, (found[0], found[1]), at_site, supported)


def pixel_of(yx: Floats, shape: tuple[int, int]) -> Integers:
    """Return the (N, 2) pixels of an image of `shape` that places are on, or the nearest."""
    return np.clip(np.round(yx).astype(np.int64), 0, np.array(shape) - 1)


def sites_inside(sites: LatticeSites, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which sites lie on an image of `shape`."""
    return np.asarray(((sites.yx > -0.5) & (sites.yx < np.array(shape) - 0.5)).all(axis=1))
