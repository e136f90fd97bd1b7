"""Smoothing of tensors is that of images."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_stemprior.inference.tensor_smoothing import gaussian_smoothed_steps
from napari_stemprior.progress import Progress, drain


@pytest.mark.parametrize("sigma", [1.1, 7.5, 40.0])
@pytest.mark.parametrize("shape", [(90, 201), (64, 64), (257, 33)])
def test_it_is_a_gaussian_filter(shape: tuple[int, int], sigma: float) -> None:
    image = np.random.default_rng(0).normal(size=shape)
    found = drain(gaussian_smoothed_steps(torch.from_numpy(image), sigma, Progress(0, 1, "smoothing")))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), gaussian_filter(image, sigma), atol=3e-6)
