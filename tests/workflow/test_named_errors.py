"""Sentences of images that fail: each names its image, once."""

from __future__ import annotations

import pytest

from napari_stemprior.errors import MicrographError
from napari_stemprior.workflow.segment_frame import named


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("It has no contrast.", "flake: It has no contrast."),
        ("flake: it has no contrast.", "flake: it has no contrast."),
        ("/data/flake.png: no pixel size.", "/data/flake.png: no pixel size."),
        ("/other/flake.png: no pixel size.", "flake: /other/flake.png: no pixel size."),
    ],
)
def test_the_image_is_named_once(text: str, sentence: str) -> None:
    assert named(MicrographError(text), "flake", "/data/flake.png") == sentence


def test_an_image_without_a_file_is_named_by_itself() -> None:
    assert named(MicrographError("It has no contrast."), "flake") == "flake: It has no contrast."
