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


def test_columns_of_a_thick_particle_are_seen_beside_the_vacuum() -> None:
    """Its outline has a hundred times their contrast; within it the channels are those of columns alone."""
    y, x = torch.meshgrid(torch.arange(500.0), torch.arange(520.0), indexing="ij")
    columns = torch.cos(2 * np.pi * y / 12) + torch.cos(2 * np.pi * x / 12)
    inside = ((y - 250) ** 2 + (x - 260) ** 2).sqrt() < 120
    thickness = torch.where(
        inside, 400 * (1 - ((y - 250) ** 2 + (x - 260) ** 2) / 120**2).clamp(min=0).sqrt(), 0.0
    )
    image = 100 + thickness + 4 * columns * inside
    middle = np.s_[:, 200:300, 210:310]
    seen = drain(normalised_image(image, ""))[middle]
    alone = drain(normalised_image(100 + 4 * columns, ""))[middle]
    for channel in (1, 2):
        likeness = torch.corrcoef(torch.stack([seen[channel].flatten(), alone[channel].flatten()]))[0, 1]
        assert likeness > 0.9  # the thickness bends, and what is left of it is seen too
    assert seen[1].std() > 0.5 * alone[1].std()


def test_a_crystal_that_fills_the_field_keeps_its_ground() -> None:
    image = noise(300, 420)
    image[:, 200:] += 30  # less than its own contrast
    mean, deviation = moments_around(image)
    expected = torch.asinh((image - mean) / deviation)
    torch.testing.assert_close(drain(normalised_image(image, ""))[0], expected, atol=1e-5, rtol=0)
