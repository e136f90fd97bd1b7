import os
import sys
from pathlib import Path

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, add_image

from napari_stemprior.atoms import AtomTable
from napari_stemprior.qt import demo
from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.layers.atom_layers import new_atoms_layer


def test_the_largest_gap_is_the_hole(viewer):
    image = add_image(viewer)
    grid = np.stack(np.meshgrid(np.arange(0, 80, 5), np.arange(0, 100, 5), indexing="ij"), -1).reshape(-1, 2)
    grid = grid[np.hypot(grid[:, 0] - 40, grid[:, 1] - 60) > 12]
    editor = AtomEditor(new_atoms_layer(image, PIXEL_SIZE, 1.0), PIXEL_SIZE)
    editor.take_prediction(AtomTable.from_positions(grid, PIXEL_SIZE))
    radius, x, y = demo.largest_gap(editor, (80, 100))
    assert np.hypot(y - 40, x - 60) < 3
    assert radius == pytest.approx(13 * PIXEL_SIZE, abs=2 * PIXEL_SIZE)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
def test_without_a_display_it_says_how_to_run(monkeypatch, capsys):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert demo.main([]) == 2
    assert "xvfb-run" in capsys.readouterr().err


def test_a_demo_leaves_no_journal_and_no_cache_behind(monkeypatch):
    monkeypatch.setenv("STEMPRIOR_JOURNALS", "mine")
    monkeypatch.delenv("STEMPRIOR_CACHE", raising=False)
    with demo.own_folders():
        folders = [Path(os.environ[name]) for name in ("STEMPRIOR_JOURNALS", "STEMPRIOR_CACHE")]
        for folder in folders:
            folder.mkdir()
    assert not any(folder.exists() for folder in folders)
    assert os.environ["STEMPRIOR_JOURNALS"] == "mine"
    assert "STEMPRIOR_CACHE" not in os.environ
