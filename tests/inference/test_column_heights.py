"""Heights of overlapping columns are those of the normal equations."""

import numpy as np
import torch

from napari_stemprior.inference import column_heights
from napari_stemprior.inference.column_heights import ColumnHeights
from napari_stemprior.inference.column_profiles import site_patches
from napari_stemprior.progress import drain

SHAPE = (60, 70)


def test_they_solve_the_normal_equations() -> None:
    rng = np.random.default_rng(0)
    yx = np.stack(np.meshgrid(np.arange(0, 60, 4.3), np.arange(0, 70, 4.1), indexing="ij"), -1).reshape(-1, 2)
    patches = drain(site_patches(yx, SHAPE, None))
    pixels = patches.pixels.numpy()
    profile = np.exp(-patches.distance2.numpy() / (2 * 0.5**2)).astype(float)
    weight = rng.uniform(0.5, 2.0, SHAPE[0] * SHAPE[1])
    height = rng.uniform(0, 1.5, len(yx))
    data = np.bincount(pixels.ravel(), (height[:, None] * profile).ravel(), len(weight))
    data += rng.normal(0, 0.05, len(data))
    heights = drain(ColumnHeights.of(patches, torch.from_numpy(profile), torch.from_numpy(weight)))
    measured, likely = drain(heights.fit(torch.from_numpy(data)))

    design = np.zeros((len(yx), len(weight)))
    np.add.at(design, (np.arange(len(yx))[:, None], pixels), profile)
    pull = column_heights._VARIETY**-2
    normal = design * weight @ design.T + pull * np.eye(len(yx))
    expected = np.linalg.solve(normal, design @ (data * weight) + pull)
    np.testing.assert_allclose(likely, expected, atol=2e-3)
    own = np.diag(normal) - pull
    np.testing.assert_allclose(measured, 1 + (expected - 1) * (own + pull) / own, atol=3e-3)
