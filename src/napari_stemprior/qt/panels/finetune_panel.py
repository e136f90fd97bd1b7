"""Step 7: what to correct next, and the network that learns from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
)

from napari_stemprior.atoms.next_region import Region, doubt_of, most_doubtful
from napari_stemprior.atoms.review_queue import empty, settled
from napari_stemprior.errors import StempriorError
from napari_stemprior.qt.image_context import ImageContext
from napari_stemprior.qt.jobs.finetune_process import FinetuneProcess
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.atom_layers import region_mask
from napari_stemprior.qt.panels.panel import NO_ATOMS, Panel, allow, tell
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.loss_plot import LossPlot

#: Doubt about a lattice site without an atom: missed, or a vacancy?
_EMPTY_DOUBT = 0.5
#: Pixels on the side of a region that is proposed.
_SIDE = 256
#: Part of the canvas that a proposed region fills.
_FILL = 0.8


class FinetunePanel(Panel):
    """Proposes regions to correct, and fine-tunes on what was corrected.

    Parameters
    ----------
    session : Session
    runner : JobRunner
    context : ImageContext
        Knows the empty lattice sites.
    process : FinetuneProcess, optional
        Replaced in tests.
    """

    #: The name of a new network, and whether it is better than its parent.
    made = Signal(str, bool)

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        context: ImageContext,
        process: FinetuneProcess | None = None,
    ) -> None:
        super().__init__(session, runner)
        self.context = context
        self.process = process or FinetuneProcess()
        self.process.setParent(self)
        #: The parent of the next network, as step 4 has it.
        self.parent_model = "small"
        self._name = ""
        self._stopping = False
        self.suggest = QPushButton("Suggest a region to correct")
        self.folder = QLineEdit()
        self.folder.setPlaceholderText("folder of training pairs")
        self.choose = QPushButton("…")
        self.choose.setToolTip("Choose the folder of training pairs")
        self.choose.setFixedWidth(32)
        self.name = QLineEdit()
        self.name.setPlaceholderText("name of the new network")
        self.name.setToolTip("<qt>Step 4 offers the new network under this name, with both its scores.</qt>")
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0.5, 120.0)
        self.minutes.setSingleStep(0.5)
        self.minutes.setValue(2.0)
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip("<qt>Time limit of the whole run. Two minutes suffice for five regions.</qt>")
        self.start_button = QPushButton("Fine-tune")
        self.cancel = QPushButton("Stop")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(10)
        self.plot = LossPlot()
        self.stage = small_label()
        folder_row, bar_row = QHBoxLayout(), QHBoxLayout()
        folder_row.addWidget(self.folder, 1)
        folder_row.addWidget(self.choose)
        bar_row.addWidget(self.bar, 1)
        bar_row.addWidget(self.cancel)
        self.add(self.suggest)
        form = self.form()
        form.addRow("Pairs", folder_row)
        form.addRow("Name", self.name)
        form.addRow("Time", self.minutes)
        self.add(self.start_button)
        self.add(bar_row)
        self.add(self.plot)
        self.add(self.stage)
        self.suggest.clicked.connect(self.suggest_region)
        self.choose.clicked.connect(self._ask_folder)
        self.start_button.clicked.connect(self.start)
        self.cancel.clicked.connect(self._on_cancel)
        for field in (self.folder, self.name):
            field.textChanged.connect(self.refresh)
        self.process.progressed.connect(self._on_progress)
        self.process.done.connect(self._on_done)
        self.process.stopped.connect(self._on_stopped)
        self.process.busy_changed.connect(self._on_busy)
        session.atoms_changed.connect(self.refresh)
        session.image_changed.connect(self.refresh)
        self._on_busy(False)

    def refresh(self, *_: Any) -> None:
        """Show what can be done."""
        busy = self.process.busy
        allow(
            self.suggest,
            "Find the square with the most doubt per nm², draw it as the reviewed region of step 6 and look "
            "at it. Correct every atom in it, then save the pair.",
            "" if self.session.editor is not None else NO_ATOMS,
        )
        allow(
            self.start_button,
            f"Fine-tune a copy of the network '{self.parent_model}' on the pairs of the folder, in a process "
            "of its own. It is judged before and after on a part of the pairs that is held out.",
            "It is running." if busy else "",
            "" if self.folder.text().strip() else "Save a training pair in step 6, or choose a folder.",
            "" if self.name.text().strip() else "Give the new network a name.",
        )
        allow(
            self.cancel,
            "Stop within two seconds; a later run can resume it.",
            "" if busy else "Nothing is running.",
            "It is stopping." if self._stopping else "",
        )
        self.start_button.setText("Go on" if not busy and self._can_resume() else "Fine-tune")
        self.state_changed.emit("learning…" if busy else "")

    def take_folder(self, folder: Path) -> None:
        """Take the folder to which a pair was saved, and propose a name."""
        self.folder.setText(str(folder))
        if not self.name.text().strip():
            self.name.setText(f"{folder.name or 'my'} network")

    def take_parent(self, model: str) -> None:
        """Take the network of step 4 as the parent."""
        if model:
            self.parent_model = model
            self.refresh()

    def start(self) -> None:
        """Fine-tune in a process of its own."""
        from napari_stemprior.inference.models import new_model_path

        try:
            path = new_model_path(self.name.text())
        except StempriorError as error:
            tell(error)
            return
        arguments = [
            *(self.folder.text().strip(), "-o", str(path), "--model", self.parent_model),
            *("--minutes", f"{self.minutes.value():g}"),
        ]
        self._name = self.name.text().strip()
        resume = ["--resume"] if self._can_resume() else []
        if not resume:
            self.plot.clear()
        self.process.start([*arguments, *resume])

    def close_process(self) -> None:
        """End a run that is going on, because the desk closes."""
        self.process.close()

    def suggest_region(self) -> Region | None:
        """Draw the region with the most doubt and look at it."""
        editor, image = self.session.editor, self.session.image
        shape = self.context.shape
        if editor is None or image is None or shape is None:
            return None
        old = self.session.reviewed_region()
        reviewed = None
        try:
            if old is not None and old.nshapes:
                reviewed = region_mask(old, shape)
        except StempriorError as error:
            tell(error)
            return None
        rows = editor.rows
        doubt = doubt_of(rows["confidence"], rows["evidence"], settled(rows))
        places = [rows[["y_px", "x_px"]].to_numpy(float)]
        doubts = [doubt]
        occupancy = self.context.occupancy()
        if occupancy is not None:
            bare = empty(rows, occupancy)
            places.append(occupancy.sites.yx[bare])
            doubts.append(_EMPTY_DOUBT * occupancy.sites.reliability[bare])
        region = most_doubtful(
            np.concatenate(places), np.concatenate(doubts), shape, editor.pixel_size, _SIDE, reviewed
        )
        if region is None:
            show_info("There is no doubt about any atom outside the regions that you have reviewed.")
            return None
        self._draw(region)
        show_info(
            f"About {region.doubt:.2g} doubtful atoms per nm² in this square. Correct all of it; it counts "
            "as reviewed when you save the training pair in step 6."
        )
        return region

    def _draw(self, region: Region) -> None:
        layer = self.session.draw_region()
        if layer is None:
            return
        top, left, bottom, right = region.top, region.left, region.bottom, region.right
        layer.add_rectangles([[(top, left), (top, right), (bottom, right), (bottom, left)]])
        low, high = (np.array(layer.data_to_world(c)[-2:]) for c in ((top, left), (bottom, right)))
        viewer = self.session.viewer
        centre = (low + high) / 2
        viewer.scene.camera.center = (0.0, float(centre[0]), float(centre[1]))
        canvas = max(min(viewer.canvas.size), 1)
        viewer.scene.camera.zoom = _FILL * canvas / max(float((high - low).max()), 1e-9)
        self.session.activate_atoms()

    def _can_resume(self) -> bool:
        from napari_stemprior.inference.models import unfinished_path

        return unfinished_path(self.name.text().strip()) is not None

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of training pairs")
        if folder:
            self.take_folder(Path(folder))

    def _on_cancel(self) -> None:
        self._stopping = True
        self.process.cancel()
        self.stage.setText("Stopping…")
        self.refresh()

    def _on_busy(self, busy: bool) -> None:
        self._stopping = False
        self.bar.setRange(0, 0 if busy else 1)
        self.bar.setValue(0)
        if busy:
            self.stage.setText("Starting…")
        for widget in (self.bar, self.cancel):
            widget.setVisible(busy)
        self.plot.setVisible(busy or bool(self.plot.losses))
        self.stage.setVisible(bool(self.stage.text()))
        self.refresh()

    def _on_progress(self, values: dict[str, Any]) -> None:
        done, total = int(values["done"]), int(values["total"])
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        if "loss" in values:
            self.plot.add(float(values["loss"]), total)
        if not self._stopping:
            stage = str(values["stage"])
            count = f" ({done} of {total})" if total else ""
            self.stage.setText(f"{stage[:1].upper()}{stage[1:]}{count}…")

    def _on_done(self, values: dict[str, Any]) -> None:
        before, after, worse = float(values["before"]), float(values["after"]), bool(values["worse"])
        text = f"'{self._name}': strict F1 {before:.3f} before, {after:.3f} after, on what was held out."
        if worse:
            text += " It got worse: keep the network that you had."
            show_warning(text)
        else:
            text += " Choose it in step 4."
            show_info(text)
        self.stage.setText(text)
        self.stage.setVisible(True)
        self.name.clear()
        self.made.emit(self._name, not worse)

    def _on_stopped(self, sentence: str) -> None:
        if sentence:
            tell(StempriorError(sentence))
        can = " 'Go on' takes it up again." if self._can_resume() else ""
        self.stage.setText((sentence or "Stopped.") + can)
        self.stage.setVisible(True)
        self.refresh()
