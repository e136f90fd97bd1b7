"""Picking a prior: from the library, from a file, or as a stack of layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QSearchableComboBox

_FILES = "Structures (*.cif *.vasp POSCAR* CONTCAR* *.extxyz *.xyz *.json *.traj *.res *.pdb);;All files (*)"
#: How the layers of a stack lie: what a person reads, and what the name of a stack says.
_TWIST, _AA, _AB = "twist", "AA", "AB"


class PriorCombo(QSearchableComboBox):
    """The library in groups; typing searches, and any text may be entered."""

    #: A name or a text that a person chose.
    chosen = Signal(str)

    def __init__(self, groups: dict[str, list[str]], hint: str) -> None:
        super().__init__()
        line, completer = self.lineEdit(), self.completer()
        assert line is not None
        assert completer is not None
        self._line, self._completer = line, completer
        self.fill(groups)
        self._line.setPlaceholderText(hint)
        self.setMinimumContentsLength(6)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMaxVisibleItems(20)
        self._completer.setMaxVisibleItems(14)
        self._line.textEdited.connect(self._theme_popup)
        self.activated.connect(self._on_activated)
        self._line.returnPressed.connect(self._on_return)

    def fill(self, groups: dict[str, list[str]]) -> None:
        """Show other groups."""
        self.clear()
        for group, names in groups.items():
            self.insertItem(self.count(), group.upper())
            heading = self._item(self.count() - 1)
            heading.setFlags(Qt.ItemFlag.NoItemFlags)
            for name in names:
                self.insertItem(self.count(), name)
        self.setCurrentIndex(-1)

    def show_name(self, name: str) -> None:
        """Show a name as chosen, and add it where it is new."""
        if self.findText(name, Qt.MatchFlag.MatchExactly | Qt.MatchFlag.MatchCaseSensitive) < 0:
            self.insertItem(self.count(), name)
        self.setCurrentIndex(self.findText(name))
        self._line.setCursorPosition(0)  # of a long name the beginning says most

    def keep_text(self, text: str) -> None:
        """Show a text that is no name, to be mended; nothing is chosen by it."""
        self.setCurrentIndex(-1)
        self._line.setText(text)

    def _theme_popup(self, _: str) -> None:
        """Give the list of hits the theme of the window, which it does not inherit."""
        popup, window = self._completer.popup(), self.window()
        theme = "" if window is None else window.styleSheet()
        if theme and popup is not None and popup.styleSheet() != theme:
            popup.setStyleSheet(theme)

    def _item(self, index: int) -> Any:
        model = self.model()
        assert isinstance(model, QStandardItemModel)
        return model.item(index)

    def _on_activated(self, index: int) -> None:
        if self._item(index).isEnabled():
            self.chosen.emit(self.itemText(index))

    def _on_return(self) -> None:
        text = self._line.text().strip()
        if text:
            self.chosen.emit(text)


class FileChoice(QWidget):
    """A structure file, which of its structures, and the direction that the beam has in it."""

    #: A path was chosen, or another zone axis or block for it: path, axis, block.
    chosen = Signal(str, str, str)

    def __init__(self) -> None:
        super().__init__()
        self.path = ""
        self.open = QPushButton("Own file…")
        self.axis = QLineEdit()
        self.axis.setPlaceholderText("as it lies")
        self.axis.setMaximumWidth(90)
        self.normal = QCheckBox("Normal")
        self.block = QComboBox()
        self.block.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.block.setMinimumContentsLength(6)
        self.block.setToolTip("<qt>The file holds several structures; choose one.</qt>")
        self.block.setVisible(False)
        row = QHBoxLayout()
        row.addWidget(self.open, 1)
        row.addWidget(QLabel("Zone axis"))
        row.addWidget(self.axis)
        row.addWidget(self.normal)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addLayout(row)
        rows.addWidget(self.block)
        self.open.clicked.connect(self.ask)
        self.axis.editingFinished.connect(self._on_axis)
        self.normal.clicked.connect(self._choose)
        self.block.activated.connect(self._choose)

    def ask(self) -> None:
        """Ask for a structure file."""
        start = str(Path(self.path).parent) if self.path else ""
        path, _ = QFileDialog.getOpenFileName(self, "Open a crystal structure", start, _FILES)
        if path:
            self.take(path)

    def take(self, path: str) -> None:
        """Choose a file, its first structure."""
        self.path = path
        self.show_blocks(())
        self._choose()

    def show_blocks(self, names: Sequence[str]) -> None:
        """Offer the structures of a file, where there are several; the choice stays if it is among them."""
        chosen = self.block.currentText()
        self.block.clear()
        self.block.addItems(list(names) if len(names) > 1 else [])
        self.block.setCurrentIndex(max(self.block.findText(chosen), 0) if self.block.count() else -1)
        self.block.setVisible(self.block.count() > 0)

    def as_it_lies(self) -> None:
        """Choose no direction of the beam."""
        self.axis.clear()
        self.normal.setChecked(False)

    def forget(self) -> None:
        """Choose no file any more."""
        self.path = ""
        self.show_blocks(())

    def _on_axis(self) -> None:
        if self.path and self.axis.isModified():
            self.axis.setModified(False)
            self._choose()

    def _choose(self, *_: object) -> None:
        if self.path:
            axis = "normal" if self.normal.isChecked() else self.axis.text()
            self.chosen.emit(self.path, axis, self.block.currentText())


class StackChoice(QWidget):
    """Two layers on top of each other."""

    #: The name of a stack, such as ``"MoS2/WS2 twist 3.1°"``.
    chosen = Signal(str)

    def __init__(self, layers: list[str]) -> None:
        super().__init__()
        groups = {"Layers": layers}
        self.upper_layer = PriorCombo(groups, "hit first by the beam")
        self.upper_layer.setToolTip("<qt>The layer that the beam enters first.</qt>")
        self.lower_layer = PriorCombo(groups, "as the upper one")
        self.lower_layer.setToolTip("<qt>The layer below it. Empty: two layers of the same crystal.</qt>")
        self.how = QComboBox()
        self.how.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.how.setMinimumContentsLength(5)
        for text, key, tip in (
            ("Twisted by", _TWIST, "Turned by an angle; each layer is placed by itself."),
            ("AA", _AA, "Two layers of one crystal, atom above atom."),
            ("AB", _AB, "Two layers of one crystal in the stacking of its bulk."),
        ):
            self.how.addItem(text, key)
            self.how.setItemData(self.how.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.how.setToolTip("<qt>How the lower layer lies below the upper one.</qt>")
        self.twist = QDoubleSpinBox()
        self.twist.setMinimumWidth(70)
        self.twist.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.twist.setRange(-180.0, 180.0)
        self.twist.setDecimals(2)
        self.twist.setSingleStep(0.1)
        self.twist.setSuffix("°")
        self.twist.setToolTip("<qt>Angle of the lower layer to the upper one; a fit refines it.</qt>")
        self.build = QPushButton("Use this stack")
        self.build.setEnabled(False)
        how_row = QHBoxLayout()
        how_row.addWidget(self.how, 1)
        how_row.addWidget(self.twist, 1)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Upper", self.upper_layer)
        form.addRow("Lower", self.lower_layer)
        form.addRow("Stacking", how_row)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addLayout(form)
        rows.addWidget(self.build)
        self.how.currentIndexChanged.connect(self._refresh)
        for combo in (self.upper_layer, self.lower_layer):
            combo.currentTextChanged.connect(self._refresh)
        self.build.clicked.connect(self._on_build)
        self._refresh()

    @property
    def name(self) -> str:
        """The name of the chosen stack; empty as long as the upper layer is missing."""
        upper = self.upper_layer.currentText().strip()
        lower = self.lower_layer.currentText().strip() or upper
        if not upper:
            return ""
        how = self.how.currentData()
        if how != _TWIST:
            return f"{upper} {how}" if lower == upper else ""
        return f"{upper}/{lower} twist {self.twist.value():g}°"

    def _refresh(self, *_: Any) -> None:
        twisted = self.how.currentData() == _TWIST
        self.twist.setVisible(twisted)
        name = self.name
        self.build.setEnabled(bool(name))
        if name:
            tip = f"Take {name} as the prior."
        elif self.upper_layer.currentText().strip():
            tip = "AA and AB are stackings of one crystal; choose the same lower layer, or a twist."
        else:
            tip = "Choose the upper layer first."
        self.build.setToolTip(f"<qt>{tip}</qt>")

    def _on_build(self) -> None:
        if self.name:
            self.chosen.emit(self.name)
