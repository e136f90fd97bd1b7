"""Keys and mouse of a person at a real window."""

from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

NONE = Qt.KeyboardModifier.NoModifier


def settled(bot, reading):
    """Wait until something read from a window has stayed the same for some rounds of the event loop."""
    seen = []

    def same():
        seen.append(reading())
        return len(seen) > 5 and all(one == seen[-1] for one in seen[-5:])

    bot.waitUntil(same, timeout=60_000)


class Hands:
    """Presses keys and moves the mouse on the canvas."""

    def __init__(self, viewer, editor, qtbot):
        self.viewer, self.editor, self.bot = viewer, editor, qtbot
        self.canvas = viewer.window._qt_viewer.canvas
        self.native = self.canvas.native

    def key(self, key, modifiers=NONE):
        QTest.keyClick(self.native, key, modifiers)
        self.bot.wait(20)

    def view_settled(self):
        """Wait until the canvas shows what the camera asks for."""
        settled(self.bot, lambda: (self.canvas.native.size(), self.on_screen((0, 0)), self.on_screen((9, 9))))

    def on_screen(self, yx):
        y, x = self.editor.layer.data_to_world(yx)
        transform = self.canvas.view.transform * self.canvas.view.scene.transform
        return QPoint(*(round(float(v)) for v in transform.map([x, y])[:2]))

    def drag(self, *path, button=Qt.MouseButton.LeftButton, modifiers=NONE):
        QTest.mousePress(self.native, button, modifiers, self.on_screen(path[0]))
        for yx in path[1:]:
            place = self.on_screen(yx)
            event = QMouseEvent(
                QEvent.Type.MouseMove,
                QPointF(place),
                QPointF(self.native.mapToGlobal(place)),
                Qt.MouseButton.NoButton,
                button,
                modifiers,
            )
            QApplication.sendEvent(self.native, event)
            self.bot.wait(20)
        QTest.mouseRelease(self.native, button, modifiers, self.on_screen(path[-1]))
        self.bot.wait(20)
