"""Gaussians and Voronoi cells of columns that are known."""

import numpy as np
import pytest
from displaced_crystal import coverage, crystal

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.column_fit import fit_columns
from napari_stemprior.measurement.intensities import cell_intensities
from napari_stemprior.measurement.lattice_indices import index_atoms
from napari_stemprior.measurement.neighbours import neighbour_distances

SIZE = 0.1


def drawn(dose=300.0, seed=0, wide=(0.46, 0.38)):
    """Draw MoS2 with elliptical columns, the longer axis 30° from x towards y, and count electrons."""
    made = crystal("MoS2", side=50, noise=0.0)
    yx, column = made.fit.pose.columns(made.fit.prior, (500, 500), 40)
    height = np.where(column == 0, 1.0, 0.45)
    t = np.deg2rad(30)
    axes = np.array([[np.sin(t), np.cos(t)], [np.cos(t), -np.sin(t)]])  # (y, x) of the longer and shorter one
    inverse = axes.T @ np.diag(1 / (np.array(wide) / SIZE) ** 2) @ axes
    image = np.full((500, 500), 0.1)
    grid = np.indices(image.shape)
    for place, top in zip(yx, height, strict=True):
        low = np.maximum(np.rint(place - 24).astype(int), 0)
        high = np.minimum(np.rint(place + 25).astype(int), 500)
        if (high <= low).any():
            continue
        box = (slice(low[0], high[0]), slice(low[1], high[1]))
        d = np.stack([grid[0][box] - place[0], grid[1][box] - place[1]], -1)
        image[box] += top * np.exp(-0.5 * np.einsum("...a,ab,...b", d, inverse, d))
    if np.isfinite(dose):
        image = np.random.default_rng(seed).poisson(image * dose) / dose
    on = ((yx > -3) & (yx < 503)).all(1)
    volume = height[on] * 2 * np.pi * wide[0] * wide[1]
    inner = ((yx[on] > 25) & (yx[on] < 475)).all(1)
    return image, AtomTable.from_positions(yx[on], SIZE), volume, inner, made, column[on]


def test_numbers_of_a_column_and_their_errors():
    image, atoms, volume, inner, *_ = drawn()
    found = fit_columns(image, atoms)
    assert (found.reason[inner] == "").all()
    for name, truth in (
        ("volume", volume), ("width", np.sqrt(0.46 * 0.38)), ("ellipticity", 0.46 / 0.38), ("direction", 30.0)
    ):  # fmt: skip
        off = ((getattr(found, name) - truth) / getattr(found, f"{name}_error"))[inner]
        assert abs(np.median(off)) < 0.35, name
        assert 0.9 < (np.abs(off) < 1.96).mean() <= 0.99, name
    place = (found.yx - atoms.yx)[inner] * SIZE
    assert 0.9 < coverage(place, 0, found.position_error[inner, None]) <= 0.98


def test_more_electrons_make_smaller_errors():
    few, many = (fit_columns(*drawn(dose)[:2]) for dose in (100.0, 10000.0))
    assert np.nanmedian(many.position_error) < 0.4 * np.nanmedian(few.position_error)


def test_a_cell_holds_its_column():
    image, atoms, volume, inner, _, column = drawn(np.inf)
    found = cell_intensities(image, atoms)
    assert np.isnan(found.error).all()
    ratio = found.value[inner & (column == 0)].mean() / found.value[inner & (column == 1)].mean()
    # cells of equal size give tails of the brighter column to the fainter one
    assert 1.9 < ratio < volume.max() / volume.min()
    assert found.value[inner & (column == 0)].std() < 0.01 * found.value[inner & (column == 0)].mean()
    assert found.area[inner].std() < 0.02


def test_cells_scale_with_the_image_and_ignore_an_offset():
    image, atoms, *_ = drawn(500.0)
    a = cell_intensities(image, atoms)
    b = cell_intensities(5 * image + 7, atoms)
    np.testing.assert_allclose(b.value, 5 * a.value, rtol=1e-6, atol=1e-6)


def test_what_cannot_be_measured_says_why():
    image, atoms, *_ = drawn()
    rows = np.concatenate([atoms.yx, [[250.0, 250.0], [252.0, 250.0]], [[-0.4, 100.0]]])
    table = AtomTable.from_positions(rows, SIZE)
    fitted, cells = fit_columns(image, table), cell_intensities(image, table)
    assert fitted.reason[-3] == fitted.reason[-2] == "another column is too near for a fit"
    assert "good pixels" in fitted.reason[-1]
    assert "cut by the edge" in cells.reason[-1]
    bad = fitted.reason != ""
    assert np.isnan(fitted.volume[bad]).all()
    assert np.isnan(cells.value[cells.reason != ""]).all()


def test_masked_pixels_are_left_out():
    image, atoms, volume, inner, *_ = drawn()
    valid = np.ones(image.shape, bool)
    valid[:, 200:230] = False
    image = np.where(valid, image, np.nan)
    found = fit_columns(image, atoms, valid)
    away = inner & (np.abs(atoms.yx[:, 1] - 215) > 35)
    assert (found.reason[away] == "").all()
    assert np.median(found.volume[away] / volume[away]) == pytest.approx(1, abs=0.02)
    assert np.isnan(found.volume[np.abs(atoms.yx[:, 1] - 215) < 10]).all()


def test_an_image_of_the_wrong_shape_is_refused():
    _, atoms, *_ = drawn()
    with pytest.raises(MeasurementError, match="dimensions"):
        fit_columns(np.zeros((3, 40, 40)), atoms)


def test_distances_to_neighbours():
    made = crystal("SrTiO3 [001]", side=100, noise=0.02)
    indices = index_atoms(made.atoms, made.fit)
    error = np.full(len(made.atoms), 0.02)
    found = neighbour_distances(made.atoms, indices, error)
    inner = found.count == found.expected
    assert inner.mean() > 0.8
    titanium = inner & (indices.element == "Ti")
    half = made.fit.prior.cell[0, 0] / 2
    assert found.expected[titanium].max() == 4
    assert 0.93 < coverage(found.mean[titanium], half, found.mean_error[titanium]) < 0.97
    assert (found.nearest[titanium] < found.mean[titanium]).all()
