"""What is marked on an overlay picture and where the picture is cropped; nothing here draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.matching import BORDER, gate_for, match
from napari_stemprior.atoms.metrics import VACANCY_RADIUS, Score, score

Floats = NDArray[np.float64]
#: Places in pixels (y, x) under the name of what they are.
Marks = dict[str, Floats]

RIGHT, RIGHT_HIDDEN = "right", "right, hidden layer"
WRONG, WRONG_HIDDEN = "wrong", "wrong, hidden layer"
MISSED, MISSED_HIDDEN = "missed", "missed, hidden layer"
VACANT, UNJUDGED = "true vacancy", "not judged (border)"
#: In the order of the legend.
JUDGED = (RIGHT, RIGHT_HIDDEN, WRONG, WRONG_HIDDEN, MISSED, MISSED_HIDDEN, VACANT, UNJUDGED)
SEEN, LEANT, REVIEW, EMPTY = "seen in the image", "on the prior alone", "for review", "site left empty"
BOTH, ONLY_OURS, ONLY_LOG = "both", "only the network", "only LoG"

#: Places to try along each axis when a crop is chosen.
_TRIES = 25


def judged(
    found: AtomTable,
    truth: AtomTable,
    shape: tuple[int, int],
    vacancies: Floats,
    vacancy_layers: ArrayLike = 0,
) -> tuple[Marks, Score]:
    """Sort predicted and true atoms into right, wrong and missed, by the strict matching.

    Parameters
    ----------
    found, truth : AtomTable
        Of the same micrograph.
    shape : (int, int)
        Rows and columns; within 1 Å of the border nothing is judged.
    vacancies : (V, 2) array
        Pixels of the sites that are truly empty.
    vacancy_layers : int or (V,) array-like of int
        The layer of each, or of all.

    Returns
    -------
    marks : dict of str to (N, 2) array
        Every name of `JUDGED`. Right and wrong atoms lie where they were predicted, missed ones where they
        are; a right or missed atom is hidden if the true one is, a wrong one if it was said to be.
    score : Score
    """
    found, truth = found.atoms, truth.atoms
    pairs = match(found.yx, truth.yx, truth.pixel_size, shape)
    true_low = truth.rows["layer"].to_numpy() > 0
    said_low = found.rows["layer"].to_numpy() > 0
    right, low = found.yx[pairs.predicted], true_low[pairs.truth]
    wrong, wrong_low = found.yx[pairs.spurious], said_low[pairs.spurious]
    missed, missed_low = truth.yx[pairs.missed], true_low[pairs.missed]
    rest = np.setdiff1d(np.arange(len(found)), pairs.counted)
    marks = {
        RIGHT: right[~low],
        RIGHT_HIDDEN: right[low],
        WRONG: wrong[~wrong_low],
        WRONG_HIDDEN: wrong[wrong_low],
        MISSED: missed[~missed_low],
        MISSED_HIDDEN: missed[missed_low],
        VACANT: np.asarray(vacancies, float).reshape(-1, 2),
        UNJUDGED: found.yx[rest],
    }
    return marks, score(found, truth, shape, vacancies=vacancies, vacancy_layers=vacancy_layers)


def by_source(found: AtomTable, sites: Floats) -> Marks:
    """Sort atoms without a known truth by what the desk says of them, and list the sites left empty.

    Parameters
    ----------
    found : AtomTable
    sites : (M, 2) array
        Pixels of the lattice sites that are seen on the image.
    """
    atoms = found.atoms
    leant = (atoms.rows["source"] == "lattice").to_numpy()
    review = (atoms.rows["status"] == "review").to_numpy()
    empty = ~near(sites, atoms.yx, VACANCY_RADIUS / found.pixel_size)
    return {
        SEEN: atoms.yx[~leant],
        LEANT: atoms.yx[leant],
        REVIEW: atoms.yx[review],
        EMPTY: sites[empty],
    }


def compared(ours: Floats, log: Floats, pixel_size: float, shape: tuple[int, int]) -> Marks:
    """Sort atoms of two methods into those that both find and those of one alone, border left out.

    Parameters
    ----------
    ours, log : (N, 2), (M, 2) array
        Pixels; the gate is that of `ours`.
    pixel_size : float
        Å/px.
    shape : (int, int)
    """
    pairs = match(log, ours, pixel_size, shape, gate=gate_for(ours, pixel_size), border=BORDER)
    return {BOTH: ours[pairs.truth], ONLY_OURS: ours[pairs.missed], ONLY_LOG: log[pairs.spurious]}


def near(places: Floats, others: Floats, radius: float) -> NDArray[np.bool_]:
    """Tell which (N, 2) places have one of the others within `radius`."""
    if not len(others) or not len(places):
        return np.zeros(len(places), bool)
    return np.asarray(cKDTree(others).query(places)[0] <= radius)


@dataclass(frozen=True)
class Window:
    """A square part of an image, in pixels.

    Parameters
    ----------
    y, x : float
        Of its first pixel.
    side : float
        Pixels.
    """

    y: float
    x: float
    side: float

    def holds(self, yx: ArrayLike) -> NDArray[np.bool_]:
        """Tell which (N, 2) places lie in it."""
        places = np.asarray(yx, float).reshape(-1, 2) - (self.y, self.x)
        return np.asarray(((places >= -0.5) & (places <= self.side - 0.5)).all(axis=1))

    def count(self, marks: Marks) -> dict[str, int]:
        """Count the marks of each name in it."""
        return {name: int(self.holds(places).sum()) for name, places in marks.items()}


def busiest(events: Floats, shape: tuple[int, int], side: float) -> Window:
    """Return the window with the most events; among equals the one nearest the middle.

    So that nobody chooses what a picture shows: it shows the worst there is.

    Parameters
    ----------
    events : (N, 2) array
        Pixels.
    shape : (int, int)
        Rows and columns of the image.
    side : float
        Pixels; cut to the image.
    """
    side = float(min(side, *shape))
    rows, columns = (np.round(np.linspace(0, n - side, _TRIES)) for n in shape)
    tries = [Window(float(y), float(x), side) for y in rows for x in columns]
    middle = (np.array(shape) - side) / 2

    def merit(window: Window) -> tuple[int, float]:
        return int(window.holds(events).sum()), -float(np.hypot(window.y - middle[0], window.x - middle[1]))

    return max(tries, key=merit)
