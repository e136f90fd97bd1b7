"""Stacks: which frames have atoms, and copying them to the next frame."""

from __future__ import annotations

from typing import Any

from napari.utils.notifications import show_info
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_stemprior.qt.panels.panel import NO_ATOMS, allow
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.session import Session


class FrameBox(QWidget):
    """Shown while the chosen image is a stack.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.state = small_label()
        self.copy = QPushButton("Copy to next frame")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.state, 1)
        row.addWidget(self.copy)
        self.copy.clicked.connect(self.copy_on)
        session.image_changed.connect(self.refresh)
        self.refresh()

    @property
    def following(self) -> tuple[int, ...] | None:
        """The next frame; None at the last one or where the image is no stack."""
        image, frame = self.session.image, self.session.frame
        if image is None or not frame:
            return None
        count = int(self.session.viewer.dims.nsteps[len(frame) - 1])
        return (*frame[:-1], frame[-1] + 1) if frame[-1] + 1 < count else None

    def refresh(self, *_: Any) -> None:
        """Show the present frame."""
        frame, editor = self.session.frame, self.session.editor
        self.setVisible(bool(frame))
        if not frame:
            return
        done = 0 if editor is None else len(editor.frames)
        self.state.setText(f"Frame {frame[-1] + 1}, {done} with atoms")
        there = editor is not None and len(editor.table())
        allow(
            self.copy,
            "Copy the atoms of this frame to the next one and go there; atoms that are there already stay.",
            "" if there else NO_ATOMS,
            "" if self.following is not None else "This is the last frame.",
        )

    def copy_on(self, *_: Any) -> None:
        """Copy the atoms to the next frame and go there."""
        editor, frame, following = self.session.editor, self.session.frame, self.following
        if editor is None or following is None:
            return
        copied = editor.copy_to_frame(following)
        self.session.viewer.dims.set_current_step(len(frame) - 1, following[-1])
        show_info(f"{copied} atoms were copied to frame {following[-1] + 1}.")
