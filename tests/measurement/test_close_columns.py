"""Columns that overlap are fitted where they are, whatever their width and tails."""

import numpy as np
import pytest

from napari_stemprior.atoms import AtomTable
from napari_stemprior.measurement.column_fit import fit_columns

_SIZE, _LENGTH = 0.1, 1.36


def _pairs(rng):
    """Return (N, 2, 2) pixels of pairs 1.36 Å long on a lattice of 4 Å, each pair one way or the other."""
    middle = np.stack(np.meshgrid(np.arange(30, 250, 40), np.arange(30, 250, 40)), -1).reshape(-1, 2)
    angle = np.deg2rad(rng.choice([20.0, 110.0], len(middle)))
    half = np.stack([np.sin(angle), np.cos(angle)], 1) * _LENGTH / _SIZE / 2
    middle = middle + rng.random(middle.shape)
    return np.stack([middle - half, middle + half], 1)


def _image(pairs, width, tail, dose, rng):
    y, x = np.mgrid[:280, :280] * _SIZE
    clean = np.full(y.shape, 0.02)
    for py, px in pairs.reshape(-1, 2) * _SIZE:
        square = (y - py) ** 2 + (x - px) ** 2
        clean += 0.1 * np.exp(-square / 2 / width**2) + 0.1 * tail * np.exp(-square / 8 / width**2)
    return rng.poisson(clean * dose * _SIZE**2) / (dose * _SIZE**2)


@pytest.mark.parametrize(("width", "tail"), [(0.35, 0.0), (0.35, 0.1), (0.45, 0.1), (0.55, 0.0), (0.65, 0.0)])
@pytest.mark.parametrize("dose", [1e4, 1e5])
def test_pairs_keep_their_length(width, tail, dose):
    rng = np.random.default_rng(1)
    pairs = _pairs(rng)
    image = _image(pairs, width, tail, dose, rng)
    start = pairs.reshape(-1, 2) + rng.normal(size=(2 * len(pairs), 2)) * 0.05 / _SIZE
    fit = fit_columns(image, AtomTable.from_positions(start, _SIZE))
    found = fit.yx.reshape(pairs.shape)
    length = np.linalg.norm(found[:, 1] - found[:, 0], axis=1) * _SIZE
    error = np.sqrt((fit.position_error.reshape(-1, 2) ** 2).sum(1))
    good = np.isfinite(length) & np.isfinite(error)
    assert good.mean() > 0.9
    assert abs((length - _LENGTH)[good].mean()) < error[good].mean()
    assert (np.abs(length - _LENGTH)[good] < 1.96 * error[good]).mean() > 0.85
