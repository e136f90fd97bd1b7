from __future__ import annotations

import numpy as np

from napari_stemprior.registration.fourier.reflections import list_reflections, structure_factors
from napari_stemprior.structure import built_in


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
