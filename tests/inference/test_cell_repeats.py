"""Whether single columns repeat over a larger cell than that of a lattice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemprior.inference.cell_repeats import repeating_cell
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import StructurePrior, built_in
from napari_stemprior.structure.lattice_sites import LatticeSites
from napari_stemprior.structure.prior import Column

PIXEL, SHAPE = 0.12, (600, 560)
POSE = Pose.from_angle(17.0, PIXEL, (11.0, 5.0))


def crystal(cell: list[list[float]], places: list[tuple[float, float]]) -> StructurePrior:
    columns = tuple(Column(place, (("Mo", 1.0),), 0.0, 0, f"A{n}") for n, place in enumerate(places))
    return StructurePrior("cell", "as seen", np.array(cell), columns, source="a test")


def bent(yx: np.ndarray) -> np.ndarray:
    """Move places as 0.4 Å of smooth strain does."""
    wave = 2 * np.pi * (yx @ np.array([[0.8, -0.6], [0.6, 0.8]])) * PIXEL / 50.0
    return np.asarray(yx + 0.4 / PIXEL * np.sin(wave))


def laid(prior: StructurePrior) -> LatticeFit:
    yx, index = POSE.columns(prior, SHAPE)
    return LatticeFit(prior, (POSE,), sites=LatticeSites.of(prior.columns, bent(yx), index))


def seen(prior: StructurePrior, noise: float = 0.0, share: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(5)
    yx = bent(POSE.columns(prior, SHAPE)[0])
    yx = yx[rng.random(len(yx)) < share]
    return np.asarray(yx + rng.normal(0, noise / PIXEL, yx.shape))


def spans(cell: np.ndarray | None, true: np.ndarray) -> bool:
    """Tell whether two cells are of one lattice."""
    if cell is None:
        return False
    change = cell @ np.linalg.inv(true)
    whole = bool(np.allclose(change, np.round(change), atol=1e-6))
    return whole and abs(abs(float(np.linalg.det(change))) - 1) < 1e-6


def test_half_a_cell_of_rutile_is_told_from_the_whole() -> None:
    rutile = built_in("TiO2 rutile [001]")
    side = float(np.linalg.norm(rutile.cell[0]))
    half = crystal([[side / 2, -side / 2], [side / 2, side / 2]], [(0.0, 0.0)])
    found = repeating_cell(half, laid(half), PIXEL, seen(rutile, noise=0.1, share=0.9))
    assert found is not None
    assert spans(found, rutile.cell)
    assert repeating_cell(rutile, laid(rutile), PIXEL, seen(rutile, noise=0.1, share=0.9)) is None


@pytest.mark.parametrize("name", ["MoS2", "SrTiO3 [110]", "1T'-WTe2", "graphene"])
@pytest.mark.parametrize(("noise", "share"), [(0.0, 1.0), (0.15, 0.6)])
def test_the_right_cell_has_no_larger_one(name: str, noise: float, share: float) -> None:
    prior = built_in(name)
    assert repeating_cell(prior, laid(prior), PIXEL, seen(prior, noise, share)) is None


def test_columns_anywhere_and_none_at_all_tell_nothing() -> None:
    prior = built_in("MoS2")
    anywhere = np.random.default_rng(2).uniform(0, SHAPE, (900, 2))
    for yx in (anywhere, anywhere[:20], np.zeros((0, 2))):
        assert repeating_cell(prior, laid(prior), PIXEL, yx) is None


@settings(max_examples=15, deadline=None)
@given(
    matrix=st.sampled_from(
        [((2, 0), (0, 1)), ((1, 0), (0, 2)), ((1, 1), (1, -1)), ((3, 0), (0, 1)), ((2, 0), (0, 2))]
    ),
    lean=st.floats(-0.3, 0.3),
    along=st.floats(0, 2 * np.pi),
)
def test_a_column_that_is_moved_in_one_of_several_cells_makes_the_cell_larger(
    matrix: tuple[tuple[int, int], tuple[int, int]], lean: float, along: float
) -> None:
    # in one of the small cells the second column stands elsewhere
    small = crystal([[4.0, 0.0], [4.0 * lean, 4.3]], [(0.0, 0.0), (0.5, 0.5)])
    large = np.array(matrix) @ small.cell
    inverse = np.linalg.inv(np.array(matrix, float))
    corners = [
        np.array([h, k]) @ inverse
        for h in range(-3, 4)
        for k in range(-3, 4)
        if (np.round(np.array([h, k]) @ inverse, 6) >= 0).all()
        and (np.round(np.array([h, k]) @ inverse, 6) < 1).all()
    ]
    shift = 1.1 * np.array([np.cos(along), np.sin(along)]) @ np.linalg.inv(large)
    places = []
    for number, corner in enumerate(corners):
        second = corner + np.array([0.5, 0.5]) @ inverse + (shift if number == 0 else 0.0)
        places += [tuple(corner % 1.0), tuple(second % 1.0)]
    true = crystal(large.tolist(), places)
    found = repeating_cell(small, laid(small), PIXEL, seen(true, noise=0.03))
    assert spans(found, large)
