"""The windows of tables and figures that stand beside the dock."""

from __future__ import annotations

from qtpy.QtWidgets import QWidget


class NumberWindows(list[QWidget]):
    """Windows that are open, one of each kind at most: they show numbers that are replaced together."""

    def open(self, window: QWidget) -> None:
        """Show a window in place of the one of its kind."""
        for same in [one for one in self if type(one) is type(window)]:
            _close(same)
            self.remove(same)
        self.append(window)
        window.show()

    def close(self) -> None:
        """Close all of them."""
        for window in self:
            _close(window)
        self.clear()


def _close(window: QWidget) -> None:
    window.close()
    window.deleteLater()
