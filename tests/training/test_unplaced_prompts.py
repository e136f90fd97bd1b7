"""Priors without a pose, right and wrong, and what the contrast learns from them."""

import numpy as np
import pytest
import torch

from napari_stemprior.errors import TrainingError
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.structure import StructurePrior
from napari_stemprior.training.config import TrainingConfig, read_config
from napari_stemprior.training.examples import collate, make_example
from napari_stemprior.training.losses import losses
from napari_stemprior.training.prompt_sampling import PromptKind, hard_negative, prompt_for
from napari_stemprior.training.scenes import random_scene
from napari_stemprior.training.structure_bank import library_bank
from napari_stemprior.training.train import Trainer

TINY = NetworkConfig(widths=(8, 8, 16, 16), token_width=16, embedding_width=8, heads=2)
WHOLE = NetworkConfig(
    widths=(8, 8, 16, 16), token_width=16, embedding_width=8, heads=2, surroundings=True, modulation=True
)


@pytest.fixture(scope="module")
def bank() -> list[StructurePrior]:
    return library_bank()


@pytest.mark.parametrize("seed", range(30))
def test_a_hard_negative_is_another_structure(seed: int, bank: list[StructurePrior]) -> None:
    rng = np.random.default_rng(seed)
    crystal = bank[int(rng.integers(len(bank)))]
    other = hard_negative(crystal, rng, bank)
    assert not (
        len(other.columns) == len(crystal.columns)
        and np.allclose(other.cell, crystal.cell, rtol=0.02)
        and np.allclose(other.fractional, crystal.fractional)
        and np.allclose(other.z_weights, crystal.z_weights)
    )


@pytest.mark.parametrize("kind", [PromptKind.UNREGISTERED, PromptKind.WRONG_UNREGISTERED])
def test_a_prior_without_a_pose_has_no_sites(kind: PromptKind, bank: list[StructurePrior]) -> None:
    scene = random_scene(np.random.default_rng(3), bank, 96, disordered=0.0)
    prompt, token_of = prompt_for(scene, kind, np.random.default_rng(3), bank, 0, 96)
    assert bool(prompt.present.all())
    assert not prompt.site_mask.any()
    assert (token_of[0] >= 0) == (kind is PromptKind.UNREGISTERED)


def test_its_scale_is_as_wrong_as_a_pixel_size(bank: list[StructurePrior]) -> None:
    scene = random_scene(np.random.default_rng(3), bank, 96, disordered=0.0)
    lengths = [
        float(
            prompt_for(scene, PromptKind.UNREGISTERED, np.random.default_rng(i), bank, 0, 96)[0].lattice[0, 0]
        )
        for i in range(200)
    ]
    spread = np.std(lengths) / np.mean(lengths)
    assert 0.009 < spread < 0.015


def test_negatives_come_one_image_after_the_other(bank: list[StructurePrior]) -> None:
    examples = [make_example(np.random.default_rng(i), bank, 32, negatives=2) for i in range(3)]
    batch = collate(examples)
    assert batch.negatives is not None
    assert len(batch.negatives.present) == 6
    second = examples[1].negatives
    assert second is not None
    torch.testing.assert_close(batch.negatives.lattice[2:4], second.lattice)


def test_the_contrast_punishes_a_likeness_to_a_hard_negative(bank: list[StructurePrior]) -> None:
    torch.manual_seed(0)
    network = StructurePromptedNet(WHOLE).eval()
    batch = collate(
        [
            make_example(np.random.default_rng(i), bank, 32, PromptKind.MATCHED, disordered=0, negatives=2)
            for i in range(4)
        ]
    )
    batch.matched[:] = True
    with torch.inference_mode():
        output = network(batch.image, batch.prompt)
        assert output.image_embedding is not None
        image = output.image_embedding
        output.structure_embedding = torch.nn.functional.normalize(image, dim=-1)
        plain = losses(output, batch)["contrast"]
        output.negative_embedding = -output.structure_embedding[:, None].repeat(1, 2, 1)
        unlike = losses(output, batch)["contrast"]
        output.negative_embedding = output.structure_embedding[:, None].repeat(1, 2, 1)
        like = losses(output, batch)["contrast"]
    assert unlike == pytest.approx(float(plain), abs=1e-2)
    assert like > plain + 0.2


def test_a_scene_without_a_crystal_matches_no_structure(bank: list[StructurePrior]) -> None:
    for seed in range(6):
        example = make_example(np.random.default_rng(seed), bank, 64, PromptKind.MATCHED, disordered=1.0)
        assert not example.matched.any()


def test_a_run_starts_from_weights_that_lack_some_parts(bank: list[StructurePrior], tmp_path) -> None:
    settings = {"steps": 1, "batch": 2, "side": 32, "workers": 0, "device": "cpu"}
    torch.manual_seed(5)
    given = StructurePromptedNet(TINY).eval()
    trainer = Trainer(TrainingConfig(**settings, network=WHOLE), tmp_path, bank)
    assert 0.5 < trainer.start_from(given) < 1
    kinds = enumerate(PromptKind)
    batch = collate([make_example(np.random.default_rng(i), bank, 32, kind) for i, kind in kinds])
    with torch.inference_mode():
        now = trainer.state.averaged.eval()(batch.image, batch.prompt).heat
        torch.testing.assert_close(now, given(batch.image, batch.prompt).heat)


def test_weights_of_which_nothing_agrees_are_refused(bank: list[StructurePrior], tmp_path) -> None:
    trainer = Trainer(TrainingConfig(device="cpu", network=TINY), tmp_path, bank)
    with pytest.raises(TrainingError, match="other sizes"):
        trainer.start_from(torch.nn.Linear(3, 5))


def test_the_published_method_is_whole_in_its_configuration() -> None:
    config = read_config("paper")
    parts = ("self_attention", "cell_attention", "site_attention", "embeddings", "surroundings", "modulation")
    assert all(getattr(config.network, part) for part in parts)
    assert config.negatives > 0
    assert config.losses.contrast > 0
    assert config.losses.site > 0
    assert config.steps * config.batch >= 500_000
    numbers = sum(p.numel() for p in StructurePromptedNet(config.network).parameters())
    assert 2 * numbers < 16e6  # bytes in half precision
