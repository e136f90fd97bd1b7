"""What the tests of the commands share."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from segment_bench import FakeSegmenter, lattice_image


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeSegmenter]:
    import napari_stemprior.inference

    FakeSegmenter.asked = []
    monkeypatch.setattr(napari_stemprior.inference, "Segmenter", FakeSegmenter)
    return FakeSegmenter


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "flake.png"
    Image.fromarray(lattice_image()).save(path)
    return path
