"""What the tests of the readers share."""

import gc

import numpy as np
import pytest


@pytest.fixture(scope="module", autouse=True)
def _frozen_heap():
    """Let the collections of a module look at its own objects alone: with torch loaded each is slow."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def image() -> np.ndarray:
    """An image that no flip, turn or transposition leaves as it is."""
    image = np.random.default_rng(0).integers(10, 200, (20, 28)).astype(np.uint16)
    image[2, 25] = 240
    return image
