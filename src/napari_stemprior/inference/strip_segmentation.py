"""Columns of an image that is not in memory: maps by rows of tiles, sites and positions by blocks.

What the maps say is read off as soon as their rows are done, so that they are never in memory as a whole.
From these numbers, and from the answers of all sites together, is decided as for any other image.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from napari_stemprior.inference.blocks import blocks
from napari_stemprior.inference.canonical import CanonicalImage
from napari_stemprior.inference.canonical_strips import CanonicalStrips
from napari_stemprior.inference.decoding import Peaks, decide, read_layers
from napari_stemprior.inference.map_readings import MARGIN, MapPeaks, MapReadings, read_maps, sites_inside
from napari_stemprior.inference.occupancy import occupancy
from napari_stemprior.inference.predictor import Predictor
from napari_stemprior.inference.prompt_encoding import described, equivalent_columns, placed_prompt
from napari_stemprior.inference.refinement import STAGE as REFINING
from napari_stemprior.inference.refinement import refine
from napari_stemprior.inference.site_answers import SiteAnswers, answered, moved_places
from napari_stemprior.inference.tile_rows import predict_rows, rows_of, stacked
from napari_stemprior.inference.tiles import Answer
from napari_stemprior.network.config import SITE_MARGIN
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording.prepared_strips import PreparedStrips
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import Prior
from napari_stemprior.structure.lattice_sites import LatticeSites

Floats = NDArray[np.float64]

#: Canonical pixels along a side of a block in which sites are asked, and by how much it reaches into its
#: neighbours: a film is seen with a Gaussian of 15 pixels, cut off at four standard deviations.
_ASKED, _AROUND = 1024, 80
#: Pixels along a side of a block in which positions are refined, and Å by which it reaches into its
#: neighbours: a column is drawn to 1.7 Å and lends its own to the next, of which four or five are in between.
_REFINED, _REACH = 2048, 8.0


@dataclass(eq=False)
class _Reader:
    """Reads bands of rows of the maps off as they come.

    Parameters
    ----------
    shape : (int, int)
        Of the canonical image.
    sites : LatticeSites, optional
        Registered columns, in canonical pixels.
    trust : float
        Weight of the answer with the prior, the last of those that come, against the first.
    """

    shape: tuple[int, int]
    sites: LatticeSites | None
    trust: float
    peaks: tuple[list[MapPeaks], list[MapPeaks]] = field(default_factory=lambda: ([], []))
    _held: list[Answer] = field(default_factory=list)
    _first: int = 0
    _read: int = 0

    def __post_init__(self) -> None:
        self.at_site, self.support = np.zeros((2, 0 if self.sites is None else len(self.sites)))

    def take(self, first: int, answers: list[Answer]) -> None:
        """Take the answers to some rows, which follow those taken before."""
        if self._held:
            answers = [stacked(above, below) for above, below in zip(self._held, answers, strict=True)]
        else:
            self._first = first
        last = self._first + len(answers[0].variance)
        done = last if last == self.shape[0] else last - MARGIN
        if done > self._read:
            self._read_off(answers, slice(self._read, done))
            self._read = done
        keep = max(0, done - MARGIN - self._first)
        self._held = [rows_of(answer, slice(keep, None)) for answer in answers]
        self._first += keep

    def _read_off(self, answers: list[Answer], core: slice) -> None:
        alone, answer = answers[0].probability.numpy(), answers[-1]
        mixed = (
            self.trust * answer.probability.numpy() + (1 - self.trust) * alone if len(answers) > 1 else alone
        )
        sites, some = self.sites, np.zeros(0, np.int64)
        if sites is not None:
            y = sites.yx[:, 0]
            some = np.flatnonzero((y >= core.start - 1) & (y <= core.stop))
            sites = _some(sites, some)
        layers = read_layers(self.sites)
        readings = drain(read_maps(answer, mixed, alone, sites, layers, self.shape, self._first, core))
        for kept, found in zip(self.peaks, readings.peaks, strict=True):
            kept.append(found)
        self.at_site[some] += readings.at_site
        self.support[some] += readings.support

    def readings(self) -> MapReadings:
        """Return what was read off the whole image."""
        upper, lower = (MapPeaks.joined(parts) for parts in self.peaks)
        return MapReadings(self.shape, (upper, lower), self.at_site, self.support)


def columns_by_strips(
    predictor: Predictor,
    image: CanonicalStrips,
    prior: Prior | None,
    fit: LatticeFit | None,
    trust: float,
) -> Generator[Progress, None, Peaks]:
    """Find the columns of an image, step by step; see `decoding.decode`.

    Parameters
    ----------
    predictor : Predictor
    image : CanonicalStrips
    prior : StructurePrior, Stack or None
    fit : LatticeFit or None
        Where its lattice lies, in pixels of the micrograph; None where it is not to be asked.
    trust : float
        Weight of the answer with the prior against the one without.
    """
    sites, kind, closest = None, None, 0.0
    prompts: Callable[[CanonicalImage], list[StructurePrompt]] = _alone
    if prior is not None and fit is not None:
        registered = fit.registered
        sites = registered.at(image.to_canonical(registered.yx))
        kind = equivalent_columns(described(prior)[0])[sites.column]
        closest = prior.closest_in_layer
        prompts = _Prompts(prior, registered, sites.yx[:, 0], image)
    reader = _Reader(image.shape, sites, trust)
    stage = f"predicting with{'' if sites is not None else 'out'} the prior"
    network, device = predictor.network, predictor.device
    yield from predict_rows(network, image, prompts, device, predictor.precision, stage, reader.take)
    readings = reader.readings()
    answers = None
    if sites is not None and kind is not None:
        answers = yield from _asked(image, sites, kind, readings, device)
    return (yield from decide(readings, sites, kind, closest, predictor.calibration, answers=answers))


def _alone(rows: CanonicalImage) -> list[StructurePrompt]:
    return [StructurePrompt.absent()]


class _Prompts:
    """Makes the prompts of rows of an image: none, and the prior with the sites near these rows."""

    def __init__(self, prior: Prior, registered: LatticeSites, y: Floats, image: CanonicalStrips) -> None:
        self._prior, self._registered, self._image = prior, registered, image
        self._order = np.argsort(y, kind="stable")
        self._y = y[self._order]

    def __call__(self, rows: CanonicalImage) -> list[StructurePrompt]:
        first = float(self._image.grid.shift[0] - rows.shift[0])
        low, high = first - SITE_MARGIN - 1, first + rows.shape[0] + SITE_MARGIN + 1
        near = np.sort(self._order[np.searchsorted(self._y, low) : np.searchsorted(self._y, high)])
        return [StructurePrompt.absent(), placed_prompt(self._prior, _some(self._registered, near), rows)]


def _some(sites: LatticeSites, which: NDArray[np.int64]) -> LatticeSites:
    return LatticeSites(
        sites.yx[which], sites.column[which], sites.layer[which], sites.reliability[which], sites.cell
    )


def _asked(
    image: CanonicalStrips,
    sites: LatticeSites,
    kind: NDArray[np.int64],
    readings: MapReadings,
    device: torch.device,
) -> Generator[Progress, None, SiteAnswers]:
    """Ask the image block by block whether the registered sites are occupied; see `site_answers`."""
    inside = sites_inside(sites, image.shape)
    places = moved_places(sites, (readings.peaks[0].pixel, readings.peaks[1].pixel), inside)[inside]
    kinds, column = kind[inside], sites.column[inside]
    llr, spread = np.zeros(len(places)), np.full(len(places), np.inf)
    row_noise = bool(image.prepared.row_offsets.any())
    for block in blocks(image.shape, _ASKED, _AROUND, places):
        if not len(block.own):
            continue
        part, near, mine = image.block(block.rows, block.columns), block.near, block.mine
        _, ratio, scatter = yield from occupancy(
            part.image.numpy(),
            places[near] - block.corner,
            kinds[near],
            column[near],
            part.valid,
            row_noise,
            device,
        )
        llr[block.own], spread[block.own] = ratio[mine], scatter[mine]
    for number in np.unique(kinds):  # one scatter for all of a kind, as from the whole image
        same = kinds == number
        known = spread[same][np.isfinite(spread[same])]
        spread[same] = float(known.mean()) if len(known) else np.inf
    return answered(sites, kind, inside, llr, spread)


def refine_by_blocks(
    prepared: PreparedStrips, pixel_size: float, yx: Floats, sigma: Floats, device: torch.device
) -> Generator[Progress, None, Floats]:
    """Fit a Gaussian to every column, block by block, and return the (N, 2) places; see `refine`."""
    fitted, done = yx.copy(), 0
    for block in blocks(prepared.shape, _REFINED, int(np.ceil(_REACH / pixel_size)), yx):
        if not len(block.own):
            continue
        yield Progress(done, len(yx), REFINING)
        part, near = prepared.block(block.rows, block.columns), block.near
        valid = None if part.valid.all() else part.valid
        work = refine(part.image, pixel_size, yx[near] - block.corner, sigma[near], valid, device)
        found = yield from work
        fitted[block.own] = found.yx[block.mine] + block.corner
        done += len(block.own)
    return fitted
