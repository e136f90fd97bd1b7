"""A desk on a viewer without a window, and the means to wait for its work."""

from desk_fakes import add_image, fake_operations
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QApplication

from napari_stemprior.qt.desk import StempriorDesk


class Desk:
    """A desk and the means to wait for it."""

    def __init__(self, qtbot, viewer, **changes):
        self.bot, self.viewer = qtbot, viewer
        self.widget = StempriorDesk(viewer, fake_operations(**changes))
        qtbot.addWidget(self.widget)
        self.finish(self.widget.segment_panel._lister)
        notification_manager.records.clear()

    def __getattr__(self, name):
        return getattr(self.widget, name)

    def finish(self, runner=None):
        runner = runner or self.widget.runner
        self.bot.waitUntil(lambda: not runner.busy, timeout=60_000)
        self.turn()

    def turn(self):
        """Let the event loop turn once: panels follow an edit when the window has shown it."""
        QApplication.processEvents()

    def press(self, button):
        assert button.isEnabled(), button.toolTip()
        button.click()
        self.finish()

    def segmented(self):
        add_image(self.viewer)
        self.prior_panel.pick("MoS2")
        self.press(self.segment_panel.segment)
        return self


def said():
    return [n.message for n in notification_manager.records]


def why_not(button):
    assert not button.isEnabled()
    assert "Not now:" in button.toolTip()
    return button.toolTip()
