"""Step 5: what a person changes."""

from __future__ import annotations

from typing import Any

from napari.utils.notifications import show_info
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QPushButton
from superqt import QLabeledDoubleSlider
from superqt.utils import qdebounced

from napari_stemprior.atoms import UNKNOWN_ELEMENT
from napari_stemprior.qt import review, shortcuts
from napari_stemprior.qt.editing import AtomEditor
from napari_stemprior.qt.layers import element_colour
from napari_stemprior.qt.panel import NO_ATOMS, Panel, allow
from napari_stemprior.qt.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.workers import JobRunner


class CorrectPanel(Panel):
    """Counts, species, threshold, review and history of the atoms."""

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__(session, runner)
        self._bound: AtomEditor | None = None
        self.counts = small_label()
        self.species = QComboBox()
        self.species.setEditable(True)
        self.species.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.species.setMinimumContentsLength(4)
        self.set_species = QPushButton("Set selected")
        self.add_atoms = QPushButton("Add atoms")
        self.add_atoms.setCheckable(True)
        self.threshold = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(0.0, 1.0)
        self.threshold.setDecimals(2)
        self.threshold.setSingleStep(0.01)
        self.show_rejected = QCheckBox("Show rejected")
        self.queue = small_label()
        self.previous = QPushButton("◀ Previous")
        self.next = QPushButton("Next ▶")
        self.accept = QPushButton("✓ Accept")
        self.reject = QPushButton("✗ Reject")
        self.undo = QPushButton("Undo")
        self.redo = QPushButton("Redo")

        self.add(self.counts)
        form = self.form()
        form.addRow("Species", self._row(self.species, self.set_species))
        form.addRow("Confidence ≥", self.threshold)
        self.add(self._row(self.add_atoms, self.show_rejected))
        self.add(self.queue)
        self.add(self._row(self.previous, self.next))
        self.add(self._row(self.accept, self.reject))
        self.add(self._row(self.undo, self.redo))

        self.species.currentTextChanged.connect(self._on_species)
        self.set_species.clicked.connect(self._on_set_species)
        self.add_atoms.clicked.connect(self._on_add_atoms)
        self._apply_view = qdebounced(self._on_view, timeout=60)
        self.threshold.valueChanged.connect(self._apply_view)
        self.show_rejected.toggled.connect(self._on_view)
        for button, action in (
            (self.next, self.go_next),
            (self.previous, self.go_previous),
            (self.accept, self.accept_selected),
            (self.reject, self.reject_selected),
            (self.undo, self.undo_edit),
            (self.redo, self.redo_edit),
        ):
            button.clicked.connect(action)
        session.atoms_changed.connect(self.refresh)
        session.prior_changed.connect(self._fill_species)
        self._fill_species()
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show counts, queue and history."""
        editor = self.session.editor
        if editor is not self._bound:
            self._bind(editor)
        none = "" if editor is not None else NO_ATOMS
        allow(self.species, "Element of atoms that you add, and of <b>Set selected</b>.", none)
        allow(self.set_species, "Give the selected atoms this element; that also accepts them.", none)
        allow(
            self.add_atoms,
            "Click on the image to add atoms of this element (napari's key 2; 3 to select).",
            none,
        )
        allow(
            self.threshold,
            "Hide atoms that the network is less sure of. Nothing is deleted; what you placed or accepted "
            "stays.",
            none,
        )
        allow(
            self.show_rejected,
            "Show rejected atoms as grey crosses; select one and accept it to bring it back.",
            none,
        )
        no_queue = "" if editor is not None and review.queue(editor) else "No atom waits for a review."
        for button, action in ((self.previous, "previous"), (self.next, "next")):
            allow(button, shortcuts.tooltip(action), none, no_queue)
        for button, action in ((self.accept, "accept"), (self.reject, "reject")):
            allow(button, shortcuts.tooltip(action), none)
        undo = "" if editor is None else editor.undo_label
        redo = "" if editor is None else editor.redo_label
        if self.session.can_restore_atoms:
            undo = "remove layer"
            allow(self.undo, "Bring the removed atoms layer back, with its history.")
        else:
            no_undo = "" if undo else "Nothing to take back."
            allow(self.undo, f"{shortcuts.tooltip('undo')}: {undo}", none, no_undo)
        allow(self.redo, f"{shortcuts.tooltip('redo')}: {redo}", none, "" if redo else "Nothing to do again.")
        self.undo.setText(f"Undo: {undo}" if undo else "Undo")
        self.redo.setText(f"Redo: {redo}" if redo else "Redo")
        self._show_counts(editor)
        self._show_queue()

    # --- actions, for buttons and keys ----------------------------------------------------------
    def go_next(self, *_: Any) -> None:
        """Go to the next atom to review."""
        self._go(1)

    def go_previous(self, *_: Any) -> None:
        """Go to the previous atom to review."""
        self._go(-1)

    def accept_selected(self, *_: Any) -> None:
        """Accept the selected atoms."""
        self._judge("accepted")

    def reject_selected(self, *_: Any) -> None:
        """Reject the selected atoms."""
        self._judge("rejected")

    def undo_edit(self, *_: Any) -> None:
        """Take the last edit back, or bring a removed layer back."""
        if self.session.can_restore_atoms:
            self.session.restore_atoms()
        elif self.session.editor is not None:
            self.session.editor.undo()

    def redo_edit(self, *_: Any) -> None:
        """Do the undone edit again."""
        if self.session.editor is not None:
            self.session.editor.redo()

    def paste(self) -> None:
        """Paste the copied atoms."""
        if self.session.editor is not None:
            self.session.editor.paste()

    # --- inside ---------------------------------------------------------------------------------
    def _row(self, *widgets: Any) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(5)
        for widget in widgets:
            row.addWidget(widget, 1)
        return row

    def _bind(self, editor: AtomEditor | None) -> None:
        """Give keys, threshold and species to another atoms layer."""
        if self._bound is not None:
            self._bound.layer.events.mode.disconnect(self._on_mode)
            self._bound.layer.selected_data.events.items_changed.disconnect(self._show_queue)
        self._bound = editor
        if editor is None:
            return
        handlers = {
            "next": self.go_next,
            "previous": self.go_previous,
            "accept": self.accept_selected,
            "reject": self.reject_selected,
            "undo": self.undo_edit,
            "redo": self.redo_edit,
            "paste": self.paste,
        }
        shortcuts.bind(editor.layer, handlers)
        editor.layer.events.mode.connect(self._on_mode)
        editor.layer.selected_data.events.items_changed.connect(self._show_queue)
        self._on_mode()
        self._fill_species()
        self._on_view()

    def _go(self, by: int) -> None:
        editor = self.session.editor
        if editor is None:
            return
        self.session.activate_atoms()
        if review.step(self.session.viewer, editor, by) is None:
            show_info("No atom waits for a review.")
        self._show_queue()

    def _judge(self, status: str) -> None:
        editor = self.session.editor
        if editor is None:
            return
        if not editor.layer.selected_data:
            show_info("Select atoms first: press 3 and click one, or go to the next one to review (N).")
            return
        review.judge(self.session.viewer, editor, status)

    def _fill_species(self, *_: Any) -> None:
        editor, prior = self.session.editor, self.session.prior
        elements = list(prior.elements) if prior is not None else []
        if editor is not None:
            elements += [e for e in editor.rows["element"].unique() if e not in elements]
        elements = elements or [UNKNOWN_ELEMENT]
        chosen = self.species.currentText()
        self.species.blockSignals(True)
        self.species.clear()
        self.species.addItems(elements)
        self.species.setCurrentText(chosen if chosen in elements else elements[0])
        self.species.blockSignals(False)
        self._on_species(self.species.currentText())

    def _on_species(self, text: str) -> None:
        if self.session.editor is not None:
            self.session.editor.new_element = text.strip() or UNKNOWN_ELEMENT

    def _on_set_species(self) -> None:
        editor = self.session.editor
        if editor is None:
            return
        if not editor.layer.selected_data:
            show_info("Select atoms first: press 3 and click one, or draw a box around several.")
            return
        editor.set_element(editor.layer.selected_data, editor.new_element)

    def _on_add_atoms(self, checked: bool) -> None:
        editor = self.session.editor
        if editor is not None:
            self.session.activate_atoms()
            editor.layer.mode = "add" if checked else "select"

    def _on_mode(self, *_: Any) -> None:
        if self._bound is not None:
            self.add_atoms.setChecked(str(self._bound.layer.mode) == "add")

    def _on_view(self, *_: Any) -> None:
        editor = self.session.editor
        if editor is not None:
            editor.threshold = self.threshold.value()
            editor.show_rejected = self.show_rejected.isChecked()
            editor.update_shown()
            self._show_counts(editor)
            self._show_queue()

    def _show_counts(self, editor: AtomEditor | None) -> None:
        if editor is None:
            self.counts.setText(NO_ATOMS)
            self.state_changed.emit("")
            return
        rows = editor.rows
        kept = rows[rows["status"] != "rejected"]
        parts = [f"{_dot(e)} {e} <b>{n}</b>" for e, n in kept["element"].value_counts().items()]
        hidden = int((editor.hidden & (rows["status"] != "rejected").to_numpy()).sum())
        rejected = len(rows) - len(kept)
        notes = [f"{hidden} hidden"] * bool(hidden) + [f"{rejected} rejected"] * bool(rejected)
        self.counts.setText(" &nbsp; ".join(parts + notes) or "No atoms.")
        waiting = int((kept["status"] == "review").sum())
        self.state_changed.emit(f"{len(kept)} atoms" + (f" · {waiting} to review" if waiting else ""))

    def _show_queue(self, *_: Any) -> None:
        editor = self.session.editor
        waiting = 0 if editor is None else len(review.queue(editor))
        if editor is None or not waiting:
            self.queue.setText("No atom waits for a review." if editor is not None else "")
        else:
            here = review.place_in_queue(editor)
            at = f"{here + 1} of " if here >= 0 else ""
            self.queue.setText(f"To review (squares): <b>{at}{waiting}</b>, the least certain first")
        self.queue.setVisible(editor is not None)


def _dot(element: str) -> str:
    """Return a disc in the colour of an element."""
    red, green, blue = (int(255 * c) for c in element_colour(element))
    return f'<span style="color: rgb({red},{green},{blue})">●</span>'
