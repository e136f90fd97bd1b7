"""Segmentation with a stack: both layers found, and named after their own columns."""

from __future__ import annotations

from dataclasses import replace
from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from napari_stemprior.inference import Segmenter, predictor
from napari_stemprior.inference import prompt_lattice as laying
from napari_stemprior.inference import segmenter as segmenting
from napari_stemprior.inference.prompt_encoding import described
from napari_stemprior.network.prompt import VECTOR_FEATURES
from napari_stemprior.progress import drain
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import Stack, built_in, load_prior

PIXEL, SHAPE = 0.18, (260, 260)


@pytest.fixture(scope="module")
def stack() -> Stack:
    made = load_prior("MoSe2/WS2 twist 9")
    assert isinstance(made, Stack)
    return made


def drawn(stack: Stack, keep: tuple[int, ...]) -> tuple[np.ndarray, list[Pose]]:
    """Counts of a stack, and where its layers lie."""
    base = Pose.from_angle(33.0, PIXEL, (20.2, 31.7))
    image, poses = np.zeros(SHAPE), []
    for number, layer in enumerate(stack.layers):
        turn, _ = stack.carried(number)
        pose = Pose(base.affine @ turn, base.origin + 4.4 * number)
        poses.append(pose)
        yx, index = pose.columns(layer, (SHAPE[0] - 1, SHAPE[1] - 1))
        low = np.floor(np.clip(yx, 0, None)).astype(int)
        part = np.clip(yx, 0, None) - low
        for dy in (0, 1):
            for dx in (0, 1):
                share = np.abs(1 - dy - part[:, 0]) * np.abs(1 - dx - part[:, 1])
                if number in keep:
                    weight = layer.z_weights[index] * (0.9 if number else 1.0)
                    np.add.at(image, (low[:, 0] + dy, low[:, 1] + dx), weight * share)
    image = gaussian_filter(image, 0.42 / PIXEL)
    counts = np.random.default_rng(4).poisson(60 * image / image.max() + 2)
    return counts.astype(np.float32), poses


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter("small", "cpu")


def test_both_layers_are_found_and_named(stack: Stack, segmenter: Segmenter) -> None:
    image, poses = drawn(stack, (0, 1))
    segmenter.set_image(image, PIXEL)
    table = segmenter.segment(stack)
    rows = table.rows
    assert table.provenance["prior_fits"]
    assert table.provenance["prior"] == "MoSe2/WS2 twist 9"
    for number, (layer, pose) in enumerate(zip(stack.layers, poses, strict=True)):
        metal = layer.columns[0]
        yx, index = pose.columns(layer, SHAPE)
        places = yx[(index == 0) & ((yx > 8) & (yx < 252)).all(axis=1)]
        own = rows[(rows["layer"] == number) & (rows["element"] == metal.element)]
        distance, _ = cKDTree(own[["y_px", "x_px"]]).query(places)
        # a lower metal may lie under an upper column, and then is that column
        assert (distance * PIXEL < 0.4).mean() > (0.95 if number == 0 else 0.7)
        assert set(own["site"]) == {metal.site}


@pytest.fixture(scope="module")
def alone(stack: Stack, segmenter: Segmenter) -> tuple[np.ndarray, pd.DataFrame, LatticeFit]:
    """An image of the upper layer alone, the atoms that the stack finds on it, and how it was laid."""
    image, _ = drawn(stack, (0,))
    segmenter.set_image(image, PIXEL)
    rows = segmenter.segment(stack).rows
    assert segmenter.fit is not None
    return image, rows, segmenter.fit


def test_one_layer_alone_is_named_as_the_layer_that_it_is(alone) -> None:
    _, rows, fit = alone
    assert fit.only_layer == 0  # the stack was refused
    assert (rows["layer"] == 0).mean() > 0.98
    assert set(rows["element"]) <= {"Mo", "Se", "X"}


def test_a_stack_that_was_refused_is_not_fitted_again(
    stack: Stack, alone, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, rows, fit = alone

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("the stack was refused already")

    other = Segmenter("small", "cpu")
    other.set_image(image, PIXEL)
    pd.testing.assert_frame_equal(other.segment(stack).rows, rows)
    monkeypatch.setattr(laying, "fit_lattice_steps", never)
    pd.testing.assert_frame_equal(other.segment(stack).rows, rows)
    pd.testing.assert_frame_equal(other.segment(stack, fit=fit).rows, rows)


def test_a_stack_that_fits_nowhere_does_no_harm(segmenter: Segmenter) -> None:
    wrong = load_prior("graphene/h-BN twist 5")
    image, _ = drawn(load_prior("MoSe2/WS2 twist 9"), (0, 1))  # type: ignore[arg-type]
    segmenter.set_image(image, PIXEL)
    table = segmenter.segment(wrong)
    assert table.provenance["prior_fits"] is False
    np.testing.assert_allclose(table.yx, segmenter.segment(None).yx)


def test_the_prompt_holds_the_tokens_of_both_layers(stack: Stack) -> None:
    columns, lattice = described(stack)
    assert columns.shape[1] == 4
    assert [column.layer for column in stack.columns] == [0, 0, 1, 1]
    alone, own = described(built_in("MoSe2"))
    np.testing.assert_allclose(lattice[:, :VECTOR_FEATURES], own[:, :VECTOR_FEATURES])
    np.testing.assert_allclose(columns[0, :2, 6], alone[0, :, 6])  # the elements
    assert columns[0, :, 10].max() < 0.2  # every layer has its own depths


def test_the_places_of_all_layers_are_believed(
    stack: Stack, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("the layers were placed already")

    monkeypatch.setattr(laying, "fit_lattice_steps", never)
    image, poses = drawn(stack, (0, 1))
    segmenter.set_image(image, PIXEL)
    rows = drain(segmenter.steps(stack, fit=LatticeFit(stack, tuple(poses), by_hand=True))).rows
    assert segmenter.fit is not None
    assert segmenter.fit.pose is poses[0]
    assert (rows["layer"] == 1).mean() > 0.2
    doubted = replace(poses[1], reservations=("The lower layer hardly agrees.",))
    table = segmenter.segment(stack, fit=LatticeFit(stack, (poses[0], doubted), by_hand=True))
    assert table.provenance["reservations"] == ["The lower layer hardly agrees."]


def test_another_trust_decodes_only(
    stack: Stack, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, _ = drawn(stack, (0, 1))
    segmenter.set_image(image, PIXEL)
    whole, half = segmenter.segment(stack), segmenter.segment(stack, trust=0.5)

    def never(*arguments: object, **options: object) -> None:
        raise AssertionError("this is known already")

    for name in ("prompt_lattice", "prepare"):
        monkeypatch.setattr(segmenting, name, never)
    monkeypatch.setattr(predictor, "predict_each", never)
    for name in ("fit_lattice_steps", "follow_lattice_steps"):
        monkeypatch.setattr(laying, name, never)
    segmenter.set_image(image.copy(), PIXEL)
    pd.testing.assert_frame_equal(segmenter.segment(stack, trust=0.5).rows, half.rows)
    pd.testing.assert_frame_equal(segmenter.segment(stack).rows, whole.rows)
    monkeypatch.undo()
    segmenter.set_image(image + 1, PIXEL)
    assert segmenter.fit is None


def test_segmenting_at_once_takes_the_fit_that_the_steps_take() -> None:
    at_once, steps = get_type_hints(Segmenter.segment), get_type_hints(Segmenter.steps)
    assert at_once["fit"] == steps["fit"] == LatticeFit | None
