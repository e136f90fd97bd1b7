"""Each lattice within a lattice is one matrix, whatever its basis."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from napari_stemprior.registration.unit_cell.sublattices import hermite_normal_form, sublattices

entries = st.integers(-6, 6)
matrices = st.lists(entries, min_size=4, max_size=4).map(lambda four: np.array(four, np.int64).reshape(2, 2))


@given(matrices, st.integers(-3, 3), st.booleans(), st.booleans())
def test_all_bases_of_a_lattice_have_one_form(
    matrix: np.ndarray, shear: int, swap: bool, mirror: bool
) -> None:
    area = round(abs(np.linalg.det(matrix)))
    assume(area > 0)
    form = hermite_normal_form(matrix)
    assert form[1, 0] == 0
    assert form[0, 0] > 0
    assert 0 <= form[0, 1] < form[1, 1]
    assert round(np.linalg.det(form)) == area
    whole = np.linalg.inv(form).T @ matrix.T
    np.testing.assert_allclose(whole, np.round(whole), atol=1e-9)
    other = np.array([[1, shear], [0, -1 if mirror else 1]]) @ (matrix[::-1] if swap else matrix)
    np.testing.assert_array_equal(hermite_normal_form(other), form)


def test_there_are_as_many_as_divisors_add_up_to() -> None:
    """Of area n there are as many as the sum of the divisors of n, each in its form."""
    found = sublattices(6)
    areas = [round(np.linalg.det(matrix)) for matrix in found]
    assert [areas.count(area) for area in range(2, 7)] == [3, 4, 7, 6, 12]
    assert len({matrix.tobytes() for matrix in found}) == len(found)
    for matrix in found:
        np.testing.assert_array_equal(hermite_normal_form(matrix), matrix)
