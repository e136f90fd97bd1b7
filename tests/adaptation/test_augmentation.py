"""A corrected image trains the network where a person looked, and nowhere else, however it is turned."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemprior.adaptation.augmentation import CorrectedView, Move, random_move
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.prompt import COLUMN_FEATURES, LATTICE_FEATURES, StructurePrompt
from napari_stemprior.network.stemprior_net import NetworkOutput, StructurePromptedNet
from napari_stemprior.training.examples import collate
from napari_stemprior.training.losses import losses

TINY = NetworkConfig(widths=(8, 8, 16, 16), token_width=16, embedding_width=8, heads=2)
HEIGHT, WIDTH = 56, 72


def spot_image(yx, height=HEIGHT, width=WIDTH):
    grid = np.stack(np.indices((height, width)), -1)
    return np.exp(-((grid[:, :, None] - yx) ** 2).sum(-1) / (2 * 1.5**2)).sum(-1).astype(np.float32)


def make_view(seed=0, known=None, prior=True):
    rng = np.random.default_rng(seed)
    yx = np.stack(np.meshgrid(np.arange(6, 52, 9.0), np.arange(7, 70, 8.0), indexing="ij"), -1).reshape(-1, 2)
    yx = yx + rng.uniform(-1.5, 1.5, yx.shape)
    n = len(yx)
    prompt = StructurePrompt.absent()
    if prior:
        prompt = StructurePrompt(
            torch.rand(1, 2, COLUMN_FEATURES),
            torch.ones(1, 2, dtype=torch.bool),
            torch.rand(1, LATTICE_FEATURES),
            torch.ones(1, dtype=torch.bool),
            torch.from_numpy(yx).float()[None],
            torch.from_numpy(np.arange(n) % 2)[None],
            torch.ones(1, n, dtype=torch.bool),
        )
    mask = np.ones((HEIGHT, WIDTH), bool) if known is None else known
    image = torch.from_numpy(spot_image(yx))
    return CorrectedView(image[None], mask, yx, np.arange(n) % 5 == 0, np.arange(n) % 2, prompt)


def left_half():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, :30] = True
    return mask


STAY = Move(np.eye(2), np.zeros(2), np.zeros(2))


def test_no_loss_reaches_where_nobody_looked():
    view = make_view(known=left_half())
    example = collate([view.moved(STAY, view.images[0], 56)])
    unknown = torch.ones(56, 56, dtype=torch.bool)
    unknown[:, :30] = False
    torch.manual_seed(0)
    maps = {
        "heat": torch.randn(1, 2, 56, 56), "offset": torch.randn(1, 2, 56, 56),
        "log_variance": torch.randn(1, 1, 56, 56), "decoded": torch.randn(1, 8, 56, 56),
    }  # fmt: skip
    for part in maps.values():
        part.requires_grad_()
    output = NetworkOutput(
        **maps, project_pixel=torch.nn.Identity(),
        tokens=torch.randn(1, 2, 8), token_mask=torch.ones(1, 2, dtype=torch.bool),
        image_embedding=torch.randn(1, 8), structure_embedding=torch.randn(1, 8),
    )  # fmt: skip
    losses(output, example)["total"].backward()
    for name, part in maps.items():
        assert part.grad[0, :, unknown].abs().max() == 0, name
        assert part.grad[0, :, ~unknown].abs().max() > 0, name


def test_a_mask_changes_nothing_where_everything_is_known():
    """The loss of a fully known image is the plain mean that training has always taken."""
    view = make_view()
    example = collate([view.moved(STAY, view.images[0], 56)] * 2)
    example.heat = torch.nan_to_num(example.heat)
    torch.manual_seed(0)
    output = StructurePromptedNet(TINY)(example.image, example.prompt)
    plain = torch.nn.functional.binary_cross_entropy_with_logits(output.heat[:, 0], example.heat[:, 0]) * 10
    torch.testing.assert_close(losses(output, example)["heat"], plain)


def test_unreviewed_atoms_are_not_empty():
    example = make_view(known=left_half()).moved(STAY, make_view().images[0], 56)
    assert torch.isnan(example.heat[:, :, :, 30:]).all()
    assert torch.isfinite(example.heat[:, :, :, :30]).all()
    assert example.columns[0, :, 1].max() < 30.5


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_image_targets_and_prompt_turn_together(seed):
    rng = np.random.default_rng(seed)
    view = make_view(seed % 7)
    move = random_move(rng, view.known, 48)
    np.testing.assert_allclose(move.matrix @ move.matrix.T, np.eye(2), atol=1e-9)
    np.testing.assert_allclose(move.backward(move.forward(view.yx)), view.yx, atol=1e-9)
    example = view.moved(move, view.images[0], 48)
    where = move.forward(view.yx)
    # the placed columns of the prompt are where the atoms are
    sites = example.prompt.sites[0].numpy()
    near = ((where > -8) & (where < 56)).all(axis=1)
    np.testing.assert_allclose(sites, where[near], atol=1e-4)
    # the image was drawn by the same atoms: around each it is the Gaussian that it was
    inner = where[((where > 6) & (where < 41)).all(axis=1)]
    moved = example.image[0, 0].numpy()
    expected = spot_image(where, 48, 48)
    for y, x in np.round(inner).astype(int):
        np.testing.assert_allclose(
            moved[y - 1 : y + 2, x - 1 : x + 2], expected[y - 1 : y + 2, x - 1 : x + 2], atol=0.05
        )
        # and the target has its maximum there
        assert np.nanmax(example.heat[0, :, y, x].numpy()) > 0.8
    # every column with a token is in the crop, and is the column that it was
    columns, token = example.columns[0].numpy(), example.column_token[0].numpy()
    for place, shown in zip(columns, token, strict=True):
        owner = int(np.argmin(((where - place) ** 2).sum(1)))
        assert shown == owner % 2


@pytest.mark.parametrize("angle", [0, 90, 180, 270])
@pytest.mark.parametrize("mirror", [1, -1])
def test_quarter_turns_keep_every_pixel(angle, mirror):
    t = np.deg2rad(angle)
    matrix = np.round([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) @ np.diag([1, mirror])
    image = torch.rand(56, 56)
    move = Move(matrix, np.array([28.0, 28.0]), np.array([16.0, 16.0]))
    crop = move.resampled(image, 32)
    grid = np.stack(np.indices((32, 32)), -1).reshape(-1, 2)
    pixel = np.round(move.backward(grid)).astype(int)
    torch.testing.assert_close(crop.ravel(), image[pixel[:, 0], pixel[:, 1]], atol=1e-5, rtol=0)


def test_a_small_image_is_unknown_beyond_its_edge():
    view = make_view()
    example = view.example(np.random.default_rng(3), 128)
    assert example.image.shape == (1, 1, 128, 128)
    known = torch.isfinite(example.heat[0, 0]).float().mean()
    assert 0.05 < known < HEIGHT * WIDTH / 128**2 + 0.02
    assert torch.isfinite(example.image).all()
