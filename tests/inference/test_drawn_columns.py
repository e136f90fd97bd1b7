"""What the Gaussians of all columns make of an image."""

import numpy as np
import pytest
import torch

from napari_stemprior.inference.drawn_columns import DrawnColumns

WIDTH = 4.0


@pytest.mark.parametrize(("shape", "pixel_size"), [((70, 150), 0.1), ((40, 33), 0.25), ((200, 64), 0.03)])
def test_the_image_is_the_sum_of_the_columns(shape: tuple[int, int], pixel_size: float) -> None:
    rng = np.random.default_rng(1)
    pad = 9
    centre = np.stack([rng.integers(0, n, 25) for n in shape], axis=1)
    place, amplitude = torch.from_numpy(rng.uniform(-2, 2, (25, 2))), torch.from_numpy(rng.uniform(1, 5, 25))
    columns = DrawnColumns(centre, shape, pad, pixel_size, torch.device("cpu"))
    assert all(side >= n + 2 * pad for side, n in zip(columns.shape, shape, strict=True))
    y, x = (np.arange(n) - pad for n in columns.shape)
    expected = np.zeros(columns.shape)
    for (row, column), height in zip(centre + place.numpy(), amplitude.numpy(), strict=True):
        expected += height * np.exp(
            -((y[:, None] - row) ** 2 + (x[None] - column) ** 2) / (2 * WIDTH**2)
        )  # what lies beyond 2.4 Å may be missing
    made = columns.image(place, amplitude, WIDTH).reshape(columns.shape).numpy()
    missing = 25 * 5 * np.exp(-((2.4 / pixel_size) ** 2) / (2 * WIDTH**2)) + 1e-4
    np.testing.assert_allclose(made, expected, atol=missing)


def test_an_image_without_columns_is_empty() -> None:
    columns = DrawnColumns(np.zeros((0, 2), np.int64), (40, 40), 5, 0.1, torch.device("cpu"))
    assert not columns.image(torch.zeros(0, 2), torch.zeros(0), WIDTH).any()
