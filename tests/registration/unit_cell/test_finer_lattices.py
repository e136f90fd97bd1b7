"""A crystal whose columns differ by turns is still found by its own cell."""

from __future__ import annotations

import numpy as np
import pytest
from gaussian_scene import counted

from napari_stemprior.progress import drain
from napari_stemprior.registration.fourier.features import fourier_features
from napari_stemprior.registration.fourier.normalized_image import preprocess
from napari_stemprior.registration.shortlist import is_like_any, shortlist
from napari_stemprior.registration.unit_cell.finer_lattices import finer_lattices
from napari_stemprior.registration.unit_cell.mean_cell import follow_basis
from napari_stemprior.registration.unit_cell.reciprocal_basis import find_bases
from napari_stemprior.registration.unit_cell.structure_match import SeenAmplitudes, match_structure
from napari_stemprior.structure import built_in

PIXEL = 0.2


def by_turns(difference: float) -> SeenAmplitudes:
    """Draw columns of gold along [001], every other one brighter, as a chequerboard."""
    side = 2.039 / PIXEL
    y, x = np.indices((300, 320), float)
    image = np.full(y.shape, 0.1)
    for row in range(int(300 / side) + 1):
        for column in range(int(320 / side) + 1):
            height = 1 + difference * (-1) ** (row + column)
            distance2 = (y - row * side) ** 2 + (x - column * side) ** 2
            image += height * np.exp(-distance2 / (2 * (0.45 / PIXEL) ** 2))
    features = drain(fourier_features(preprocess(np.asarray(counted(image, 3e4, PIXEL), np.float32), PIXEL)))
    return SeenAmplitudes(drain(follow_basis(features, find_bases(features)[0])))


@pytest.mark.parametrize("difference", [0.05, 0.15])
def test_gold_is_found_where_every_other_column_is_higher(difference: float) -> None:
    seen, gold = by_turns(difference), built_in("Au [100]")
    area = abs(float(np.linalg.det(gold.cell)))
    assert abs(float(np.linalg.det(seen.seen.cell))) == pytest.approx(2 * area, rel=0.02)
    alone = match_structure(seen, gold, 0.9, 1.1)
    assert alone is None or alone.likeness < 0.6
    (match,) = drain(shortlist(seen, [gold], (0.9, 1.1), lambda scale: 1.0))
    assert match.likeness > 0.9
    assert match.scale == pytest.approx(1.0, abs=0.01)
    assert drain(is_like_any(seen, [gold]))


def test_columns_that_differ_much_are_no_single_crystal() -> None:
    seen = by_turns(0.9)
    assert [share for _, share in finer_lattices(seen)] == [1.0]
    assert not drain(shortlist(seen, [built_in("Au [100]")], (0.9, 1.1), lambda scale: 1.0))
