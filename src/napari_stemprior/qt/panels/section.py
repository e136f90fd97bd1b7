"""A step of the desk that folds away, with a line that tells its state even when folded."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget


class _State(QLabel):
    """A line of text that ends in an ellipsis where it is too long for its place."""

    def __init__(self) -> None:
        super().__init__()
        self.full_text = ""
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def show_text(self, text: str) -> None:
        """Show another text; the tooltip tells all of it."""
        self.full_text = text
        self.setToolTip(text)
        self._elide()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Fit the text to the new width."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        room = self.contentsRect().width() - 6
        self.setText(self.fontMetrics().elidedText(self.full_text, Qt.TextElideMode.ElideRight, room))


class Section(QFrame):
    """A numbered header above a content that can be folded away.

    Parameters
    ----------
    title : str
        Such as ``"1 Image"``.
    content : QWidget
    expanded : bool
    """

    toggled = Signal(bool)

    def __init__(self, title: str, content: QWidget, *, expanded: bool = True) -> None:
        super().__init__()
        self.content = content
        self._button = QToolButton()
        self._button.setText(title)
        self._button.setCheckable(True)
        self._button.setChecked(expanded)
        self._button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._button.setStyleSheet(
            "QToolButton { font-weight: bold; border: none; padding: 3px 4px 3px 2px; }"
        )
        self._button.setToolTip("Fold or unfold this step")
        self._state = _State()
        self._state.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._state.setMinimumWidth(40)
        header = QHBoxLayout()
        header.setContentsMargins(0, 0, 6, 0)
        header.addWidget(self._button)
        header.addWidget(self._state, 1)
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        line.setFixedHeight(1)
        line.setStyleSheet("background-color: rgba(128, 128, 128, 90); border: none;")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(header)
        layout.addWidget(content)
        layout.addWidget(line)
        self._button.toggled.connect(self._on_toggled)
        self._on_toggled(expanded)

    @property
    def expanded(self) -> bool:
        """Whether the content is shown."""
        return self._button.isChecked()

    def set_expanded(self, expanded: bool) -> None:
        """Show or fold the content."""
        self._button.setChecked(expanded)

    def set_state(self, text: str) -> None:
        """Tell the state of the step at the right of the header."""
        self._state.show_text(text)

    @property
    def state(self) -> str:
        """The text at the right of the header."""
        return self._state.full_text

    def _on_toggled(self, expanded: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if expanded else Qt.ArrowType.RightArrow
        self._button.setArrowType(arrow)
        self.content.setVisible(expanded)
        self.toggled.emit(expanded)


def small_label(text: str = "") -> QLabel:
    """Make a label that wraps and does not widen the dock."""
    label = QLabel(text)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    label.setWordWrap(True)
    label.setSizePolicy(policy)
    return label


class Fold(QWidget):
    """Fields that few need, folded away below a small header.

    Parameters
    ----------
    title : str
    content : QWidget
    tooltip : str
    """

    toggled = Signal(bool)

    def __init__(self, title: str, content: QWidget, tooltip: str = "") -> None:
        super().__init__()
        self.content = content
        self.button = QToolButton()
        self.button.setText(title)
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setStyleSheet("QToolButton { border: none; padding: 2px 4px 2px 0px; }")
        self.button.setToolTip(f"<qt>{tooltip or 'Fold or unfold'}</qt>")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.button)
        layout.addWidget(content)
        content.setContentsMargins(8, 0, 0, 2)
        self.button.toggled.connect(self._on_toggled)
        self._on_toggled(False)

    @property
    def expanded(self) -> bool:
        """Whether the content is shown."""
        return self.button.isChecked()

    def set_expanded(self, expanded: bool) -> None:
        """Show or fold the content."""
        self.button.setChecked(expanded)

    def _on_toggled(self, expanded: bool) -> None:
        self.button.setArrowType(Qt.ArrowType.DownArrow if expanded else Qt.ArrowType.RightArrow)
        self.content.setVisible(expanded)
        self.toggled.emit(expanded)
