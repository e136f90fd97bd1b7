"""Scenes without a crystal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.structure import StructurePrior
from napari_stemprior.training.disordered import amorphous_film, apart, isolated_atoms
from napari_stemprior.training.examples import make_example
from napari_stemprior.training.prompt_sampling import PromptKind
from napari_stemprior.training.scenes import disordered_scene, random_scene
from napari_stemprior.training.structure_bank import library_bank

SIZE = 96


@pytest.fixture(scope="module")
def bank() -> list[StructurePrior]:
    return library_bank()


def test_a_film_is_scatterers_that_are_no_columns(bank: list[StructurePrior]) -> None:
    yx, intensity = amorphous_film(np.random.default_rng(0), SIZE)
    assert len(yx) == len(intensity) > 100
    assert intensity.max() < 0.2
    for seed in range(20):
        scene = disordered_scene(np.random.default_rng(seed), bank, SIZE)
        assert len(scene.true_columns()[0]) == (scene.lattice == 0).sum()
        assert (scene.index == -1).all()


def test_the_share_is_that_asked_for(bank: list[StructurePrior]) -> None:
    def without(share: float) -> int:
        scenes = (random_scene(np.random.default_rng(seed), bank, SIZE, share) for seed in range(60))
        return sum(bool((scene.index == -1).all()) for scene in scenes)

    assert without(0.0) == 0
    assert 8 < without(0.3) < 30
    assert without(1.0) == 60


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_atoms_of_a_cluster_are_told_apart(seed: int) -> None:
    yx, intensity = isolated_atoms(np.random.default_rng(seed), SIZE)
    assert len(yx) == len(intensity)
    assert ((yx >= 0) & (yx < SIZE)).all()
    if len(yx) > 1:
        assert cKDTree(yx).query(yx, k=2)[0][:, 1].min() * CANONICAL_PIXEL_SIZE > 1.5


def test_of_those_too_near_the_first_stays() -> None:
    places = np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 2.0], [9.0, 9.0]])
    np.testing.assert_array_equal(apart(places, 1.5), places[[0, 2, 3]])
    assert len(apart(places[:0], 1.0)) == 0


@pytest.mark.parametrize("kind", list(PromptKind))
def test_a_prior_for_no_crystal_matches_no_column(kind: PromptKind, bank: list[StructurePrior]) -> None:
    for seed in range(6):
        example = make_example(np.random.default_rng(seed), bank, 64, kind, disordered=1.0)
        assert np.isfinite(example.image.numpy()).all()
        assert example.image.std() > 0
        assert (example.column_token < 0).all()
