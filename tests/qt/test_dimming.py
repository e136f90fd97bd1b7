"""Atoms of low confidence, drawn faintly instead of hidden: not counted, still selectable."""

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, add_image, fake_operations, picture
from hands import Hands
from napari.layers import Image
from qtpy.QtCore import Qt

from napari_stemprior.atoms import AtomTable
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs
from napari_stemprior.qt.widgets.atom_counts import count_atoms
from napari_stemprior.qt.widgets.drawing import DIM
from napari_stemprior.workflow.segment import Segmentation


@pytest.fixture
def editor(session, viewer):
    add_image(viewer)
    table = AtomTable.from_positions([(10, 10), (10, 30), (30, 10)], PIXEL_SIZE, confidence=[0.2, 0.9, 0.4])
    session.take_segmentation(session.image, Segmentation(table))
    session.editor.threshold = 0.5
    return session.editor


def test_dimmed_atoms_are_drawn_and_selectable_and_do_not_count(editor):
    editor.update_shown()
    assert editor.shown.tolist() == [False, True, False]
    editor.dim = True
    editor.update_shown()
    assert editor.shown.all()
    assert editor.layer.border_color[:, 3].tolist() == pytest.approx([DIM, 1.0, DIM])
    assert (editor.layer.size > 0).all()
    assert len(editor.table(shown_only=True)) == 1
    assert "2 dimmed" in count_atoms(editor)[1]
    assert "hidden" not in count_atoms(editor)[1]
    editor.select([0, 2])
    assert editor.selected_rows == [0, 2]
    editor.set_status([0], "accepted")
    assert editor.layer.border_color[:, 3].tolist() == pytest.approx([1.0, 1.0, DIM])
    assert len(editor.table(shown_only=True)) == 2
    editor.delete([2])
    assert not editor.dimmed.any()
    assert editor.shown.tolist() == [True, True, False], "a rejected one is not shown for this"


def test_what_is_hidden_as_inferred_stays_hidden(editor, monkeypatch):
    editor.dim = editor.hide_inferred = True
    for room in ("atom_edits", "atom_editor"):
        monkeypatch.setattr(
            f"napari_stemprior.qt.editing.{room}.inferred", lambda rows: np.array([True, False, False])
        )
    assert editor.shown.tolist() == [False, True, True]
    assert "1 hidden" in count_atoms(editor)[1]


def test_in_a_window_a_dimmed_atom_is_clicked_and_accepted(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(strict_qt=True)
    data, meta, _ = layer_from_micrographs([Micrograph(picture(), PIXEL_SIZE, "flake")])[0]
    viewer.add_layer(Image(data, **meta))
    desk = StempriorDesk(viewer, fake_operations())
    real = viewer.__wrapped__
    real.window.add_dock_widget(desk, area="right", name="desk")
    real.window.resize(1366, 768)
    try:
        desk.prior_panel.pick("MoS2")
        desk.segment_panel.segment.click()
        qtbot.waitUntil(lambda: not desk.runner.busy, timeout=60_000)
        qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=60_000)
        real.reset_view()
        editor, display = desk.session.editor, desk.correct_panel.display
        hands = Hands(real, editor, qtbot)
        hands.view_settled()
        display.threshold.setValue(0.6)
        qtbot.waitUntil(lambda: editor.threshold == 0.6, timeout=5000)
        middle = np.array(picture().shape) / 2
        faint = np.flatnonzero(editor.below)
        row = int(faint[np.argmin(np.hypot(*(editor.yx[faint] - middle).T))])
        assert not editor.shown[row]
        desk.scroll_area.ensureWidgetVisible(display.dim)
        display.dim.click()
        assert editor.shown[row]
        desk.session.activate_atoms()
        hands.key(Qt.Key.Key_3)
        hands.drag(editor.yx[row])
        assert editor.selected_rows == [row]
        hands.key(Qt.Key.Key_Y)
        assert editor.rows.loc[row, "status"] == "accepted"
        assert not editor.dimmed[row]
    finally:
        desk.close()
