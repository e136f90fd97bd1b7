"""Decoding finds what the maps say."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_stemprior.inference.canonical import CanonicalImage
from napari_stemprior.inference.decoding import Peaks
from napari_stemprior.inference.decoding import decode as decoding
from napari_stemprior.inference.tiles import OVERLAP, TILE, Answer, tile_starts
from napari_stemprior.network.config import STRIDE
from napari_stemprior.progress import drain
from napari_stemprior.structure.lattice_sites import LatticeSites
from napari_stemprior.training.examples import targets


def decode(*arguments: object, **options: object) -> Peaks:
    return drain(decoding(*arguments, **options))


def registered(yx: np.ndarray, layer: np.ndarray | None = None) -> LatticeSites:
    none = np.zeros(len(yx), np.int64)
    return LatticeSites(yx, none, none if layer is None else layer, np.ones(len(yx)))


def answer_for(yx: np.ndarray, hidden: np.ndarray, side: int = 96) -> Answer:
    """The maps that a perfect network would give."""
    heat, offset = targets(yx, hidden, side)
    return Answer(
        torch.from_numpy(heat),
        torch.from_numpy(np.nan_to_num(offset)),
        torch.zeros(side, side),
        torch.zeros(side, side, dtype=torch.int64),
    )


@given(st.integers(0, 10_000))
def test_perfect_maps_give_the_columns_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(np.arange(8, 90, 6.0), np.arange(8, 90, 6.0), indexing="ij"), -1).reshape(
        -1, 2
    )
    yx = grid + rng.uniform(-0.9, 0.9, grid.shape)
    hidden = rng.integers(0, 2, len(yx))
    answer = answer_for(yx, hidden)
    peaks = decode(answer, answer.probability.numpy(), answer.probability.numpy())
    assert len(peaks.yx) == len(yx)
    distance, index = cKDTree(yx).query(peaks.yx)
    assert distance.max() < 0.05
    np.testing.assert_array_equal(peaks.hidden, hidden[index] == 1)


def test_columns_0_8_angstrom_apart_are_two() -> None:
    yx = np.array([[40.2, 40.0], [40.2, 44.0]])
    answer = answer_for(yx, np.zeros(2, int))
    assert len(decode(answer, answer.probability.numpy(), answer.probability.numpy()).yx) == 2


def test_a_hidden_column_under_an_upper_one_is_one_column() -> None:
    yx = np.array([[40.0, 40.0], [41.0, 40.0]])
    answer = answer_for(yx, np.array([0, 1]))
    assert len(decode(answer, answer.probability.numpy(), answer.probability.numpy()).yx) == 1


def test_evidence_comes_from_the_image_alone() -> None:
    yx = np.array([[30.0, 30.0], [60.0, 60.0]])
    answer = answer_for(yx, np.zeros(2, int))
    evidence = answer.probability.numpy().copy()
    evidence[:, 50:] = 0.0
    peaks = decode(answer, answer.probability.numpy(), evidence)
    by_row = peaks.evidence[np.argsort(peaks.yx[:, 0])]
    assert by_row[0] > 0.9
    assert 0 < by_row[1] < 0.01, "0 is kept for columns of a kind that leaves no trace"


def test_columns_that_leave_no_trace_have_no_evidence() -> None:
    """A network that has learned where oxygen stands claims it without having seen any."""
    grid = np.stack(np.meshgrid(np.arange(8, 90, 9.0), np.arange(8, 90, 9.0), indexing="ij"), -1)
    bright = grid.reshape(-1, 2)
    faint = bright + 4.5
    faint = faint[(faint < 92).all(axis=1)]
    yx = np.concatenate([bright, faint])
    kind = np.repeat([0, 1], [len(bright), len(faint)])
    sites = registered(yx)
    answer = answer_for(yx, np.zeros(len(yx), int))
    probability = answer.probability.numpy()
    y, x = np.indices((96, 96))
    rng = np.random.default_rng(0)

    def evidence(height: float) -> np.ndarray:
        image = np.full((96, 96), 5.0)
        for place, value in zip(yx, np.where(kind == 0, 60.0, height), strict=True):
            image += value * np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * 1.6**2))
        peaks = decode(
            answer, probability, probability, sites, kind, image=rng.poisson(image).astype(np.float32)
        )
        nearest = cKDTree(yx).query(peaks.yx)[1]
        return np.array([np.median(peaks.evidence[kind[nearest] == k]) for k in (0, 1)])

    np.testing.assert_array_less(0.5, evidence(20.0))
    assert evidence(-2.0)[0] > 0.9
    assert evidence(-2.0)[1] == 0.0


@given(st.integers(40, 300), st.integers(40, 300), st.floats(0.06, 0.4))
def test_places_survive_the_change_of_grid(height: int, width: int, pixel_size: float) -> None:
    image = np.random.default_rng(0).random((height, width)).astype(np.float32)
    canonical = CanonicalImage.from_array(image, pixel_size)
    yx = np.random.default_rng(1).uniform(0, 40, (20, 2))
    np.testing.assert_allclose(canonical.to_pixels(canonical.to_canonical(yx)), yx, atol=1e-9)
    corners = canonical.to_pixels(np.array([[0, 0], np.array(canonical.shape) - 1]))
    assert (corners[0] > -0.51).all()
    assert (corners[1] < np.array([height, width]) - 0.49).all()
    expected = np.array([height, width]) * pixel_size / 0.2
    assert (np.abs(np.array(canonical.shape) - expected) < 2.5).all()


def test_a_spot_is_where_the_grid_says() -> None:
    rows, columns = np.mgrid[:200, :180]
    image = np.exp(-((rows - 80.3) ** 2 + (columns - 121.6) ** 2) / (2 * 5.0**2)).astype(np.float32)
    canonical = CanonicalImage.from_array(image, 0.11)
    weight = np.clip(canonical.image.numpy() - float(canonical.image.min()), 0, None) ** 2
    grid = np.mgrid[: weight.shape[0], : weight.shape[1]]
    found = canonical.to_pixels([[(g * weight).sum() / weight.sum() for g in grid]])
    np.testing.assert_allclose(found, [[80.3, 121.6]], atol=0.1)


@given(st.integers(4, 400))
def test_tiles_cover_every_pixel_and_overlap(size: int) -> None:
    starts, side = tile_starts(STRIDE * size)
    assert side <= TILE
    assert side % STRIDE == 0
    assert starts[0] == 0
    assert starts[-1] + side == STRIDE * size
    assert all(b - a <= side - OVERLAP for a, b in pairwise(starts))


def test_columns_nearer_than_the_prior_allows_are_one() -> None:
    yx = np.array([[40.0, 40.0], [40.0, 44.0], [60.0, 60.0]])
    answer = answer_for(yx, np.zeros(3, int))
    probability = answer.probability.numpy().copy()
    probability[:, :, 42:50] *= 0.9
    sites = registered(yx[:1])
    peaks = decode(answer, probability, probability, sites, closest=2.0)
    assert len(peaks.yx) == 2
    np.testing.assert_allclose(sorted(peaks.yx[:, 1]), [40.0, 60.0], atol=0.1)


def test_a_column_is_not_lost_to_one_that_is_no_column() -> None:
    """The maximum between two columns yields to the surer one, and takes the other with it no more."""
    yx = np.array([[40.0, 40.0], [44.0, 40.0], [48.0, 40.0]])
    answer = answer_for(yx, np.zeros(3, int))
    probability = answer.probability.numpy().copy()
    for row, height in ((40, 0.7), (44, 0.8), (48, 1.0)):
        probability[:, row - 2 : row + 2] *= height
    sites = registered(yx[:1])
    for turned in (False, True):
        maps = np.flip(probability, 1) if turned else probability
        turned_answer = Answer(
            torch.from_numpy(maps.copy()), torch.zeros_like(answer.offset), answer.variance, answer.site
        )
        peaks = decode(turned_answer, maps, maps, sites, closest=2.0)
        rows = 95 - peaks.yx[:, 0] if turned else peaks.yx[:, 0]
        np.testing.assert_allclose(sorted(rows), [40.0, 48.0], atol=0.3)


def test_a_prior_of_one_layer_hides_nothing() -> None:
    yx = np.array([[40.0, 40.0], [60.0, 60.0]])
    answer = answer_for(yx, np.array([0, 1]))
    probability = answer.probability.numpy()
    sites = registered(yx[:1])
    assert len(decode(answer, probability, probability, sites).yx) == 1
    assert len(decode(answer, probability, probability).yx) == 2


def test_registered_sites_tell_a_hidden_column_from_the_one_beside_it() -> None:
    """Two maps with maxima 0.2 Å apart: one column, unless the lattice has two there."""
    yx = np.array([[40.0, 40.0], [60.0, 60.0]])
    answer = answer_for(yx, np.zeros(2, int))
    probability = answer.probability.numpy().copy()
    probability[1] = np.roll(probability[0], 1, axis=1)
    step = np.array([0.0, 1.0])
    for distance, count in ((2.1, 4), (1.0, 2)):
        places = np.concatenate([yx - 0.5 * step, yx + (distance - 0.5) * step])
        sites = registered(places, np.arange(4) // 2)
        assert len(decode(answer, probability, probability, sites).yx) == count
    assert len(decode(answer, probability, probability).yx) == 2
