"""The channels of a whole image: no part leaves a trace, and a small field is normalised as one."""

import numpy as np
import pytest
import torch

from napari_stemprior.inference import normalisation
from napari_stemprior.inference.normalisation import WINDOW, moments_around, normalised_image
from napari_stemprior.network.image_encoder import REACH, local_contrast, normalised
from napari_stemprior.progress import drain


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3)) * 40 + 1000


def test_a_small_field_is_normalised_as_one() -> None:
    image = noise(200, WINDOW)
    assert torch.equal(drain(normalised_image(image, "")), normalised(image[None, None])[0])


@pytest.mark.parametrize("shape", [(300, 420), (257, 600), (64, 530)])
def test_every_pixel_is_normalised_by_the_square_around_it(shape: tuple[int, int]) -> None:
    image = noise(*shape)
    image[:, 200:] *= 3  # a step, so that no two squares are alike
    mean, deviation = moments_around(image)
    for y, x in [(0, 0), (shape[0] - 1, shape[1] - 1), (shape[0] // 2, 199), (3, 250)]:
        top = min(max(y - min(WINDOW, shape[0]) // 2, 0), max(shape[0] - WINDOW, 0))
        left = min(max(x - WINDOW // 2, 0), shape[1] - WINDOW)
        square = image[top : top + WINDOW, left : left + WINDOW].double()
        assert float(mean[y, x]) == pytest.approx(float(square.mean()), rel=1e-6)
        assert float(deviation[y, x]) == pytest.approx(float(square.std()), rel=1e-5)


def test_the_parts_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise(300, 700)
    cut = drain(normalised_image(image, ""))
    monkeypatch.setattr(normalisation, "_PART", 1000)
    torch.testing.assert_close(cut, drain(normalised_image(image, "")), atol=2e-5, rtol=0)


def test_local_contrast_sees_no_further_than_it_says() -> None:
    flat = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, 128, 128)).astype(np.float32))
    changed = flat.clone()
    changed[..., 64, 64] += 5
    seen = torch.zeros(128, 128, dtype=torch.bool)
    for before, after in zip(local_contrast(flat), local_contrast(changed), strict=True):
        seen |= (before - after)[0, 0].abs() > 1e-5
    rows = torch.nonzero(seen.any(1))
    assert int(rows.min()) >= 64 - REACH
    assert int(rows.max()) <= 64 + REACH
