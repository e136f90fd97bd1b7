"""The grains of the lattice, each of which a person can lock."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QLabel, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.panels.panel import BUSY, allow
from napari_stemprior.qt.session import Session
from napari_stemprior.registration.grain import Grain

#: Lines of the list that are seen without scrolling.
_SHOWN = 5
#: px above and below the text of a line together.
_AIR = 8
_TIP = (
    "The grains in which the lattice was found. Tick one to <b>lock</b> it: its lattice and its atoms stay "
    "as they are, whatever is fitted or segmented again, and the other grains are fitted anew around it. Its "
    "sites are drawn as squares; a click on a line shows which they are. Untick it to unlock."
)


class GrainsBox(QWidget):
    """A line for each grain with a box that locks it; not to be seen where there is none.

    Parameters
    ----------
    session : Session
    runner : JobRunner
    """

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__()
        self.session, self.runner = session, runner
        self._shown: tuple[Grain, ...] = ()
        self.list = QListWidget()
        self.list.setUniformItemSizes(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.addWidget(QLabel("Lock grains"))
        rows.addWidget(self.list)
        self.list.itemChanged.connect(self._on_changed)
        self.list.currentRowChanged.connect(self._on_row)
        self.list.itemClicked.connect(self._on_clicked)
        runner.busy_changed.connect(self.refresh)
        for signal in (session.image_changed, session.prior_changed, session.pose_changed):
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """List the grains of the present fit."""
        fit = self.session.fit
        grains = () if fit is None else fit.grains
        locked = self.session.locked
        self.list.blockSignals(True)
        if len(grains) != len(self._shown) or any(
            a is not b for a, b in zip(grains, self._shown, strict=True)
        ):
            self._shown = grains
            if self.session.pointed is not None and self.session.pointed not in grains:
                self.session.pointed = None
            self.list.clear()
            for number, grain in enumerate(grains, 1):
                line = QListWidgetItem(_in_words(number, grain))
                line.setFlags(line.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                line.setSizeHint(QSize(0, self.fontMetrics().height() + _AIR))
                self.list.addItem(line)
            height = (self.fontMetrics().height() + _AIR) * min(len(grains), _SHOWN)
            self.list.setFixedHeight(height + 2 * self.list.frameWidth() + 2)
        for number, grain in enumerate(grains):
            item = self.list.item(number)
            if item is not None:
                on = any(grain is one for one in locked)
                item.setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
        self.list.blockSignals(False)
        allow(self.list, _TIP, BUSY if self.runner.busy else "")
        self.setVisible(bool(grains))

    def _on_changed(self, item: QListWidgetItem) -> None:
        number = self.list.row(item)
        if 0 <= number < len(self._shown):
            self.session.lock_grain(self._shown[number], on=item.checkState() == Qt.CheckState.Checked)

    def _on_clicked(self, item: QListWidgetItem) -> None:
        self._on_row(self.list.row(item))

    def _on_row(self, number: int) -> None:
        grain = self._shown[number] if 0 <= number < len(self._shown) else None
        if grain is not self.session.pointed:
            self.session.point_at(grain)


def _in_words(number: int, grain: Grain) -> str:
    mirrored = ", mirrored" if grain.pose.mirrored else ""
    return f"Grain {number} · {grain.pose.angle:.1f}°{mirrored} · {len(grain):,} sites"
