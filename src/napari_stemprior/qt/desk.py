"""The desk: one dock with the steps from a micrograph to corrected atoms, a better network, and numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QObject, QPoint, Qt, QTimer, Signal
from qtpy.QtGui import QCloseEvent, QShowEvent
from qtpy.QtWidgets import QComboBox, QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_stemprior.qt.jobs.turns import in_turns
from napari_stemprior.qt.jobs.warm_up import warm_up
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.freed_buffers import look_after_canvases
from napari_stemprior.qt.layers.painting import put_off_painting
from napari_stemprior.qt.panels.correct_panel import CorrectPanel
from napari_stemprior.qt.panels.export_panel import ExportPanel
from napari_stemprior.qt.panels.finetune_panel import FinetunePanel
from napari_stemprior.qt.panels.image_panel import ImagePanel
from napari_stemprior.qt.panels.images_panel import ImagesPanel
from napari_stemprior.qt.panels.measure_panel import MeasurePanel
from napari_stemprior.qt.panels.panel import Panel
from napari_stemprior.qt.panels.prior_panel import PriorPanel
from napari_stemprior.qt.panels.reference_panel import ReferencePanel
from napari_stemprior.qt.panels.section import Fold, Section
from napari_stemprior.qt.panels.segment_panel import SegmentPanel
from napari_stemprior.qt.panels.session_bar import SessionBar
from napari_stemprior.qt.position_readout import PositionReadout
from napari_stemprior.qt.saved_desk import SavedDesk
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.toasts import Toasts
from napari_stemprior.qt.widgets.wheel_guard import WheelGuard
from napari_stemprior.workflow.operations import Operations

#: In px; a larger font asks for more.
_MINIMUM_WIDTH = 320
#: Letters of the chosen entry that a list shows at least.
_SHOWN_LETTERS = 8
#: px at the left and right of the steps, their frames included, and of what a step folds away.
_STEP_MARGINS, _FOLD_MARGINS = 6, 24


class StempriorDesk(QWidget):
    """The dock widget of the plugin.

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
        The viewer, or its model alone.
    operations : Operations, optional
        What the other rooms do; replaced in tests.
    at_once : bool
        Whether all steps are there when it is made; else one comes with every turn of the event loop, so
        that the window goes on.
    """

    #: All steps are there.
    completed = Signal()

    def __init__(
        self, napari_viewer: ViewerModel, operations: Operations | None = None, *, at_once: bool = True
    ) -> None:
        super().__init__()
        self.session = Session(napari_viewer, operations)
        self.runner = JobRunner(self)
        self.sections: dict[str, Section] = {}
        self._readout = PositionReadout(self.session)
        self._toasts = Toasts(self)
        self._closed = False
        self._folded_width = 0
        self._has_scale_bar = False
        #: Whether all steps are there.
        self.ready = False
        self._inner = inner = QWidget()
        self._steps = QVBoxLayout(inner)
        self._steps.setContentsMargins(2, 2, 2, 2)
        self._steps.setSpacing(3)
        self._steps.addStretch(1)
        self.scroll_area = QScrollArea()
        self.scroll_area.setWidgetResizable(True)
        self.scroll_area.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll_area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll_area.setWidget(inner)
        bar = self.scroll_area.verticalScrollBar()
        assert bar is not None
        self._scroll_bar = bar
        inner.installEventFilter(self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.session_bar = SessionBar(self.session, self.runner)
        layout.addWidget(self.session_bar)
        layout.addWidget(self.scroll_area)
        self.destroyed.connect(self.session.close)
        self._turns = in_turns(self, self._build())
        if at_once:
            self.complete()

    def complete(self) -> None:
        """Make the steps that are still missing now."""
        self._turns.finish()

    def _build(self) -> Iterator[None]:
        """Make the steps one by one."""
        self.image_panel = ImagePanel(self.session, self.runner)
        self._step("1 Image", self.image_panel)
        yield
        self.session.image_changed.connect(self._show_scale_bar)
        self._show_scale_bar()
        yield
        self.prior_panel = PriorPanel(self.session, self.runner)
        self._step("2 Lattice prior", self.prior_panel)
        yield
        self.reference_panel = ReferencePanel(self.session, self.runner)
        self._step("3 Reference", self.reference_panel, expanded=False)
        yield
        self.segment_panel = SegmentPanel(self.session, self.runner)
        self._step("4 Segment", self.segment_panel)
        yield
        self.correct_panel = CorrectPanel(self.session, self.runner)
        self.segment_panel.beside = self.correct_panel.review.prepare
        self._step("5 Correct", self.correct_panel)
        yield
        self.export_panel = ExportPanel(self.session, self.runner, self.correct_panel.review)
        self._step("6 Export", self.export_panel)
        yield
        self.finetune_panel = FinetunePanel(self.session, self.runner, self.correct_panel.context)
        self._step("7 Fine-tune", self.finetune_panel, expanded=False)
        yield
        self.measure_panel = MeasurePanel(self.session, self.runner)
        self._step("8 Measure", self.measure_panel, expanded=False)
        yield
        self.images_panel = ImagesPanel(self.session, self.runner, lambda: self.segment_panel.settings)
        self._step("All images", self.images_panel, expanded=False)
        yield
        self.measure_panel.series.take_images(self.images_panel.images, self.images_panel.show_image)
        self.images_panel.pairs_saved.connect(self.finetune_panel.take_folder)
        self.export_panel.pair_saved.connect(self.finetune_panel.take_folder)
        self.finetune_panel.made.connect(self._on_made)
        self.segment_panel.model.currentIndexChanged.connect(self._on_model)
        self._remember_width()
        yield
        self.session.image_changed.connect(self._warm_up)
        self.session_bar.take_desk(
            SavedDesk(
                self.session, self.images_panel.images, self.segment_panel, self.correct_panel.journal_service
            )
        )
        self.ready = True
        self.completed.emit()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Take the style of the window, and compile what drawing needs meanwhile."""
        super().showEvent(event)
        QTimer.singleShot(0, self._remember_width)  # once more, with the style of the window
        look_after_canvases(self.session.viewer, self.window())
        self._warm_up()

    def _warm_up(self, *_: object) -> None:
        """Compile in a thread once there is a layer, with which napari has set up its units.

        Two threads that make the first layer at the same time read a registry of units that is half full.
        """
        if self.isVisible() and len(self.session.viewer.layers):
            warm_up()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """Stop the work and let go of the viewer, which lives on."""
        if not self._closed:
            self._closed = True
            self._turns.stop()
            self.runner.cancel()
            self._readout.close()
            self._toasts.close()
            if self.ready:
                self.finetune_panel.close_process()
                self.prior_panel.manual_fit.close_mode()
                self.reference_panel.close_views()
                self.measure_panel.close_views()
                self.images_panel.close_list()
        self.session.close()
        super().closeEvent(event)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Ask for more width when a larger font or an unfolded step needs it, so that nothing is clipped."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._fit_width()
        return super().eventFilter(watched, event)

    def _fit_width(self) -> None:
        bar = self._scroll_bar.sizeHint().width()
        inner = max(self._inner.minimumSizeHint().width(), self._folded_width)
        needed = max(_MINIMUM_WIDTH, inner + bar + 4)
        if needed > self.minimumWidth():  # never back: the image would be resized with every folded step
            self.setMinimumWidth(needed)

    def _remember_width(self) -> None:
        """Take from the start the width that the widest of all steps needs."""
        if self._closed:
            return
        self._folded_width = max(map(_unfolded_width, self.sections.values()), default=0)
        self._fit_width()

    def show_step(self, title: str) -> None:
        """Unfold a step and bring its title to the top, as far as the steps below it allow."""
        section = self.sections[title]
        section.set_expanded(True)
        QTimer.singleShot(0, self._scroller(section))  # once the unfolded step has its height

    def _scroller(self, section: Section) -> Callable[[], None]:
        def scroll() -> None:
            if not self._closed:
                self._scroll_bar.setValue(section.y())

        return scroll

    def _show_scale_bar(self) -> None:
        """Show the scale bar with the first image of known scale; a person may hide it again."""
        if self.session.pixel_size is not None and not self._has_scale_bar:
            self._has_scale_bar = True
            viewer = self.session.viewer
            put_off_painting(viewer)
            overlays = viewer.canvas.overlays if hasattr(viewer, "canvas") else viewer
            overlays.scale_bar.visible = True

    def _on_model(self, *_: object) -> None:
        self.finetune_panel.take_parent(self.segment_panel.chosen_model)

    def _on_made(self, name: str, better: bool) -> None:
        """Offer a new network in step 4, and choose it there if it is better."""
        self.segment_panel.list_models(name if better else "")

    def _step(self, title: str, panel: Panel, *, expanded: bool = True) -> None:
        _narrow(panel)
        section = Section(title, panel, expanded=expanded)
        WheelGuard(section)
        panel.state_changed.connect(section.set_state)
        panel.refresh()
        self.sections[title] = section
        self._steps.insertWidget(self._steps.count() - 1, section)  # above the stretch
        section.toggled.connect(partial(self._on_toggled, section))
        for fold in panel.findChildren(Fold):
            fold.toggled.connect(partial(self._on_toggled, section, inner=fold))

    def _on_toggled(self, section: Section, expanded: bool, *, inner: QWidget | None = None) -> None:
        """Bring an unfolded step, or part of one, into view: all of it, or its top where it is too high."""
        if expanded and self.isVisible():
            QTimer.singleShot(0, partial(self._reveal, inner or section))

    def _reveal(self, unfolded: QWidget) -> None:
        if self._closed:
            return
        low, top = self._scroll_bar.value(), unfolded.mapTo(self._inner, QPoint(0, 0)).y()
        page = self._scroll_bar.pageStep()
        if top < low or top + unfolded.height() > low + page:
            self._scroll_bar.setValue(
                min(top, max(low, top + unfolded.height() - page)) if top >= low else top
            )


def _unfolded_width(section: Section) -> int:
    """Return the px that a step takes when all of it is unfolded, so that the desk need not grow later."""
    section.ensurePolished()
    for widget in section.findChildren(QWidget):
        widget.ensurePolished()  # the fonts of what was never shown
        widget.updateGeometry()
    outer = section.content.minimumSizeHint().width()
    margins = section.content.contentsMargins().left() + section.content.contentsMargins().right()
    inner = [fold.content.minimumSizeHint().width() for fold in section.findChildren(Fold)]
    return max(outer, *(width + _FOLD_MARGINS for width in inner), 0) + margins + _STEP_MARGINS


def _narrow(panel: Panel) -> None:
    """Keep a long entry of a list, such as the name of a file, from widening the whole desk."""
    policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    for box in panel.findChildren(QComboBox):
        if box.sizeAdjustPolicy() != policy:
            longest = max((len(box.itemText(index)) for index in range(box.count())), default=_SHOWN_LETTERS)
            box.setSizeAdjustPolicy(policy)
            # counted in letters as wide as an X, which is wider than most
            box.setMinimumContentsLength(min(round(0.7 * longest), _SHOWN_LETTERS))
