"""What a recording does to a training scene, and what it leaves of the truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_erosion, map_coordinates

from napari_stemprior.errors import TrainingError
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.optics.noise.scan_distortion import ScanDistortion
from napari_stemprior.structure import StructurePrior
from napari_stemprior.training.acquisition import acquire
from napari_stemprior.training.config import TrainingConfig
from napari_stemprior.training.examples import make_example
from napari_stemprior.training.prompt_sampling import PromptKind
from napari_stemprior.training.recording import Recording, draw_recording, filled, moved_with_beam, sampled
from napari_stemprior.training.scenes import random_scene
from napari_stemprior.training.structure_bank import library_bank

SIZE = 96


@pytest.fixture(scope="module")
def bank() -> list[StructurePrior]:
    return library_bank()


def test_scenes_that_are_not_recorded_stay_as_they_were(bank: list[StructurePrior]) -> None:
    same = 0
    for seed in range(30):
        plain, mixed = (
            make_example(np.random.default_rng(seed), bank, 32, PromptKind.MATCHED, recorded=share)
            for share in (0.0, 0.65)
        )
        if torch.equal(plain.image, mixed.image):
            same += 1
            torch.testing.assert_close(plain.prompt.sites, mixed.prompt.sites)
            torch.testing.assert_close(plain.heat, mixed.heat)
    assert 5 <= same <= 17  # 35 % of 30, give or take


def test_one_seed_one_recording(bank: list[StructurePrior]) -> None:
    for seed in range(6):
        first, again = (make_example(np.random.default_rng(seed), bank, 64, recorded=1.0) for _ in range(2))
        torch.testing.assert_close(first.image, again.image)
        torch.testing.assert_close(first.heat, again.heat)
        assert bool(torch.isfinite(first.image).all())


def test_no_target_lies_on_a_filled_pixel(bank: list[StructurePrior]) -> None:
    hidden = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scene = random_scene(rng, bank, SIZE + 32)
        acquired = acquire(scene, rng, recorded=1.0)
        example = make_example(np.random.default_rng(seed), bank, SIZE, PromptKind.ABSENT, recorded=1.0)
        np.testing.assert_array_equal(example.image[0, 0].numpy(), acquired.image[16:-16, 16:-16])
        area = acquired.filled[16:-16, 16:-16]
        row, column = example.columns[0].round().long().numpy().T
        assert not area[row, column].any()
        heat = example.heat[0].max(dim=0).values.numpy()
        deep = binary_erosion(area, np.ones((5, 5)))
        assert heat[deep].max(initial=0) < 0.35  # nothing but the flank of a column outside
        hidden += int((~acquired.shows(acquired.scene.true_columns()[0])).sum())
    assert hidden > 100


def test_the_targets_move_with_the_image(bank: list[StructurePrior]) -> None:
    scene = random_scene(np.random.default_rng(5), bank, SIZE)
    distortion = ScanDistortion(flyback=0.8, flyback_length=0.15, drift=1.5, shear=0.03)
    field = distortion.displacement((SIZE, SIZE), CANONICAL_PIXEL_SIZE, np.random.default_rng(0))
    moved = moved_with_beam(scene, field)
    inside = ((moved.positions > 6) & (moved.positions < SIZE - 7)).all(axis=1)
    assert inside.sum() > 10
    shown = moved.positions[inside]
    where = shown + np.stack([map_coordinates(part, shown.T, order=1) for part in field], axis=1)
    missed = np.abs(where - scene.positions[inside])  # pixels; the flyback differs from row to row
    assert missed.max() < 0.5
    assert np.median(missed) < 0.05
    assert np.abs(shown - scene.positions[inside]).max() > 1.0
    inner = (slice(None), slice(24, -24), slice(32, -24))
    assert np.abs(moved.displacement - scene.displacement + field)[inner].max() < 1.0


def test_a_displaced_wave_is_where_the_field_says() -> None:
    y, x = np.indices((60, 90)).astype(float)
    field = ScanDistortion(drift=0.5, mains=0.1).displacement((60, 90), 0.1, np.random.default_rng(2))
    out = sampled(torch.from_numpy(np.cos(0.3 * x + 0.2 * y)).float(), field).numpy()
    expected = np.cos(0.3 * (x + field[1]) + 0.2 * (y + field[0]))
    np.testing.assert_allclose(out[8:-8, 8:-8], expected[8:-8, 8:-8], atol=0.04)


@given(st.integers(0, 999))
def test_a_filled_area_is_smooth_and_the_rest_untouched(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.poisson(5, (60, 70)).astype(np.float32)
    area = np.zeros(image.shape, bool)
    area[:, : int(rng.integers(1, 30))] = True
    out = filled(image, area, 15.0)
    np.testing.assert_array_equal(out[~area], image[~area])
    assert out[area].std() < 0.5 * image.std()
    assert abs(out[area].mean() - 5) < 1


@given(st.floats(0.1, 3.0), st.floats(0.1, 0.3))
def test_only_wide_strips_hide_atoms(thickness: float, pixel_size: float) -> None:
    recording = Recording(strips=((0.3, 0.0, thickness),))
    wide, narrow = recording.filled_areas((100, 100), pixel_size)
    rows = max(1, round(thickness / pixel_size))
    assert wide.any(axis=1).sum() == (rows if rows * pixel_size > 0.5 else 0)
    assert narrow.any() != wide.any()


def test_recordings_keep_to_their_ranges() -> None:
    drawn = [draw_recording(np.random.default_rng(seed)) for seed in range(400)]
    assert all(r.distortion.pixel_jitter <= 0.15 and abs(r.distortion.shear) <= 0.03 for r in drawn)
    assert all(0 <= r.afterglow <= 3 and r.scan_noise.row_offsets <= 0.5 for r in drawn)
    assert np.mean([r.scan_noise.row_offsets > 0.15 for r in drawn]) < 0.15
    assert {r.distortion.mains_frequency for r in drawn} == {50.0, 60.0}
    assert all(60 <= r.jpeg_quality <= 95 and r.exposure_of_digits for r in drawn if r.jpeg_quality)


def test_the_share_of_recorded_scenes_is_a_share() -> None:
    with pytest.raises(TrainingError, match="recorded"):
        replace(TrainingConfig(), recorded=1.5)
    assert TrainingConfig().to_dict()["recorded"] == 0.65
