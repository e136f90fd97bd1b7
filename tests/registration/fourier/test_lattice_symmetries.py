from __future__ import annotations

import numpy as np
import pytest

from napari_stemprior.registration.fourier.lattice_symmetries import lattice_symmetries
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
