"""The mean cell: columns where they stand, noise as it is told, faint order that doubles the cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gaussian_scene import counted, render

from napari_stemprior.progress import drain
from napari_stemprior.registration import Pose
from napari_stemprior.registration.fourier.features import fourier_features
from napari_stemprior.registration.fourier.normalized_image import preprocess
from napari_stemprior.registration.fourier.reflections import reflections_of
from napari_stemprior.registration.unit_cell.larger_cell import larger_cell
from napari_stemprior.registration.unit_cell.mean_cell import (
    SeenLattice,
    average_cells,
    follow_basis,
)
from napari_stemprior.registration.unit_cell.reciprocal_basis import find_bases
from napari_stemprior.structure import StructurePrior, built_in
from napari_stemprior.structure.prior import Column, numbered_sites

PIXEL, SHAPE = 0.2, (420, 400)


def seen_in(image: np.ndarray) -> SeenLattice:
    features = drain(fourier_features(preprocess(np.asarray(image, np.float32), PIXEL)))
    return drain(follow_basis(features, find_bases(features)[0]))


def maxima(drawn: np.ndarray) -> np.ndarray:
    """Pixels that are higher than all of their eight neighbours, and their heights, away from the edge."""
    inner = drawn[1:-1, 1:-1]
    around = [np.roll(drawn, (i, j), (0, 1))[1:-1, 1:-1] for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    return np.argwhere((inner > np.max(around, axis=0)) & (inner > 0.1 * drawn.max())) + 1


@pytest.mark.parametrize("bent", [False, True])
def test_the_mean_cell_shows_the_columns_that_no_single_cell_shows(bent: bool) -> None:
    prior, pose = built_in("MoS2"), Pose.from_angle(23, PIXEL, (5, 3))
    warp = (lambda yx: np.stack([2.5 * np.sin(yx[:, 1] / 60), 0 * yx[:, 0]], 1)) if bent else None
    expected = render(prior, pose, SHAPE, PIXEL, warp=warp)
    seen = seen_in(counted(expected, 800, PIXEL))
    mean = average_cells(seen, seen.cell)
    assert mean.coherence > 0.95
    assert mean.cells == pytest.approx(0.9 * SHAPE[0] * SHAPE[1] * PIXEL**2 / prior.area, rel=0.2)
    drawn = mean.drawn(200, PIXEL)
    found = maxima(drawn) * PIXEL
    inside = found[((found > 3) & (found < 37)).all(axis=1)]
    # molybdenum, and the two sulphur above each other: two columns in every cell
    assert len(inside) == pytest.approx(2 * 34**2 / prior.area, rel=0.08)
    nearest = np.sort(np.linalg.norm(inside[:, None] - inside[None], axis=-1), axis=1)[:, 1]
    assert np.median(nearest) == pytest.approx(prior.neighbour_distance, rel=0.08)


def test_the_variance_is_that_of_noise() -> None:
    prior, pose = built_in("MoS2"), Pose.from_angle(23, PIXEL, (5, 3))
    seen = seen_in(counted(render(prior, pose, SHAPE, PIXEL), 1500, PIXEL))
    _, g = reflections_of(seen.cell * 7.3, 1.0)  # waves of no lattice
    index = g @ seen.cell.T
    away = g[np.abs(index - np.round(index)).max(axis=1) > 0.2]
    height, width = seen.weight.shape
    taper = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    amplitude, variance = seen.amplitudes(away, seen.weight * taper)
    assert float((np.abs(amplitude) ** 2 / variance).mean()) == pytest.approx(1.0, abs=0.2)


def doubled(faint: float) -> StructurePrior:
    """A square lattice of molybdenum in which every second cell has a faint column more."""
    cell = np.array([[6.4, 0.0], [0.0, 3.2]])
    z = max(1, round(42 * faint ** (1 / 1.7)))
    symbol = {4: "Be", 6: "C", 11: "Na"}[z]
    columns = [Column((0.0, 0.0), (("Mo", 1.0),)), Column((0.5, 0.0), (("Mo", 1.0),))]
    return StructurePrior(
        "doubled", "[001]", cell, numbered_sites([*columns, Column((0.25, 0.5), ((symbol, 1.0),))])
    )


def test_faint_columns_double_the_cell() -> None:
    prior = doubled(0.1)
    image = counted(render(prior, Pose.from_angle(9, PIXEL, (5, 3)), SHAPE, PIXEL), 20000, PIXEL)
    # only the strong reflections, those of molybdenum, name the basis
    features = drain(fourier_features(preprocess(image, PIXEL)))
    basis = find_bases(features)[0]
    small = replace(basis, vectors=np.linalg.inv(np.array([[3.2, 0.0], [0.0, 3.2]]) @ turned(9)[:, ::-1]).T)
    seen = drain(follow_basis(features, small))
    found = larger_cell(seen)
    assert found is not None
    assert abs(np.linalg.det(found)) == pytest.approx(2 * 3.2**2, rel=0.03)


def turned(angle: float) -> np.ndarray:
    """Rows are x and y in Å of a prior that lies turned on the image, as (x, y) of the image."""
    pose = Pose.from_angle(angle, 1.0)
    return pose.affine.T[:, ::-1]


@pytest.mark.parametrize("name", ["MoS2", "SrTiO3 [001]", "GaAs [110]"])
@pytest.mark.parametrize("dose", [500, 20000])
def test_the_cell_of_a_crystal_is_not_enlarged(name: str, dose: float) -> None:
    prior = built_in(name)
    image = counted(render(prior, Pose.from_angle(9, PIXEL, (5, 3)), SHAPE, PIXEL), dose, PIXEL)
    assert larger_cell(seen_in(image)) is None


@pytest.mark.parametrize(("across", "least", "most"), [(0.08, 0.0, 0.2), (0.7, 0.5, 1.0)])
def test_planes_are_told_from_columns(across: float, least: float, most: float) -> None:
    """Fringes of one direction, and as strong a part of them in another."""
    y, x = np.indices((320, 340)) * PIXEL
    waves = [np.cos(2 * np.pi * (y * np.cos(a) + x * np.sin(a)) / 2.3) for a in np.deg2rad([20.0, 91.0])]
    image = 3 + waves[0] + across * (waves[1] + waves[0] * waves[1])
    seen = seen_in(counted(image, 1e5, PIXEL))
    assert least <= average_cells(seen, seen.cell).crossed <= most
