"""The crystals that are built without a table are those of ASE."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, mx2
from ase.build.general_surface import ext_gcd

from napari_stemprior.structure.common_crystals import cubic_crystal, mx2_layer
from napari_stemprior.structure.lattice_basis import _extended_gcd


def assert_same(ours: Atoms, theirs: Atoms) -> None:
    assert ours.get_chemical_symbols() == theirs.get_chemical_symbols()
    np.testing.assert_allclose(ours.positions, theirs.positions, atol=1e-12)
    np.testing.assert_allclose(ours.cell.array, theirs.cell.array, atol=1e-12)
    assert ours.pbc.all()


@pytest.mark.parametrize(
    ("symbols", "crystal"),
    [
        (["Au"], "fcc"),
        (["Fe"], "bcc"),
        (["Si"], "diamond"),
        (["Ga", "As"], "zincblende"),
        (["Mg", "O"], "rocksalt"),
    ],
)
def test_cubic_cells(symbols: list[str], crystal: str) -> None:
    assert_same(cubic_crystal(symbols, crystal, 4.2), bulk("".join(symbols), crystal, a=4.2, cubic=True))


@pytest.mark.parametrize("phase", ["2H", "1T"])
def test_layers_of_a_metal_between_two_of_another_element(phase: str) -> None:
    layer = mx2("WSe2", kind=phase, a=3.28, thickness=3.34, vacuum=8.0)
    assert_same(mx2_layer("W", "Se", phase, 3.28, 3.34, 8.0), layer)


def test_the_common_divisor_is_the_sum_that_it_says() -> None:
    for a in range(-7, 8):
        for b in range(-7, 8):
            divisor, x, y = _extended_gcd(a, b)
            assert divisor == a * x + b * y == np.gcd(a, b)
            assert (x, y) in (ext_gcd(a, b), tuple(-one for one in ext_gcd(a, b)))
