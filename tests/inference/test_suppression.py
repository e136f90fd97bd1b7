"""Of columns too close together the surest stay, whatever their order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.inference.suppression import non_maximum_suppression

COORDINATE = st.integers(0, 12).map(float)
POINTS = st.lists(
    st.tuples(COORDINATE, COORDINATE, st.sampled_from([0.5, 0.6, 0.7, 0.8, 0.9])), max_size=30, unique=True
)


def kept(points: np.ndarray, radius: float) -> set[tuple[float, ...]]:
    return {tuple(p) for p in points[non_maximum_suppression(points[:, :2], points[:, 2], radius)]}


def one_by_one(points: np.ndarray, radius: float) -> set[tuple[float, ...]]:
    """The definition: take the surest that is left, strike out what is near, go on."""
    left = sorted(map(tuple, points), key=lambda p: (-p[2], p[0], p[1]))
    stay = []
    while left:
        stay.append(left[0])
        left = [p for p in left if np.hypot(p[0] - left[0][0], p[1] - left[0][1]) > radius]
    return set(stay)


def test_a_column_whose_rival_is_struck_out_stays() -> None:
    """In a chain of three the surest strikes out the middle one, which then strikes out nobody."""
    chain = np.array([[10.0, 10.0, 0.6], [12.0, 10.0, 0.7], [14.0, 10.0, 0.9]])
    for points in (chain, chain[::-1], chain[[1, 0, 2]]):
        assert kept(points, 2.5) == {(10.0, 10.0, 0.6), (14.0, 10.0, 0.9)}


def test_the_radius_itself_is_too_near() -> None:
    points = np.array([[0.0, 0.0, 0.9], [0.0, 2.0, 0.8], [0.0, 4.01, 0.8]])
    assert kept(points, 2.0) == {(0.0, 0.0, 0.9), (0.0, 4.01, 0.8)}


@given(POINTS, st.sampled_from([1.0, 2.3, 4.0]), st.randoms(use_true_random=False))
def test_the_surest_go_first_and_order_does_not_matter(points, radius, random) -> None:
    shuffled = random.sample(points, len(points))
    given_order, other = (np.array(p, float).reshape(-1, 3) for p in (points, shuffled))
    expected = one_by_one(given_order, radius)
    assert kept(given_order, radius) == expected
    assert kept(other, radius) == expected
