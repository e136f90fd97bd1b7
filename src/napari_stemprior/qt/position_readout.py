"""Where the mouse is, in pixels and in Å, in the status bar of the window."""

from __future__ import annotations

from typing import Any

from napari_stemprior.qt.session import Session


class PositionReadout:
    """Rewrites what napari says of the place under the mouse: it names no unit and no pixel.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        # after the window, which shows the last status that it was told
        session.viewer.events.status.connect(self._on_status, position="last")

    def close(self) -> None:
        """Let go of the viewer."""
        self._session.viewer.events.status.disconnect(self._on_status)

    def text(self, told: str) -> str:
        """Return the words of napari, ``[y, x]: value``, with pixels and Å of the chosen image.

        Parameters
        ----------
        told : str
        """
        image = self._session.image
        close = told.find("]")
        if image is None or not told.startswith("[") or close < 0:
            return told
        place = image.world_to_data(self._session.viewer.cursor.position)[-2:]
        y, x = (float(value) for value in place)
        size = self._session.pixel_size
        angstrom = "" if size is None else f" = y {y * size:.2f}, x {x * size:.2f} Å"
        value = told[close + 1 :]
        return f"y {y:.1f}, x {x:.1f} px{angstrom}{value if value.strip(': ') else ''}"

    def _on_status(self, event: Any) -> None:
        status = self._session.viewer.status
        if isinstance(status, dict) and str(status.get("coordinates", "")).startswith("["):
            told = str(status["coordinates"])
            words = self.text(told)
            if words != told:
                self._session.viewer.status = {**status, "coordinates": words}
