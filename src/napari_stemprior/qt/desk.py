"""The desk: one dock with the steps from a micrograph to corrected atoms, a better network, and numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QCloseEvent, QShowEvent
from qtpy.QtWidgets import QComboBox, QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_stemprior.qt.jobs.warm_up import warm_up
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.freed_buffers import FreedBuffers
from napari_stemprior.qt.panels.correct_panel import CorrectPanel
from napari_stemprior.qt.panels.export_panel import ExportPanel
from napari_stemprior.qt.panels.finetune_panel import FinetunePanel
from napari_stemprior.qt.panels.image_panel import ImagePanel
from napari_stemprior.qt.panels.measure_panel import MeasurePanel
from napari_stemprior.qt.panels.panel import Panel
from napari_stemprior.qt.panels.prior_panel import PriorPanel
from napari_stemprior.qt.panels.reference_panel import ReferencePanel
from napari_stemprior.qt.panels.section import Section
from napari_stemprior.qt.panels.segment_panel import SegmentPanel
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.wheel_guard import WheelGuard
from napari_stemprior.workflow.operations import Operations

#: In px; a larger font asks for more.
_MINIMUM_WIDTH = 320
#: Letters of the chosen entry that a list shows at least.
_SHOWN_LETTERS = 8


class StempriorDesk(QWidget):
    """The dock widget of the plugin.

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
        The viewer, or its model alone.
    operations : Operations, optional
        What the other rooms do; replaced in tests.
    """

    def __init__(self, napari_viewer: ViewerModel, operations: Operations | None = None) -> None:
        super().__init__()
        self.session = Session(napari_viewer, operations)
        self.runner = JobRunner(self)
        self.image_panel = ImagePanel(self.session, self.runner)
        self.prior_panel = PriorPanel(self.session, self.runner)
        self.reference_panel = ReferencePanel(self.session, self.runner)
        self.segment_panel = SegmentPanel(self.session, self.runner)
        self.correct_panel = CorrectPanel(self.session, self.runner)
        self.export_panel = ExportPanel(self.session, self.runner, self.correct_panel.review)
        self.finetune_panel = FinetunePanel(self.session, self.runner, self.correct_panel.context)
        self.measure_panel = MeasurePanel(self.session, self.runner)
        self.export_panel.pair_saved.connect(self.finetune_panel.take_folder)
        self.finetune_panel.made.connect(self._on_made)
        self.segment_panel.model.currentIndexChanged.connect(self._on_model)
        self.sections: dict[str, Section] = {}

        self._inner = inner = QWidget()
        self._steps = QVBoxLayout(inner)
        self._steps.setContentsMargins(2, 2, 2, 2)
        self._steps.setSpacing(3)
        self._step("1 Image", self.image_panel)
        self._step("2 Lattice prior", self.prior_panel)
        self._step("3 Reference", self.reference_panel, expanded=False)
        self._step("4 Segment", self.segment_panel)
        self._step("5 Correct", self.correct_panel)
        self._step("6 Export", self.export_panel)
        self._step("7 Fine-tune", self.finetune_panel, expanded=False)
        self._step("8 Measure", self.measure_panel, expanded=False)
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
        self.wheel_guard = WheelGuard(inner)
        self._fit_width()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.scroll_area)
        self._freed_buffers = FreedBuffers(self.session.viewer, self)
        self.destroyed.connect(self.session.close)
        self._closed = False

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Compile what drawing needs while the person looks at the steps."""
        super().showEvent(event)
        warm_up()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """Stop the work and let go of the viewer, which lives on."""
        if not self._closed:
            self._closed = True
            self.runner.cancel()
            self.finetune_panel.close_process()
            self.prior_panel.manual_fit.close_mode()
            self.reference_panel.close_views()
            self.measure_panel.close_views()
            self._freed_buffers.close()
        self.session.close()
        super().closeEvent(event)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Ask for more width when a larger font or an unfolded step needs it, so that nothing is clipped."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self._fit_width()
        return super().eventFilter(watched, event)

    def _fit_width(self) -> None:
        bar = self._scroll_bar.sizeHint().width()
        needed = max(_MINIMUM_WIDTH, self._inner.minimumSizeHint().width() + bar + 4)
        if needed > self.minimumWidth():  # never back: the image would be resized with every folded step
            self.setMinimumWidth(needed)

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

    def _on_model(self, *_: object) -> None:
        self.finetune_panel.take_parent(self.segment_panel.chosen_model)

    def _on_made(self, name: str, better: bool) -> None:
        """Offer a new network in step 4, and choose it there if it is better."""
        self.segment_panel.list_models(name if better else "")

    def _step(self, title: str, panel: Panel, *, expanded: bool = True) -> None:
        _narrow(panel)
        section = Section(title, panel, expanded=expanded)
        panel.state_changed.connect(section.set_state)
        panel.refresh()
        self.sections[title] = section
        self._steps.addWidget(section)
        section.toggled.connect(partial(self._on_toggled, section))

    def _on_toggled(self, section: Section, expanded: bool) -> None:
        """Bring an unfolded step into view: all of it, or its top where it is higher than the desk."""
        if expanded and self.isVisible():
            QTimer.singleShot(0, partial(self._reveal, section))

    def _reveal(self, section: Section) -> None:
        if self._closed:
            return
        low, top = self._scroll_bar.value(), section.y()
        page = self._scroll_bar.pageStep()
        if top < low or top + section.height() > low + page:
            self._scroll_bar.setValue(
                min(top, max(low, top + section.height() - page)) if top >= low else top
            )


def _narrow(panel: Panel) -> None:
    """Keep a long entry of a list, such as the name of a file, from widening the whole desk."""
    policy = QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    for box in panel.findChildren(QComboBox):
        if box.sizeAdjustPolicy() != policy:
            longest = max((len(box.itemText(index)) for index in range(box.count())), default=_SHOWN_LETTERS)
            box.setSizeAdjustPolicy(policy)
            # counted in letters as wide as an X, which is wider than most
            box.setMinimumContentsLength(min(round(0.7 * longest), _SHOWN_LETTERS))
