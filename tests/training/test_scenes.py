"""Scenes, prompts and targets tell the truth."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.stats import kstest

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.structure import StructurePrior
from napari_stemprior.training import scenes
from napari_stemprior.training.acquisition import acquire
from napari_stemprior.training.examples import collate, make_example, targets
from napari_stemprior.training.prompt_sampling import PromptKind, _half_turned, prompt_for
from napari_stemprior.training.random_crystal import random_crystal
from napari_stemprior.training.scenes import PlacedCrystal, _boundary, random_affine, random_scene
from napari_stemprior.training.structure_bank import library_bank

SIZE = 96


@pytest.fixture(scope="module")
def bank() -> list[StructurePrior]:
    return library_bank()


@pytest.mark.parametrize("seed", range(8))
def test_random_crystals_keep_their_distance(seed: int) -> None:
    crystal = random_crystal(np.random.default_rng(seed))
    lattice = PlacedCrystal(crystal, np.eye(2)[::-1] / CANONICAL_PIXEL_SIZE, np.zeros(2))
    yx, index = lattice.columns(300)
    assert cKDTree(yx).query(yx, k=2)[0][:, 1].min() * CANONICAL_PIXEL_SIZE > 0.99
    per_column = np.bincount(index)
    assert per_column.max() - per_column.min() < 0.3 * per_column.mean() + 6
    area = abs(np.linalg.det(crystal.cell))
    assert len(yx) == pytest.approx(len(crystal.columns) * 60.0**2 / area, rel=0.15)


@pytest.mark.parametrize("seed", range(12))
def test_a_supercell_describes_the_same_columns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    crystal = random_crystal(rng)
    affine, origin = random_affine(rng), rng.uniform(0, SIZE, 2)
    small, _ = PlacedCrystal(crystal, affine, origin).columns(SIZE)
    large, _ = PlacedCrystal(crystal.repeated(2, 3), affine, origin).columns(SIZE)
    assert len(small) == len(large)
    if len(small):
        assert cKDTree(small).query(large)[0].max() < 1e-6


@pytest.mark.parametrize("seed", range(10))
def test_matched_sites_lie_on_the_true_columns(seed: int, bank: list[StructurePrior]) -> None:
    scene = random_scene(np.random.default_rng(seed), bank, SIZE)
    prompt, token_of = prompt_for(scene, PromptKind.MATCHED, np.random.default_rng(seed), bank, 0, SIZE)
    yx, _, lattice, index = scene.true_columns()
    known = (token_of[lattice] >= 0) & (index >= 0)
    if not known.any():
        pytest.skip("this scene is empty")
    sites = prompt.sites[0].numpy()
    tokens = prompt.site_index[0].numpy()
    slack = np.abs(scene.displacement).max() * np.sqrt(2) + 3.0  # strain that nobody told, and jitter
    for token in np.unique((token_of[lattice] + index)[known]):
        mine = yx[known & (token_of[lattice] + index == token)]
        # where the pose field is unreliable there are no sites at all: look where there are some
        inner = mine[((mine > 10) & (mine < SIZE - 10)).all(1) & (cKDTree(sites).query(mine)[0] < slack)]
        if len(inner):
            assert np.median(cKDTree(sites[tokens == token]).query(inner)[0]) < slack


def test_an_adatom_is_a_column_that_no_token_describes(bank: list[StructurePrior]) -> None:
    seen = 0
    for seed in range(60):
        scene = random_scene(np.random.default_rng(seed), bank, SIZE)
        adatom = (scene.index < 0) & (scene.lattice >= 0)
        if not adatom.any():
            continue
        seen += 1
        example = make_example(np.random.default_rng(seed), bank, SIZE - 32, PromptKind.MATCHED, recorded=0)
        inside = ((scene.positions >= 16) & (scene.positions <= SIZE - 17)).all(axis=1)
        for place in scene.positions[adatom & inside] - 16:
            distance = np.linalg.norm(example.columns[0].numpy() - place, axis=1)
            assert distance.min() < 1e-3
            assert example.column_token[0, distance.argmin()] == -1
    assert seen >= 3


def test_a_half_turned_prior_lies_on_the_lattice_with_one_column_on_another() -> None:
    rng = np.random.default_rng(5)
    lattice = PlacedCrystal(random_crystal(rng), random_affine(rng), rng.uniform(0, SIZE, 2))
    turned = _half_turned(lattice, rng)
    np.testing.assert_allclose(turned.affine, -lattice.affine)
    true, _ = lattice.columns(SIZE)
    moved, index = turned.columns(SIZE)
    inner = ((moved > 20) & (moved < SIZE - 20)).all(axis=1)
    distance = cKDTree(true).query(moved[inner])[0]
    best = min(distance[index[inner] == i].max() for i in np.unique(index[inner]))
    assert best < 1e-6


def test_targets_point_at_the_columns() -> None:
    yx = np.array([[20.3, 30.6], [40.0, 12.0], [24.4, 30.6]])
    heat, offset = targets(yx, np.array([0, 1, 0]), 64)
    assert heat[0, 20, 31] > 0.9
    assert heat[1, 40, 12] == 1.0
    assert heat[0, 40, 12] == 0.0
    np.testing.assert_allclose(offset[:, 20, 31], [0.3, -0.4], atol=1e-6)
    np.testing.assert_allclose(offset[:, 23, 31], [1.4, -0.4], atol=1e-6)
    assert np.isnan(offset[:, 0, 0]).all()


def test_the_dose_decides_the_noise(bank: list[StructurePrior]) -> None:
    scene = random_scene(np.random.default_rng(3), bank, SIZE)
    noisy = acquire(scene, np.random.default_rng(1), electrons=2.0).image
    clean = acquire(scene, np.random.default_rng(1), electrons=1e5).image

    def roughness(image: np.ndarray) -> float:
        return float(np.std(np.diff(image, axis=1)) / np.std(image))

    assert roughness(noisy) > 1.5 * roughness(clean)


def test_one_seed_one_example(bank: list[StructurePrior]) -> None:
    first, again = (make_example(np.random.default_rng(11), bank, 64) for _ in range(2))
    torch.testing.assert_close(first.image, again.image)
    torch.testing.assert_close(first.prompt.sites, again.prompt.sites)


def test_examples_of_every_kind_join_into_a_batch(bank: list[StructurePrior]) -> None:
    batch = collate(
        [make_example(np.random.default_rng(i), bank, 64, kind) for i, kind in enumerate(PromptKind)]
    )
    assert batch.image.shape == (6, 1, 64, 64)
    assert batch.prompt.present.tolist() == [True, True, False, True, True, True]
    assert batch.matched.tolist() == [True, True, False, False, False, False]
    assert not batch.prompt.site_mask[[1, 5]].any()
    assert int(batch.column_token.max()) < batch.prompt.columns.shape[1]


def test_a_grain_boundary_runs_anywhere_near_the_middle() -> None:
    rng = np.random.default_rng(0)
    drawn = [_boundary(rng, SIZE) for _ in range(400)]
    offset = np.array([(b.point - SIZE / 2) @ b.normal for b in drawn]) / SIZE
    assert np.abs(offset).max() <= 0.2
    assert kstest(offset, "uniform", (-0.2, 0.4)).pvalue > 0.01
    angle = np.arctan2(*np.array([b.normal for b in drawn]).T)
    assert kstest(angle, "uniform", (-np.pi, 2 * np.pi)).pvalue > 0.01
    again = _boundary(np.random.default_rng(0), SIZE)
    np.testing.assert_array_equal(again.normal, drawn[0].normal)
    np.testing.assert_array_equal(again.point, drawn[0].point)


def test_two_grains_meet_at_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(
        scenes, "_boundary", lambda rng, size: drawn.append(_boundary(rng, size)) or drawn[-1]
    )
    crystal = random_crystal(np.random.default_rng(1))
    monkeypatch.setattr(scenes, "pick_crystal", lambda rng, bank: crystal)
    for name in ("_displacement", "_defects", "_adatoms", "_amorphous"):
        monkeypatch.setattr(scenes, name, lambda *given: np.zeros((2, SIZE, SIZE)))
    two = 0
    for seed in range(40):
        scene = random_scene(np.random.default_rng(seed), [], SIZE, disordered=0.0)
        if len(scene.lattices) < 2 or scene.lattices[1].layer:
            continue
        across = (scene.positions - drawn[-1].point) @ drawn[-1].normal
        sure = np.abs(across) * CANONICAL_PIXEL_SIZE > 0.25  # the columns are off by up to some 0.04 Å
        assert ((across > 0) == (scene.lattice == 1))[sure].all()
        two += 1
    assert two > 3
