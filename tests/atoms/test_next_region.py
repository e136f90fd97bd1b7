"""The region to correct next is where the doubt is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemprior.atoms.next_region import doubt_of, most_doubtful


def test_doubt_follows_confidence_evidence_and_what_a_person_said():
    doubt = doubt_of([0.9, 0.9, 0.2, 0.2, np.nan], [1.0, 0.0, 1.0, 1.0, np.nan], [0, 0, 0, 1, 0])
    np.testing.assert_allclose(doubt, [0.1, 0.55, 0.8, 0.0, 1.0])


def test_the_doubtful_cluster_is_found_and_its_density_is_right():
    yx = [(300, 900), (310, 905), (320, 890), (20, 20)]
    region = most_doubtful(yx, [0.5, 0.5, 0.5, 0.9], (600, 1000), 0.1, side=128)
    assert region.top <= 300 <= 320 <= region.bottom
    assert region.left <= 890 <= 905 <= region.right
    assert (region.bottom - region.top + 1, region.right - region.left + 1) == (128, 128)
    assert region.doubt == pytest.approx(1.5 / 1.28**2)


def test_what_was_reviewed_is_not_proposed_again():
    yx, doubt = [(50, 50), (200, 200)], [0.9, 0.4]
    done = np.zeros((256, 256), bool)
    done[:100, :100] = True
    region = most_doubtful(yx, doubt, (256, 256), 0.2, 96, done)
    assert region.top <= 200 <= region.bottom
    assert most_doubtful(yx, doubt, (256, 256), 0.2, 96, np.ones_like(done)) is None
    assert most_doubtful(yx, [0, 0], (256, 256), 0.2) is None
    assert most_doubtful(np.empty((0, 2)), [], (256, 256), 0.2) is None


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 9999), height=st.integers(20, 300), width=st.integers(20, 300))
def test_the_square_lies_on_the_image_and_holds_what_it_says(seed, height, width):
    rng = np.random.default_rng(seed)
    yx = rng.uniform(-5, [height + 5, width + 5], (40, 2))
    doubt = rng.uniform(0.1, 1, 40)
    region = most_doubtful(yx, doubt, (height, width), 0.15, side=64)
    if region is None:
        return
    assert 0 <= region.top <= region.bottom < height
    assert 0 <= region.left <= region.right < width
    pixel = np.floor(yx + 0.5)
    inside = ((pixel >= (region.top, region.left)) & (pixel <= (region.bottom, region.right))).all(axis=1)
    area = (region.bottom - region.top + 1) * (region.right - region.left + 1) * 0.015**2
    assert region.doubt == pytest.approx(doubt[inside].sum() / area)
