"""What is made step by step is what it is at once."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from napari_stemprior.inference import stepwise
from napari_stemprior.progress import drain


def test_quantiles() -> None:
    values = np.random.default_rng(0).exponential(size=5001)
    values[:2000] = 0.0
    eighths = np.linspace(0, 1, 9)[1:-1]
    np.testing.assert_allclose(drain(stepwise.octiles(values)), np.quantile(values, eighths), rtol=1e-12)


def test_distances_near_and_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepwise, "_TOGETHER", 4000)
    ground = np.ones((300, 200), bool)  # far from all in the middle, near at both ends
    ground[[5, 290, 291], [5, 100, 120]] = False
    np.testing.assert_array_equal(drain(stepwise.edge_distance(ground)), distance_transform_edt(ground))
