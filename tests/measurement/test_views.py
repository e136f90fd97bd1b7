"""What is shown on the image says the same as the numbers."""

import numpy as np
import pandas as pd
import pytest
from displaced_crystal import crystal

from napari_stemprior.measurement.arrow_gain import spread_arrows
from napari_stemprior.measurement.displacements import displacements
from napari_stemprior.measurement.filled_map import FilledMap, range_about_zero
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.measurement.measurements import Measurements
from napari_stemprior.measurement.reference_lattice import reference_lattice
from napari_stemprior.measurement.strain import local_strain
from napari_stemprior.measurement.view import ArrowView, MapView
from napari_stemprior.measurement.views import views


@pytest.mark.parametrize("step", [1, 3])
def test_a_map_of_a_linear_number_is_that_number(step):
    yx = np.random.default_rng(0).uniform(0, 60, (400, 2))
    yx[:4] = [(0, 0), (0, 60), (60, 0), (60, 60)]
    filled = FilledMap(yx, (61, 61), step).fill(2 * yx[:, 0] - yx[:, 1])
    at = np.arange(filled.shape[0]) * step + (step - 1) / 2
    truth = 2 * at[:, None] - at[None]
    known = np.isfinite(filled)
    assert known.mean() > 0.6
    np.testing.assert_allclose(filled[known], truth[known], atol=1e-3)


def test_a_hole_and_what_is_not_known_stay_open():
    grid = np.stack(np.meshgrid(np.arange(0, 60, 3.0), np.arange(0, 60, 3.0), indexing="ij"), -1).reshape(
        -1, 2
    )
    far = np.linalg.norm(grid - 30, axis=1) > 12
    values = np.ones(far.sum())
    values[np.argmin(np.linalg.norm(grid[far] - 6, axis=1))] = np.nan
    filled = FilledMap(grid[far], (60, 60)).fill(values)
    assert np.isnan(filled[30, 30])
    assert np.isnan(filled[6, 6])
    assert filled[50, 10] == 1


@pytest.mark.parametrize("yx", [np.empty((0, 2)), np.ones((2, 2)), np.arange(12.0).reshape(6, 2)])
def test_places_that_span_nothing_give_an_empty_map(yx):
    assert np.isnan(FilledMap(yx, (9, 9)).fill(np.ones(len(yx)))).all()


def test_the_range_of_colours_is_even_about_zero_and_noise_stays_pale():
    values = np.linspace(-1, 3, 401)
    low, high = range_about_zero(0.1, values)
    assert low == -high
    assert high == pytest.approx(np.quantile(np.abs(values), 0.98))
    assert range_about_zero(5.0, values) == (-5.0, 5.0)
    assert range_about_zero(5.0, np.full(3, np.nan)) == (-1.0, 1.0)


def test_arrows_of_noise_are_drawn_no_longer_than_they_are_apart():
    xy = np.stack(np.meshgrid(np.arange(20.0), np.arange(20.0)), -1).reshape(-1, 2) * 4
    arrow = np.random.default_rng(0).normal(size=xy.shape) * 0.01
    step, gain, large = spread_arrows(xy, arrow, 0.01, 100)
    assert len(xy[::step]) <= 100
    assert large == pytest.approx(np.quantile(np.linalg.norm(arrow, axis=1), 0.95))
    assert gain * large <= 4 * np.sqrt(step)
    assert gain in (1, 2, 5) or gain / 10 ** np.floor(np.log10(gain)) in (1, 2, 5)


def test_maps_and_arrows_lie_where_the_atoms_are():
    made = crystal(deformation=[[1.01, 0], [0, 1]], noise=0.001)
    indices = index_atoms(made.atoms, made.fit)
    middle = made.atoms.yx.mean(0)
    region = [middle - 100, middle + 100]
    reference = reference_lattice(made.atoms, indices, region)
    moved = displacements(made.atoms, indices, reference)
    found = Measurements(
        made.atoms, made.fit, indices, reference, moved, pd.DataFrame(), local_strain(indices, moved)
    )
    shown = {view.name: view for view in views(found, made.shape)}
    strain = shown["εxx"]
    assert isinstance(strain, MapView)
    assert strain.unit == "%"
    assert np.nanmedian(strain.values) == pytest.approx(100 * np.nanmedian(found.strain.xx), abs=0.02)
    arrows = shown["displacements"]
    assert isinstance(arrows, ArrowView)
    ends = (arrows.yx + arrows.arrow)[np.argsort(arrows.yx[:, 0])]
    nearest = np.linalg.norm(ends[:, None] - made.atoms.yx[None], axis=2).min(1)
    np.testing.assert_allclose(nearest, 0, atol=1e-6)
