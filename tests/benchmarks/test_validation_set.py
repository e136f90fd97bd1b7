from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from benchmarks.validation.scans import load
from benchmarks.validation.validation_set import Item, items


@pytest.fixture(scope="module")
def view() -> Item:
    (found,) = items("32 wse2_twisted_vacancies")
    return found


def test_the_hidden_vacancies_of_a_bilayer_are_empty_sites_of_its_lower_layer(view: Item) -> None:
    assert len(view.vacancies) == len(view.vacancy_layers) > 20
    assert set(view.vacancy_layers) == {1}
    lower = view.truth.yx[view.truth.rows["layer"].to_numpy() == 1]
    neighbour = np.median(cKDTree(lower).query(lower, k=2)[0][:, 1])
    assert cKDTree(lower).query(view.vacancies)[0].min() > 0.9 * neighbour


def test_the_image_lacks_what_is_vacant_and_nothing_else(view: Item) -> None:
    whole = view.view.draw(load("wse2_twisted"))
    pixels = np.stack(np.indices(view.image.shape), -1).reshape(-1, 2)
    # a vacancy just off the image takes its tail with it
    away, _ = view.view.columns(load(view.specimen).vacancies, margin=6.0)  # type: ignore[arg-type]
    distance = (cKDTree(away).query(pixels)[0] * view.pixel_size).reshape(view.image.shape)
    lost = (whole - view.image) / whole.std()
    assert np.abs(lost[distance > 3.0]).max() < 0.15
    assert lost[distance < 0.2].min() > 1.0
