"""Laying the lattice by hand: on the canvas, or by numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Points
from napari.utils.notifications import show_info, show_warning
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_stemprior.errors import StempriorError
from napari_stemprior.qt.editing.lattice_mouse import HINT, LatticeMouse
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.atom_layers import layer_id, shape_of
from napari_stemprior.qt.panels.panel import BUSY, NO_IMAGE, NO_PIXEL_SIZE, NO_PRIOR, allow, tell
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.registration.lattice_fit import doubts, layer_poses
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.fit_lattice import refine_pose
from napari_stemprior.workflow.manual_fit import (
    retyping,
    start_pose,
    transformed,
    what_changed,
    with_origin_near,
)

_DRAG = "Drag the lattice"
_REFINE = "Refine the fit"


class ManualFitPanel(QWidget):
    """Moves, turns and scales the lattice of the prior, and refines it from there.

    Parameters
    ----------
    session : Session
    runner : JobRunner
    """

    #: Work was started that a bar should follow.
    started = Signal()

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__()
        self.session, self.runner = session, runner
        self._mouse: LatticeMouse | None = None
        self._before: LatticeFit | None = None
        self._refined: LatticeFit | None = None
        self.drag = QPushButton(_DRAG)
        self.drag.setCheckable(True)
        self.hint = small_label(HINT)
        self.hint.hide()
        self.angle = _number(-360, 360, 2, 0.1, "°", "Rotation of the prior's x axis, clockwise on screen.")
        self.offset_x = _number(-1e5, 1e5, 2, 0.1, " Å", "Distance of the prior's origin from the left edge.")
        self.offset_y = _number(
            -1e5, 1e5, 2, 0.1, " Å", "Distance of the prior's origin from the upper edge."
        )
        self.scale = _number(
            20, 500, 2, 0.1, " %", "Size of the lattice on the image; 100 % corresponds to the pixel size."
        )
        self.mirrored = QCheckBox("Mirrored")
        self.mirrored.setToolTip("<qt>Whether the prior lies face down on the image.</qt>")
        self.refine_pose = QPushButton(_REFINE)
        for box in (self.offset_x, self.offset_y):  # side by side there is no room for steppers
            box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.result = small_label()
        self.result.hide()
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        place = QHBoxLayout()
        place.addWidget(self.offset_x)
        place.addWidget(self.offset_y)
        form.addRow("Angle", self.angle)
        form.addRow("Offset x, y", place)
        form.addRow("Scale", self.scale)
        buttons = QHBoxLayout()
        buttons.addWidget(self.refine_pose, 1)
        buttons.addWidget(self.mirrored)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addWidget(self.drag)
        rows.addWidget(self.hint)
        rows.addLayout(form)
        rows.addLayout(buttons)
        rows.addWidget(self.result)

        self.drag.toggled.connect(self._on_drag)
        for box in (self.angle, self.offset_x, self.offset_y, self.scale):
            box.valueChanged.connect(self._on_typed)
        self.mirrored.clicked.connect(self._on_typed)
        self.refine_pose.clicked.connect(self.start_refining)
        runner.busy_changed.connect(self.refresh)
        for signal in (session.image_changed, session.prior_changed, session.pose_changed):
            signal.connect(self.refresh)
        session.viewer.layers.selection.events.active.connect(self._on_active)
        session.viewer.layers.events.removed.connect(self._on_removed)
        session.image_changed.connect(self.stop)
        session.prior_changed.connect(self.stop)
        self.refresh()

    def close_mode(self) -> None:
        """Let go of the viewer."""
        self.stop()
        self.session.viewer.layers.selection.events.active.disconnect(self._on_active)
        self.session.viewer.layers.events.removed.disconnect(self._on_removed)

    def refresh(self, *_: Any) -> None:
        """Show the pose as numbers, and what can be done."""
        session, busy = self.session, BUSY if self.runner.busy else ""
        obstacles = (
            "" if session.image is not None else NO_IMAGE,
            "" if session.prior is not None else NO_PRIOR,
            "" if session.pixel_size is not None else NO_PIXEL_SIZE,
        )
        allow(self.drag, "Move, turn and scale the lattice on the image with the mouse.", *obstacles, busy)
        no_pose = "" if session.fit is not None else "Fit or drag the lattice first."
        allow(
            self.refine_pose,
            "Find the best fit near where the lattice lies now.",
            *obstacles,
            no_pose,
            busy,
        )
        fit = session.fit
        self.result.setVisible(fit is not None and fit is self._refined)
        for box in (self.angle, self.offset_x, self.offset_y, self.scale, self.mirrored):
            box.setEnabled(fit is not None and session.pixel_size is not None and not busy)
        if fit is not None and session.pixel_size is not None:
            pose, size = fit.pose, session.pixel_size
            for box, value in (
                (self.angle, pose.angle),
                (self.offset_x, pose.origin[1] * size),
                (self.offset_y, pose.origin[0] * size),
                (self.scale, 100 * size / pose.pixel_size),
            ):
                box.blockSignals(True)
                box.setValue(value)
                box.blockSignals(False)
            self.mirrored.setChecked(pose.mirrored)
        if not busy:
            self.refine_pose.setText(_REFINE)

    def stop(self, *_: Any) -> None:
        """Leave the mode in which a drag moves the lattice."""
        self.drag.setChecked(False)

    def start_refining(self) -> None:
        """Refine the pose in a worker."""
        fit = self.session.fit
        if fit is None:
            return
        try:
            work = refine_pose(self.session.operations, self.session.micrograph(), fit)
        except StempriorError as error:
            tell(error)
            return
        self._before = fit
        if self.runner.start(work, self._on_refined):
            self.started.emit()
            self.refine_pose.setText("Refining…")

    def _on_refined(self, fit: LatticeFit) -> None:
        before, self._before = self._before, None
        session = self.session
        if before is None or session.image is None or session.pixel_size is None:
            return
        at = (np.array(shape_of(session.image)) - 1) / 2
        changed = what_changed(before.pose, fit.pose, session.pixel_size, at)
        self.result.setText(f"Refined: {changed}.")
        self._refined = fit
        session.set_fit(fit)
        name = fit.prior.name
        if fit.is_fit:
            session.take_scale(fit.pose)
            show_info(
                f"The lattice of {name} fits (score {fit.pose.score:.2f}){doubts(fit.reservations)}; "
                f"{changed}."
            )
        else:
            show_warning(
                f"The lattice of {name} does not fit there (score {fit.pose.score:.2f}): {changed}; lay "
                "it closer to the atoms, or check the prior and the pixel size."
            )

    def _on_drag(self, on: bool) -> None:
        session = self.session
        self.hint.setVisible(on)
        if not on:
            session.pivot = None
            if self._mouse is not None:
                mouse, self._mouse = self._mouse, None
                mouse.release()
                if session.overlay is not None:
                    session.show_overlay(True)  # without the mark of the pivot
                if _same(session.viewer.layers.selection.active, mouse.layer):
                    session.activate(session.image)
            return
        if session.image is None or session.prior is None or session.pixel_size is None:
            self.drag.setChecked(False)
            return
        shape = shape_of(session.image)
        session.pivot = (np.array(shape) - 1) / 2
        if session.fit is None:
            pose = start_pose(shape, session.pixel_size)
            session.set_fit(start_fit(session.prior, pose))
        session.show_overlay(True)
        overlay = session.overlay
        assert isinstance(overlay, Points)
        overlay.visible = True
        session.activate(overlay)
        self._mouse = LatticeMouse(overlay, self._pivot, self._on_dragged)
        self.refresh()

    def _pivot(self) -> NDArray[np.float64]:
        pivot = self.session.pivot
        assert pivot is not None
        return pivot

    def _on_dragged(self, matrix: NDArray[np.float64], end: NDArray[np.float64], how: str) -> None:
        fit = self.session.fit
        if fit is None:
            return
        if how == "move":  # what was laid on an atom stays there while the lattice is turned
            self.session.pivot = end
        pivot = self._pivot()
        self.session.set_fit(
            fit.moved(lambda pose, prior: with_origin_near(transformed(pose, matrix), prior, pivot))
        )

    def _on_typed(self, *_: Any) -> None:
        session, fit = self.session, self.session.fit
        if fit is None or session.pixel_size is None:
            return
        size = session.pixel_size
        matrix = retyping(
            fit.pose,
            size,
            angle=self.angle.value(),
            mirrored=self.mirrored.isChecked(),
            scale=self.scale.value() / 100,
            origin=(self.offset_y.value() / size, self.offset_x.value() / size),
        )
        if session.overlay is None:
            session.show_overlay(True)
        session.set_fit(fit.moved(lambda pose, _: transformed(pose, matrix)))

    def _on_active(self, event: Any) -> None:
        if self._mouse is not None and not _same(event.value, self._mouse.layer):
            self.stop()

    def _on_removed(self, event: Any) -> None:
        if self._mouse is not None and _same(event.value, self._mouse.layer):
            self.stop()


def _same(layer: Any, other: Points) -> bool:
    """Compare layers by their ids: what a plugin gets from the viewer may be wrapped."""
    return layer is not None and layer_id(layer) == layer_id(other)


def start_fit(prior: Prior, pose: Pose) -> LatticeFit:
    """Lay a prior or stack at a pose; the layers of a stack by their twists and shifts."""
    return LatticeFit(prior, layer_poses(prior, pose), by_hand=True)


def _number(low: float, high: float, decimals: int, step: float, suffix: str, tip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(low, high)
    box.setDecimals(decimals)
    box.setSingleStep(step)
    box.setSuffix(suffix)
    box.setKeyboardTracking(False)
    box.setMinimumWidth(60)
    box.setToolTip(f"<qt>{tip}</qt>")
    return box
