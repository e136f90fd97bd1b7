"""What an upper layer covers: how far hidden atoms are from it, and whether an atom fills a vacancy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.atoms.table import AtomTable

#: A predicted atom nearer than this (Å) to a vacancy fills it, see `filled_vacancies`.
VACANCY_RADIUS = 0.6
#: Å between a hidden atom and the nearest one above it from which on the two count as apart.
APART = 0.5


def clearance(yx: NDArray[np.float64], layer: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how far each atom is from the nearest one above it.

    Parameters
    ----------
    yx : (N, 2) array
        Pixels.
    layer : (N,) array of int
        0 is the entrance layer.

    Returns
    -------
    (N,) array
        Pixels; inf for the atoms of the uppermost layer.
    """
    distance = np.full(len(yx), np.inf)
    for level in np.unique(layer)[1:]:
        own = layer == level
        distance[own] = np.asarray(cKDTree(yx[layer < level]).query(yx[own])[0])
    return distance


def filled_vacancies(
    predicted: AtomTable, truth: AtomTable, vacancies: NDArray[np.float64], hidden: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Tell which vacancies are filled: have a predicted atom within `VACANCY_RADIUS` that is meant for them.

    An atom said to lie on the vacancy's side, in the entrance layer or below it, is meant for it. One of
    the other side may be the atom above a hidden vacancy: it is meant for the vacancy only if no true
    atom lies as near to it. So a method that knows no layers is judged as well.

    Parameters
    ----------
    predicted, truth : AtomTable
        Of the same micrograph; the pixel size of the truth counts.
    vacancies : (V, 2) array
        Pixels (y, x).
    hidden : (V,) array of bool
        Whether each is below the entrance layer.

    Returns
    -------
    (V,) array of bool
    """
    size = truth.pixel_size
    full = np.zeros(len(vacancies), bool)
    if not len(vacancies) or not len(predicted):
        return full
    low = predicted.rows["layer"].to_numpy() > 0
    to_true = np.full(len(predicted), np.inf)
    if len(truth):
        to_true[:] = cKDTree(truth.yx).query(predicted.yx)[0]
    near = cKDTree(predicted.yx).query_ball_point(vacancies, VACANCY_RADIUS / size)
    for number, atoms in enumerate(near):
        distance = np.linalg.norm(predicted.yx[atoms] - vacancies[number], axis=1)
        full[number] = np.any((low[atoms] == hidden[number]) | (distance < to_true[atoms]))
    return full
