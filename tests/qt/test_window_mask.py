"""A mask painted in a real window, by a real mouse."""

import numpy as np
from desk_fakes import PIXEL_SIZE, fake_operations, picture
from hands import Hands
from napari.layers import Image
from qtpy.QtCore import Qt

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs


class Painter(Hands):
    """Finds its way by the layer that is painted in."""

    def on_screen(self, yx):
        self.editor.layer = self.panel.layer or self.image
        return super().on_screen(yx)


def test_a_person_paints_erases_and_undoes(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(strict_qt=True)
    data, meta, _ = layer_from_micrographs([Micrograph(picture(), PIXEL_SIZE, "flake")])[0]
    image = viewer.add_layer(Image(data, **meta))
    desk = StempriorDesk(viewer, fake_operations())
    real = viewer.__wrapped__
    real.window.add_dock_widget(desk, area="right", name="desk")
    real.window.resize(1366, 768)
    box = desk.prior_panel.mask_box
    hands = Painter(real, type("Editor", (), {})(), qtbot)
    hands.panel, hands.image = box, image
    real.reset_view()
    hands.view_settled()
    try:
        qtbot.mouseClick(box.paint, Qt.MouseButton.LeftButton)
        assert real.layers.selection.active is box.layer
        hands.drag((40, 30), (40, 40), (40, 60))
        mask = desk.session.mask
        assert mask[40, 30:60].all()
        assert not mask[60:].any()
        assert "% of the image" in box.said.text()
        np.testing.assert_array_equal(desk.session.micrograph().excluded, mask)
        hands.key(Qt.Key.Key_1)
        hands.drag((40, 30), (40, 40))
        assert not desk.session.mask[40, 32:38].any()
        assert desk.session.mask[40, 58]
        hands.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(lambda: desk.session.mask[40, 32:38].all(), timeout=5000)
        qtbot.mouseClick(box.clear, Qt.MouseButton.LeftButton)
        assert desk.session.mask is None
    finally:
        desk.close()
