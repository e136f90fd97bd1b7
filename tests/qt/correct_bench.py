"""A desk whose image is segmented and fitted, with a mouse that a test moves."""

from types import SimpleNamespace

import numpy as np
from desk_fakes import PIXEL_SIZE, SHAPE, fake_operations, picture
from napari.layers import Image
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QApplication

from napari_stemprior.atoms import AtomTable
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.layers.atom_layers import (
    layer_from_micrographs,
    new_atoms_layer,
)
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import built_in

POSE = Pose.from_angle(0.0, PIXEL_SIZE, (5.0, 9.0), score=0.9)


class Bench:
    """A desk with the lattice of MoS2, one atom of it missing at `gap`."""

    def __init__(self, qtbot, viewer):
        self.viewer, self.bot = viewer, qtbot
        self.desk = StempriorDesk(viewer, fake_operations())
        qtbot.addWidget(self.desk)
        qtbot.waitUntil(lambda: not self.desk.segment_panel._lister.busy, timeout=60_000)
        notification_manager.records.clear()
        self.session, self.panel = self.desk.session, self.desk.correct_panel

    def fill(self, image=None):
        prior = built_in("MoS2")
        yx, index = POSE.columns(prior, SHAPE)
        bright = picture() + sum(
            8 * np.exp(-((np.indices(SHAPE) - at[:, None, None]) ** 2).sum(0) / 8) for at in yx
        )
        data, meta, _ = layer_from_micrographs([Micrograph(bright, PIXEL_SIZE, "flake")])[0]
        image = self.viewer.add_layer(Image(data, **meta)) if image is None else image
        self.session.set_prior(prior)
        self.session.set_fit(LatticeFit(prior, (POSE,)))
        self.viewer.add_layer(new_atoms_layer(image, PIXEL_SIZE, 1.0))
        self.gap = int(np.argmin(np.hypot(*(yx - (40, 50)).T)))
        keep = np.arange(len(yx)) != self.gap
        element = np.array([prior.columns[i].element for i in index], object)
        self.site, self.missing = yx[self.gap], element[self.gap]
        self.editor.take_prediction(
            AtomTable.from_positions(yx[keep], PIXEL_SIZE, element=element[keep], confidence=0.97)
        )
        return self

    @property
    def editor(self):
        return self.session.editor

    def press(self, key):
        keys = {str(k): call for k, call in self.editor.layer.keymap.items()}
        done = keys[key](self.editor.layer)
        self.turn()
        return done

    def turn(self):
        """Let the event loop turn once: panels follow an edit when the window has shown it."""
        QApplication.processEvents()

    def mouse(self, *path, button=1, modifiers=()):
        """Press at the first pixel, move along the others, let go at the last."""
        layer = self.editor.layer
        event = SimpleNamespace(button=button, modifiers=modifiers, handled=False, type="mouse_press")

        def go(yx):
            event.position = layer.data_to_world(np.asarray(yx, float))
            event.pos = np.asarray(yx, float)[::-1] * 10
            event.handled = False

        go(path[0])
        callback = self.editor.layer.mouse_drag_callbacks[-1]
        steps = callback(layer, event)
        handled = []
        for yx in [None, *path[1:]]:
            if yx is not None:
                event.type = "mouse_move"
                go(yx)
            next(steps, None)
            handled.append(event.handled)
        event.type = "mouse_release"
        next(steps, None)
        return handled


def last(editor):
    return editor.rows.iloc[-1]
