"""What is said of a lattice that the image itself shows."""

import pytest

from napari_stemprior.workflow.image_lattice import image_lattice_sentence, segmented_how

LATTICE = {"cell": "3.16 x 3.16 Å, 60.0°", "columns": 2, "cells": 240}


def test_nothing_is_said_without_one():
    assert image_lattice_sentence({"image_lattice": None}, 0.1) == ""
    assert segmented_how({"image_lattice": None, "prior_unplaced": False}) == "alone"
    assert "spacings" in segmented_how({"image_lattice": None, "prior_unplaced": True})


def test_elements_of_a_crystal_that_nobody_named_are_unknown():
    said = image_lattice_sentence({"image_lattice": LATTICE}, 0.1)
    assert "3.16 x 3.16 Å" in said
    assert "240 cells" in said
    assert "unknown" in said
    assert segmented_how({"image_lattice": LATTICE}) == "with the lattice that it shows itself"


@pytest.mark.parametrize(
    ("stretch", "size"),
    [
        (1.002, ""),
        (1.25, "0.0800 Å/px (20 % smaller)"),
        (0.8, "0.1250 Å/px (25 % larger)"),
        (1.02, "(2 % smaller)"),
    ],
)
def test_a_cell_of_another_size_than_the_prior_says_which_pixels_would_be_right(stretch, size):
    lattice = LATTICE | {"prior": "MoS2", "stretch": stretch}
    said = image_lattice_sentence({"image_lattice": lattice}, 0.1)
    assert "2 columns of MoS2" in said
    assert (size in said) if size else ("Å/px" not in said)
    assert "its columns" in segmented_how({"image_lattice": lattice})
