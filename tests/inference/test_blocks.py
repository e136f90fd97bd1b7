"""Every place belongs to exactly one block, however an image is cut."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_stemprior.inference.blocks import block_of, blocks, edges

SIZES = st.integers(1, 300)
#: Halves and their neighbours, where rounding could put a place on both sides of a seam or on none.
PLACES = arrays(
    np.float64,
    st.tuples(st.integers(0, 40), st.just(2)),
    elements=st.one_of(
        st.floats(-5, 305, allow_nan=False),
        st.integers(-10, 610).map(lambda n: n / 2),
        st.integers(-10, 610).map(lambda n: float(np.nextafter(n / 2, 0))),
    ),
)


@given(SIZES, SIZES, st.integers(1, 120), st.integers(0, 40), PLACES)
def test_each_place_belongs_to_exactly_one_block(height, width, side, margin, yx):
    count = np.zeros(len(yx), int)
    for block in blocks((height, width), side, margin, yx):
        np.add.at(count, block.own, 1)
        assert set(block.own) <= set(block.near)
        assert np.array_equal(block.near[block.mine], block.own)
    assert (count == 1).all()


@given(SIZES, st.integers(1, 120))
def test_blocks_cover_an_axis_and_are_no_larger_than_asked(size, side):
    cuts = edges(size, side)
    assert cuts[0] == 0
    assert cuts[-1] == size
    assert (np.diff(cuts) > 0).all()
    assert np.diff(cuts).max() <= side + 1


@given(SIZES, SIZES, st.integers(4, 120), st.integers(0, 40), PLACES)
def test_a_block_knows_the_places_on_its_margin(height, width, side, margin, yx):
    for block in blocks((height, width), side, margin, yx):
        pixel = np.floor(yx + 0.5)
        low, high = [block.rows.start, block.columns.start], [block.rows.stop, block.columns.stop]
        on_it = ((pixel >= low) & (pixel < high)).all(axis=1)
        assert set(np.flatnonzero(on_it)) <= set(block.near)


def test_a_place_belongs_where_its_pixel_does():
    cuts = np.array([0, 10, 20])
    places = np.array([-3.0, 9.49, 9.5, 9.999, 19.6, 25.0])
    assert block_of(places, cuts).tolist() == [0, 0, 1, 1, 1, 1]
