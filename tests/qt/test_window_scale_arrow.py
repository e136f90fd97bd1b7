"""The scale arrow of displacements in a real window: as long as the arrows, at any gain and zoom.

Set ``STEMPRIOR_SHOTS`` to a folder to keep screenshots.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from crystal_bench import crystal
from desk_fakes import PIXEL_SIZE, fake_fit_lattice, fake_operations
from hands import Hands
from napari.layers import Image
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.demo import dismiss
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs
from napari_stemprior.qt.layers.measurement_layers import shown_layer
from napari_stemprior.qt.layers.scale_arrow import LONGEST, NAME

SIDE = 100


class _Seen:
    """What the canvas shows of the scale arrow of a layer."""

    def __init__(self, viewer, layer, hands):
        self._canvas = viewer.__wrapped__.window._qt_viewer.canvas
        self._layer, self._hands = layer, hands

    @property
    def drawn(self):
        return self._canvas._layer_overlay_to_visual.get(self._layer, {}).get(self._layer._overlays[NAME])

    @property
    def length(self):
        """Screen pixels from end to tip."""
        return float(np.ptp(self.drawn.node.line.pos[:2, 0]))

    @property
    def angstrom(self):
        number, unit = self.drawn.node.text.text.split()[-2:]
        return float(number) * {"pm": 0.01, "Å": 1.0}[unit]

    @property
    def expected(self):
        """Screen pixels of a displacement of that length, by where the canvas draws its ends."""
        far = 1000.0  # px of the image, so that rounding to pixels of the screen does not matter
        start, end = self._hands.on_screen((0.0, 0.0)), self._hands.on_screen((0.0, far))
        return (end.x() - start.x()) / far * self._layer.length * self.angstrom / PIXEL_SIZE


def _wheel(native, notches):
    place = QPointF(native.width() / 2, native.height() / 2)
    event = QWheelEvent(
        place, native.mapToGlobal(place), QPoint(0, 0), QPoint(0, 120 * notches), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(native, event)


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_it_follows_gain_and_zoom_and_goes_with_its_layer(make_napari_viewer_proxy, qtbot, tmp_path, theme):
    viewer = make_napari_viewer_proxy(strict_qt=True, show=True)
    viewer.__wrapped__.window.resize(1366, 768)
    viewer.theme = theme
    ((data, meta, _),) = layer_from_micrographs([Micrograph(crystal(SIDE), PIXEL_SIZE, "flake")])
    viewer.add_layer(Image(data, **meta))
    desk = StempriorDesk(
        viewer, fake_operations(fit_lattice=fake_fit_lattice, follow_lattice=lambda image, size, fit: fit)
    )
    viewer.__wrapped__.window.add_dock_widget(desk, area="right", name="desk")
    qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=60_000)
    desk.prior_panel.pick("MoS2")
    panel, session = desk.measure_panel, desk.session
    for title, section in desk.sections.items():
        section.set_expanded(title in ("4 Segment", "8 Measure"))
    qtbot.waitUntil(panel.measure.isVisible, timeout=60_000)
    for button in (desk.segment_panel.segment, panel.measure):
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not desk.runner.busy, timeout=60_000)
    measured, box = panel.measured, panel.box
    view = next(one for one in measured.views if one.name == "displacements")
    box.view.setFocus()
    box.view.setCurrentIndex(box.view.findText("displacements") - 1)
    QTest.keyClick(box.view, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: shown_layer(viewer, view, session.image) is not None, timeout=60_000)
    layer = shown_layer(viewer.__wrapped__, view, session.image)
    viewer.reset_view()
    hands = Hands(viewer.__wrapped__, session.editor, qtbot)
    hands.view_settled()
    seen = _Seen(viewer, layer, hands)
    qtbot.waitUntil(lambda: seen.drawn is not None, timeout=60_000)

    lengths = []
    for change in (
        lambda: None,
        lambda: box.gain.setValue(box.gain.value() * 3),
        lambda: _wheel(hands.native, 5),
        lambda: _wheel(hands.native, -8),
        lambda: box.gain.setValue(box.gain.value() / 7),
    ):
        change()
        hands.view_settled()
        assert seen.drawn.node.text.text.startswith("displacements ")
        assert seen.length == pytest.approx(seen.expected, rel=0.01)
        assert 0.39 * LONGEST < seen.length < 1.01 * LONGEST
        lengths.append(seen.angstrom)
    assert len(set(lengths)) > 2, "gain and zoom have changed what it says"

    dismiss()
    shots = Path(os.environ.get("STEMPRIOR_SHOTS", tmp_path))
    shots.mkdir(parents=True, exist_ok=True)
    viewer.screenshot(str(shots / f"scale_arrow_{theme}.png"), canvas_only=False, flash=False)
    drawn = seen.drawn
    assert drawn.node.visible
    layer.visible = False
    assert not drawn.node.visible
    layer.visible = True
    assert drawn.node.visible
    viewer.layers.remove(layer.name)
    assert seen.drawn is None
    assert drawn.node.parent is None
    desk.close()
    qtbot.wait(50)
