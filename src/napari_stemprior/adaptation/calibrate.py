"""Calibrate a trained network on scenes that the training has not seen.

Decodes the network's answers as the segmenter does, and fits how sure a peak of a given height is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.inference.calibration import Calibration, fit_logistic
from napari_stemprior.inference.decoding import PeakTable, found_peaks
from napari_stemprior.inference.prompt_encoding import equivalent_columns
from napari_stemprior.inference.site_answers import site_answers
from napari_stemprior.inference.tiles import predict
from napari_stemprior.network.checkpoint import load_network, save_network
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE, NetworkConfig
from napari_stemprior.network.devices import resolve_device
from napari_stemprior.network.prompt import HIDDEN_FEATURE, StructurePrompt
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.progress import Progress, drain
from napari_stemprior.structure.lattice_sites import LatticeSites
from napari_stemprior.training.examples import Example, make_example
from napari_stemprior.training.prompt_sampling import PromptKind
from napari_stemprior.training.structure_bank import library_bank

#: Canonical pixels on a side of a scene, and around it where truth may be cut off.
_SIDE, _BORDER = 192, 5
#: Å within which a peak is the column.
_GATE = 0.45
#: Far from the seeds of training.
_SEED = 20_000_000


@dataclass(eq=False)
class _Collected:
    """Peaks of many scenes: what is known of each, and whether there is a column."""

    features: list[NDArray[np.float64]] = field(default_factory=list)
    on_site: list[NDArray[np.bool_]] = field(default_factory=list)
    true: list[NDArray[np.bool_]] = field(default_factory=list)

    def add(self, table: PeakTable, truth: NDArray[np.float64]) -> None:
        inside = ((table.yx > _BORDER) & (table.yx < _SIDE - 1 - _BORDER)).all(axis=1)
        self.features.append(table.features[inside])
        self.on_site.append(table.on_site[inside])
        self.true.append(_hits(table, truth)[inside])

    def joined(
        self,
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
        return np.concatenate(self.features), np.concatenate(self.on_site), np.concatenate(self.true)


def calibrate(
    path: Path,
    scenes: int,
    device: str = "auto",
    build: Callable[[NetworkConfig], StructurePromptedNet] = StructurePromptedNet,
) -> Generator[Progress, None, Calibration]:
    """Fit the calibration of a network and write it into its file.

    Parameters
    ----------
    path : pathlib.Path
        ``.safetensors`` of `save_network`; replaced whole.
    scenes : int
        Each is looked at with its prior and without.
    device : str
    build : callable, optional
        Makes the network from its configuration, where a part of it was changed.

    Raises
    ------
    ModelError
        If the file holds no network.
    DeviceError
        If there is no such device.
    """
    target = resolve_device(device)
    network, notes = load_network(path, build)
    network = network.to(target)
    bank = library_bank()
    prompted, alone = _Collected(), _Collected()
    for number in range(scenes):
        yield Progress(number, scenes, "calibrating")
        rng = np.random.default_rng([_SEED, number])
        example = make_example(rng, bank, _SIDE, PromptKind.MATCHED)
        image = example.image[0, 0]
        unaided = drain(predict(network, image, StructurePrompt.absent(), target, "calibrating"))
        aided = drain(predict(network, image, example.prompt, target, "calibrating"))
        claims = unaided.probability.numpy()
        known = example.columns[0][example.column_token[0] > -2].numpy().astype(float)
        crystalline = bool((example.column_token >= 0).any())
        (sites, kind), heat = _sites(example), aided.probability.numpy()
        answers = drain(site_answers(image.numpy(), sites, kind, heat))
        for hidden in (False, True):
            alone.add(found_peaks(unaided, claims, claims, hidden), known)
            if crystalline:  # registration refuses a lattice that is nowhere
                prompted.add(found_peaks(aided, heat, claims, hidden, sites, kind, answers), known)
    calibration = _fitted(prompted, alone)
    notes["calibration"] = calibration.to_notes()
    notes["calibration_scenes"] = scenes
    save_network(network.cpu(), path, notes)
    yield Progress(scenes, scenes, "calibrating")
    return calibration


def _fitted(prompted: _Collected, alone: _Collected) -> Calibration:
    features, on_site, true = prompted.joined()
    a, b, c, d, e, f = (float(w) for w in fit_logistic(features[on_site], true[on_site]))
    g, h = (float(w) for w in fit_logistic(features[~on_site, :1], true[~on_site]))
    unaided, _, found = alone.joined()
    i, j = (float(w) for w in fit_logistic(unaided[:, :1], found))
    return Calibration((a, b, c, d, e, f), (g, h), (i, j))


def _sites(example: Example) -> tuple[LatticeSites, NDArray[np.int64]]:
    """Return the sites of an example in canonical pixels, and the kind of each."""
    prompt = example.prompt
    valid = prompt.site_mask[0]
    column = prompt.site_index[0][valid].numpy()
    hidden = prompt.columns[0, column, HIDDEN_FEATURE] > 0.5
    kind = equivalent_columns(prompt.columns)[column]
    places = prompt.sites[0][valid].numpy().astype(float)
    return LatticeSites(places, column, hidden.numpy().astype(np.int64), np.ones(len(places))), kind


def _hits(table: PeakTable, truth: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Give every true column to the highest peak near it."""
    hit = np.zeros(len(table.yx), bool)
    if not len(truth) or not len(table.yx):
        return hit
    near, found = cKDTree(truth).query(table.yx)
    distance, nearest = np.asarray(near), np.asarray(found)
    taken: set[int] = set()
    for peak in np.argsort(-table.height):
        owner = int(nearest[peak])
        if distance[peak] * CANONICAL_PIXEL_SIZE < _GATE and owner not in taken:
            taken.add(owner)
            hit[peak] = True
    return hit
