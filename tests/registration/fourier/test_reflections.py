from __future__ import annotations

import numpy as np
import pytest

from napari_stemprior.registration.fourier.lattice_symmetries import lattice_symmetries
from napari_stemprior.registration.fourier.reflections import list_reflections, structure_factors
from napari_stemprior.structure import built_in


@pytest.mark.parametrize(
    ("name", "count"), [("MoS2", 12), ("SrTiO3 [001]", 8), ("Si [110]", 4), ("GaN [11-20]", 4)]
)
def test_symmetries_form_the_point_group_of_the_lattice(name, count):
    found = lattice_symmetries(built_in(name))
    assert len(found) == count
    np.testing.assert_allclose(found[0], np.eye(2), atol=1e-12)
    for linear in found:
        np.testing.assert_allclose(abs(np.linalg.det(linear)), 1, atol=1e-9)


def test_one_reflection_of_each_friedel_pair():
    found = list_reflections(built_in("MoS2"))
    pairs = {tuple(hk) for hk in found.hk.tolist()}
    assert len(pairs) == len(found.hk)
    assert not pairs & {(-h, -k) for h, k in pairs}
    assert (0, 0) not in pairs
    np.testing.assert_allclose(found.g @ built_in("MoS2").cell.T, found.hk, atol=1e-9)
    np.testing.assert_allclose(found.weight.sum(), 1)


def test_structure_factor_of_the_silicon_dumbbell():
    # two equal columns a quarter cell apart: |F| = |cos(pi (h + k) / 4)|
    hk = np.array([(1, 0), (1, 1), (2, 0), (1, -1), (3, 1)])
    factor = structure_factors(built_in("Si [110]"), hk)
    np.testing.assert_allclose(np.abs(factor), np.abs(np.cos(np.pi * hk.sum(1) / 4)), atol=1e-9)
