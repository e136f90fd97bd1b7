"""What the panels of the six steps have in common."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QLayout, QVBoxLayout, QWidget

from napari_stemprior.errors import StempriorError
from napari_stemprior.progress import Progress
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.session import Session

BUSY = "Other work is running; wait for it or cancel it in step 4."
NO_IMAGE = "Open a micrograph first (File > Open, or File > Open Sample)."
NO_PRIOR = "Pick a lattice prior in step 2 first."
NO_PIXEL_SIZE = "The pixel size is unknown; type it in step 1, or fit it there with a prior."
NO_ATOMS = "Segment the image in step 4 first."


class Panel(QWidget):
    """One step: widgets that read the session and call it.

    Parameters
    ----------
    session : Session
    runner : JobRunner
    """

    #: Text for the header of the step.
    state_changed = Signal(str)

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__()
        self.session = session
        self.runner = runner
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(8, 2, 8, 6)
        self.rows.setSpacing(5)

    def form(self) -> QFormLayout:
        """Add a form whose fields fill the width."""
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(5)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.rows.addLayout(form)
        return form

    def add(self, item: QWidget | QLayout) -> None:
        """Add a widget or a layout below what is there."""
        if isinstance(item, QLayout):
            self.rows.addLayout(item)
        else:
            self.rows.addWidget(item)

    def run(self, work: Generator[Progress, None, Any], done: Callable[[Any], Any]) -> bool:
        """Start work on the chosen image; see `run_on_image`."""
        return run_on_image(self.session, self.runner, work, done)

    def refresh(self) -> None:
        """Show the session as it is now."""
        raise NotImplementedError


def allow(widget: QWidget, tooltip: str, *obstacles: str) -> None:
    """Enable a widget unless there is an obstacle; its tooltip then tells the first one."""
    reason = next((o for o in obstacles if o), "")
    widget.setEnabled(not reason)
    widget.setToolTip(f"<qt>{tooltip}{f'<br><b>Not now:</b> {reason}' if reason else ''}</qt>")


def run_on_image(
    session: Session, runner: JobRunner, work: Generator[Progress, None, Any], done: Callable[[Any], Any]
) -> bool:
    """Start work on the chosen image; its result comes to that image, whichever is chosen by then.

    Parameters
    ----------
    session : Session
    runner : JobRunner
    work : generator of Progress
    done : callable
        Gets the result with the image chosen again; not called if the image was closed.

    Returns
    -------
    bool
        Whether it was started.
    """
    image = session.image

    def back(result: Any) -> Any:
        if image is not None and image not in session.viewer.layers:
            return None
        if image is not session.image:
            session.choose_image(image)
            session.activate(image)
        return done(result)

    return runner.start(work, back)


def tell(error: StempriorError) -> None:
    """Show an error of ours as a notification."""
    show_error(str(error))
