"""Columns that overlap: how alike their shapes are, and what their position errors have in common."""

import numpy as np
import pytest

from napari_stemprior.atoms import AtomTable
from napari_stemprior.measurement.column_fit import fit_columns
from napari_stemprior.measurement.picked_atoms import measure_picked
from napari_stemprior.measurement.shape_freedom import LEAST, MOST, shape_freedom
from napari_stemprior.measurement.shared_errors import SharedErrors

_SIZE, _LENGTH, _SIDE = 0.15, 1.36, 300


def _pairs(width, dose=1e5, seed=0):
    """Return an image of pairs of one direction, their (N, 2, 2) pixels, and starts 0.05 Å off."""
    rng = np.random.default_rng(seed)
    steps = np.arange(25, _SIDE - 20, 27)
    middle = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2) + rng.random(
        (len(steps) ** 2, 2)
    )
    half = np.array([np.sin(0.4), np.cos(0.4)]) * _LENGTH / _SIZE / 2
    pairs = np.stack([middle - half, middle + half], 1)
    y, x = np.mgrid[:_SIDE, :_SIDE]
    clean = np.full(y.shape, 0.02)
    for py, px in pairs.reshape(-1, 2):
        clean += 0.1 * np.exp(-((y - py) ** 2 + (x - px) ** 2) * _SIZE**2 / 2 / width**2)
    image = rng.poisson(clean * dose * _SIZE**2) / (dose * _SIZE**2)
    return image, pairs, pairs.reshape(-1, 2) + rng.normal(size=(2 * len(pairs), 2)) * 0.05 / _SIZE


@pytest.mark.parametrize("width", [0.55, 0.65])
def test_errors_of_distances_are_those_that_are_made(width):
    off, stated, independent = [], [], []
    for seed in range(3):
        image, _, start = _pairs(width, seed=seed)
        fit = fit_columns(image, AtomTable.from_positions(start, _SIZE))
        one, other = np.arange(0, len(start), 2), np.arange(1, len(start), 2)
        length = np.linalg.norm(fit.yx[other] - fit.yx[one], axis=1) * _SIZE
        variance = fit.position_error[one] ** 2 + fit.position_error[other] ** 2
        off.append(length - _LENGTH)
        independent.append(np.sqrt(variance))
        stated.append(np.sqrt(variance - fit.shared_variance(one, other, length)))
    off, stated, independent = (np.concatenate(v) for v in (off, stated, independent))
    good = np.isfinite(off)
    assert good.mean() > 0.95
    assert 0.9 < (np.abs(off) < 1.96 * stated)[good].mean() < 0.99
    assert np.nanmedian(stated) < 0.8 * np.nanmedian(independent)


def test_picked_atoms_know_what_their_columns_share():
    image, _, start = _pairs(0.55)
    atoms = AtomTable.from_positions(start, _SIZE)
    fit = fit_columns(image, atoms)
    ids = atoms.rows["atom_id"].to_numpy()[[20, 21, 60]]
    alone = measure_picked(atoms, fit.position_error, ids)
    told = measure_picked(atoms, fit.position_error, ids, fit)
    assert told.distance_error[0] < 0.9 * alone.distance_error[0]
    assert told.distance_error[1] == alone.distance_error[1]
    assert told.distance == alone.distance


def _equations(spread, rng, n=2000):
    """Return equations of shapes that alone differ by `spread` of 1, each known to 0.05."""
    normal = np.tile(np.eye(7), (n, 1, 1))
    normal[:, [4, 5, 6], [4, 5, 6]] = 400.0
    shapes = rng.normal(size=(n, 3)) * spread + rng.normal(size=(n, 3)) * 0.05
    force = np.zeros((n, 7))
    force[:, 4:] = 400 * shapes
    return normal, force


@pytest.mark.parametrize("spread", [0.07, 0.1, 0.2])
def test_how_much_shapes_differ_is_found(spread):
    normal, force = _equations(spread, np.random.default_rng(0))
    assert shape_freedom(normal, force, np.zeros((len(force), 3)), 1.0) == pytest.approx(spread, rel=0.2)


def test_it_is_the_same_wherever_the_equations_were_taken():
    normal, force = _equations(0.1, np.random.default_rng(1))
    shift = np.full((len(force), 3), 0.03)
    moved = force.copy()
    moved[:, 4:] -= 400 * shift
    assert shape_freedom(normal, moved, shift, 1.0) == shape_freedom(normal, force, 0 * shift, 1.0)


def test_shapes_are_alike_or_free_where_the_image_says_so_or_nothing():
    normal, force = _equations(0.0, np.random.default_rng(2))
    assert shape_freedom(normal, force, np.zeros((len(force), 3)), 1.0) < 1.3 * LEAST
    assert shape_freedom(1e-9 * normal, 1e-9 * force, np.zeros((len(force), 3)), 1.0) == MOST
    assert shape_freedom(normal[:0], force[:0], np.zeros((0, 3)), 1.0) == MOST


def test_columns_far_apart_share_nothing():
    rng = np.random.default_rng(3)
    distance = np.repeat([1.4, 3.0], 100)
    error = np.full(200, 0.1)
    change = rng.normal(size=(200, 5)) * np.where(distance < 2, 0.03, 0.1)[:, None]
    shared = SharedErrors.measured(distance, change, error)
    np.testing.assert_allclose(shared.factor_at([1.4, 3.0]), [0.3, 1.0], rtol=0.1)
    assert shared.factor_at(9.0) == 1.0
    assert SharedErrors.independent().factor_at(1.4) == 1.0
