"""Order statistics of tensors are those of NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.inference.tensor_statistics import octiles, quantile
from napari_stemprior.progress import drain

EIGHTHS = np.linspace(0, 1, 9)[1:-1]


@given(st.integers(1, 400), st.integers(0, 1000), st.floats(0, 1), st.floats(0, 1))
def test_a_quantile_is_one_of_the_values(count: int, seed: int, share: float, zeros: float) -> None:
    values = np.random.default_rng(seed).exponential(size=count)
    values[: int(zeros * count)] = 0.0  # most pixels of a drawn image are
    expected = np.quantile(values, share, method="lower")
    assert quantile(torch.from_numpy(values), share) in (expected, np.sort(values)[int(share * (count - 1))])


@pytest.mark.parametrize("zeros", [0, 1999, 11553, 40000])
def test_eighths(zeros: int) -> None:
    values = np.random.default_rng(0).exponential(size=44_944)
    values[:zeros] = 0.0
    np.random.default_rng(1).shuffle(values)
    found = drain(octiles(torch.from_numpy(values)))
    np.testing.assert_allclose(found.numpy(), np.quantile(values, EIGHTHS), rtol=1e-12)


def test_eighths_of_a_large_image_are_those_of_a_part() -> None:
    y, x = np.indices((1024, 1024))  # columns of pixels repeat as those of a lattice do
    image = np.exp(3 * np.cos(2 * np.pi * x / 8.003) + np.cos(2 * np.pi * (x + 3 * y) / 16.1))
    found = drain(octiles(torch.from_numpy(image.ravel())))
    np.testing.assert_allclose(found.numpy(), np.quantile(image, EIGHTHS), rtol=0.02)
