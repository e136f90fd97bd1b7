"""Stacks: which frames have atoms, and copying them to the next frame."""

from __future__ import annotations

from typing import Any

from napari.utils.notifications import show_info
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import StempriorError
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.atom_layers import micrograph_from_layer
from napari_stemprior.qt.panels.panel import BUSY, NO_ATOMS, allow, tell
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.workflow.copy_corrections import CopiedCorrections, copy_corrections


class FrameBox(QWidget):
    """Shown while the chosen image is a stack.

    Parameters
    ----------
    session : Session
    runner : JobRunner
    """

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__()
        self.session, self.runner = session, runner
        self.state = small_label()
        self.copy = QPushButton("Copy to next frame")
        self.copy_edits = QPushButton("Copy corrections to next frame")
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.state, 1)
        row.addWidget(self.copy)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(5)
        rows.addLayout(row)
        rows.addWidget(self.copy_edits)
        self.copy.clicked.connect(self.copy_on)
        self.copy_edits.clicked.connect(self.copy_corrections)
        runner.busy_changed.connect(self.refresh)
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

        segmented = editor is not None and self.following in editor.frames
        allow(
            self.copy_edits,
            "Reject, accept and rename in the next frame what you did here, and mark the same vacancies: "
            "each at the atom to which the specimen has drifted, where the next frame has it. One step of undo "
            "there.",
            "" if there else NO_ATOMS,
            "" if self.following is not None else "This is the last frame.",
            "" if segmented else "Segment the next frame first.",
            BUSY if self.runner.busy else "",
        )

    def copy_corrections(self, *_: Any) -> None:
        """Copy the corrections to the next frame in a worker, and go there."""
        editor, frame, following, image = (
            self.session.editor,
            self.session.frame,
            self.following,
            self.session.image,
        )
        if editor is None or following is None or image is None or following not in editor.histories:
            return
        there = editor.histories[following]
        try:
            images = [micrograph_from_layer(image, (*at, 0, 0)).image for at in (frame, following)]
        except StempriorError as error:
            tell(error)
            return
        tables = [AtomTable(editor.histories[at].rows, editor.pixel_size) for at in (frame, following)]
        work = copy_corrections(tables[0], tables[1], (images[0], images[1]), there.next_id)
        state = there.position, len(there.steps)

        def done(copied: CopiedCorrections) -> None:
            if (there.position, len(there.steps)) != state or editor.histories.get(following) is not there:
                show_info("The next frame was edited meanwhile, so nothing was copied; copy again.")
                return
            if len(copied.after):
                label = f"copy corrections from frame {frame[-1] + 1} ({len(copied.after)})"
                editor.record(label, copied.before, copied.after, frame=following)
            if self.session.image is image:
                self.session.viewer.dims.set_current_step(len(frame) - 1, following[-1])
            show_info(copied.sentence)

        self.runner.start(work, done)

    def copy_on(self, *_: Any) -> None:
        """Copy the atoms to the next frame and go there."""
        editor, frame, following = self.session.editor, self.session.frame, self.following
        if editor is None or following is None:
            return
        copied = editor.copy_to_frame(following)
        self.session.viewer.dims.set_current_step(len(frame) - 1, following[-1])
        show_info(f"{copied} atoms were copied to frame {following[-1] + 1}.")
