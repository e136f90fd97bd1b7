"""Step 5: what a person changes."""

from __future__ import annotations

from typing import Any

from napari.utils.notifications import show_info
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QHBoxLayout, QPushButton

from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.editing.history_list import HistoryBox
from napari_stemprior.qt.editing.quick_edit import QuickEdit
from napari_stemprior.qt.editing.review import Review
from napari_stemprior.qt.image_context import ImageContext
from napari_stemprior.qt.jobs.journal_service import JournalService
from napari_stemprior.qt.jobs.soon import Soon
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.empty_sites_layer import EmptySitesLayer
from napari_stemprior.qt.layers.point_culling import PointCulling
from napari_stemprior.qt.panels.panel import NO_ATOMS, Panel, allow
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets import shortcuts
from napari_stemprior.qt.widgets.atom_counts import count_atoms
from napari_stemprior.qt.widgets.display_box import DisplayBox
from napari_stemprior.qt.widgets.empty_sites_box import EmptySitesBox
from napari_stemprior.qt.widgets.frame_box import FrameBox
from napari_stemprior.qt.widgets.help_dialog import HelpDialog
from napari_stemprior.qt.widgets.recovery_box import RecoveryBox
from napari_stemprior.qt.widgets.review_box import NOTHING_WAITS, ReviewBox
from napari_stemprior.qt.widgets.species_box import SpeciesBox
from napari_stemprior.workflow.count_doubts import doubts_in_words

_SELECT = "Select atoms first: press 3 and click one, or go to the next place to review (N)."


class CorrectPanel(Panel):
    """Review, edits, history and looks of the atoms."""

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__(session, runner)
        self._bound: AtomEditor | None = None
        self._generation: tuple[object, ...] | None = None
        self._soon = Soon(self, self.refresh)
        self.context = ImageContext(session)
        self.review = Review(self.context)
        self.empty_sites = EmptySitesLayer(self.context)
        self.quick_edit = QuickEdit(self.context)
        self.point_culling = PointCulling(session, self)
        self.journal_service = JournalService(session, self)
        self._make_widgets()
        self._lay_out()
        self._connect()
        self.species_box.fill()
        self.refresh()

    def _make_widgets(self) -> None:
        self.recovery = RecoveryBox(self.journal_service)
        self.counts = small_label()
        self.review_box = box = ReviewBox(self.review, self.empty_sites)
        self.queue, self.inferred = box.queue, box.inferred
        self.previous, self.next, self.accept, self.reject = box.previous, box.next, box.accept, box.reject
        self.species_box = SpeciesBox(self.session)
        self.species, self.set_species = self.species_box.species, self.species_box.set_selected
        self.quick = QPushButton("Quick edit")
        self.quick.setCheckable(True)
        self.empty_sites_box = EmptySitesBox(self.empty_sites)
        self.show_empty_sites = self.empty_sites_box.shown
        self.fill, self.vacancy = self.empty_sites_box.fill, self.empty_sites_box.vacancy
        self.frames = FrameBox(self.session, self.runner)
        self.display = DisplayBox(self.context)
        self.history_box = HistoryBox()
        self.undo, self.redo = self.history_box.undo, self.history_box.redo
        self.history = self.history_box.list
        self.help = QPushButton("Keys (?)")
        self._help: HelpDialog | None = None

    def _lay_out(self) -> None:
        self.add(self.recovery)
        self.add(self.counts)
        self.add(self.review_box)
        self.form().addRow("Species", self.species_box)
        self.add(self._row(self.quick, self.show_empty_sites))
        self.add(self.empty_sites_box)
        self.add(self.frames)
        self.add(self.display)
        self.add(self.history_box)
        self.add(self.recovery.kept)
        self.add(self.help)

    def _connect(self) -> None:
        session = self.session
        for button, action in (
            (self.next, self.go_next),
            (self.previous, self.go_previous),
            (self.accept, self.accept_selected),
            (self.reject, self.reject_selected),
            (self.set_species, self._on_set_species),
            (self.quick, self.toggle_quick_edit),
            (self.fill, self.fill_site),
            (self.vacancy, self.mark_vacancy),
            (self.undo, self.undo_edit),
            (self.redo, self.redo_edit),
            (self.help, self.show_help),
        ):
            button.clicked.connect(action)
        self.quick_edit.toggled.connect(self._on_quick)
        session.atoms_changed.connect(self._on_atoms)
        session.pose_changed.connect(self._on_lattice)
        session.closing.connect(self._on_closing)
        self.help_key = QShortcut(QKeySequence(shortcuts.HELP_KEY), self)
        self.help_key.setContext(Qt.ShortcutContext.WindowShortcut)
        self.help_key.activated.connect(self.show_help)

    def _on_atoms(self) -> None:
        """Follow at once where other atoms came, and once the window has shown it where some were edited."""
        editor = self.session.editor
        if editor is None or self._generation != (id(editor), editor.frame, editor.history.generation):
            self._soon.now()
        else:
            self._note_doubts(editor)  # what is saved says it
            self._soon()

    def _note_doubts(self, editor: AtomEditor) -> int:
        doubts = 0 if editor.untouched else self.review.open_count
        if not editor.untouched:
            self.session.note_doubts(doubts)
        return doubts

    def refresh(self, *_: Any) -> None:
        """Show counts, queue and history."""
        editor = self.session.editor
        if editor is not self._bound:
            self._bind(editor)
        generation = None if editor is None else (id(editor), editor.frame, editor.history.generation)
        if generation != self._generation:  # other atoms, perhaps of other elements
            self._generation = generation
            self.species_box.fill()
            self.display.fit()
        none = "" if editor is not None else NO_ATOMS
        self._allow_edits(none)
        self.empty_sites.update()
        self.frames.refresh()
        self.display.refresh(none)
        self.history_box.refresh(editor, none, removed=self.session.can_restore_atoms)
        self.inferred.refresh()
        self._show_counts(editor)
        self.review_box.show_queue()
        self.empty_sites_box.refresh_note()
        self.recovery.refresh()

    # --- actions, for buttons and keys ----------------------------------------------------------
    def go_next(self, *_: Any) -> None:
        """Go to the next place to review."""
        self._go(1)

    def go_previous(self, *_: Any) -> None:
        """Go to the previous place to review."""
        self._go(-1)

    def accept_selected(self, *_: Any) -> None:
        """Accept the selected atoms, or that the site is empty."""
        site = self._site()
        if self.inferred.is_here:
            self.inferred.judge("accepted")
        elif site is not None:
            self._settle_site(site, self.empty_sites.confirm)
        else:
            self._judge("accepted")

    def reject_selected(self, *_: Any) -> None:
        """Reject the selected atoms, or that the site is empty."""
        site = self._site()
        if self.inferred.is_here:
            self.inferred.judge("rejected")
        elif site is not None:
            self._settle_site(site, self.empty_sites.fill)
        else:
            self._judge("rejected")

    def fill_site(self, *_: Any) -> None:
        """Put an atom on the empty site at the mouse or under review."""
        site = self._site(mouse=True)
        if site is None:
            show_info("There is no empty site here: go to one with N, or point at a faint diamond.")
        else:
            self._settle_site(site, self.empty_sites.fill)

    def mark_vacancy(self, *_: Any) -> None:
        """Mark the empty site at the mouse or under review, else the selected atoms, as a vacancy."""
        site = self._site(mouse=True)
        if site is not None:
            self._settle_site(site, self.empty_sites.confirm)
        else:
            self._judge("vacancy")

    def next_species(self) -> None:
        """Give the selected atoms the next element of the list."""
        editor = self.session.editor
        if editor is None or not editor.selected_rows:
            show_info(_SELECT)
            return
        present = str(editor.rows["element"].iloc[editor.selected_rows[0]])
        editor.set_element(editor.selected_rows, self.species_box.following(present))

    def delete_selected(self) -> None:
        """Delete the selected atoms."""
        editor = self.session.editor
        if editor is not None and editor.selected_rows:
            rows = editor.selected_rows
            editor.layer.selected_data = set()
            editor.delete(rows)
            self.review.judged(self.session.viewer)

    def toggle_quick_edit(self, *_: Any) -> None:
        """Switch quick edit on or off."""
        self.quick_edit.switch(not self.quick_edit.active)

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
        """Paste the copied atoms at the mouse."""
        if self.session.editor is not None:
            self.session.editor.paste(self._mouse())

    def show_help(self, *_: Any) -> None:
        """Show the keys."""
        if self._help is None:
            self._help = HelpDialog(self)
        self._help.show()
        self._help.raise_()

    # --- inside -------------------------------------------------------------------------------
    def _row(self, *widgets: Any) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(5)
        for widget in widgets:
            row.addWidget(widget, 1)
        return row

    def _bind(self, editor: AtomEditor | None) -> None:
        """Give keys, looks and species to another atoms layer."""
        if self._bound is not None:
            self._bound.layer.selected_data.events.items_changed.disconnect(self._on_selected)
            self._bound.restyled.disconnect(self._on_applied)
        self._bound = editor
        self.review.choose_kind("")
        self.point_culling.bind(editor)
        self.quick_edit.follow()
        if editor is None:
            return
        handlers = {
            "next": self.go_next,
            "previous": self.go_previous,
            "accept": self.accept_selected,
            "reject": self.reject_selected,
            "species": self.next_species,
            "fill": self.fill_site,
            "vacancy": self.mark_vacancy,
            "quick": self.toggle_quick_edit,
            "delete": self.delete_selected,
            "paste": self.paste,
            "undo": self.undo_edit,
            "redo": self.redo_edit,
            "hide": self.display.hide_overlays,
            "colour": self.display.next_quantity,
            "help": self.show_help,
        }
        shortcuts.bind(editor.layer, handlers, {"hide": self.display.restore_overlays})
        editor.layer.selected_data.events.items_changed.connect(self._on_selected)
        editor.restyled.connect(self._on_applied)
        self.species_box.fill()
        self.display.apply()

    def _go(self, by: int) -> None:
        editor = self.session.editor
        if editor is None:
            return
        self.session.activate_atoms()
        doubt = self.review.step(self.session.viewer, by)
        if doubt is None:
            show_info(NOTHING_WAITS)
        elif doubt.site >= 0:
            self.empty_sites_box.show_sites(at_once=True)
        self.review_box.show_queue()

    def _judge(self, status: str) -> None:
        editor = self.session.editor
        if editor is None:
            return
        if not editor.selected_rows:
            show_info(_SELECT)
            return
        editor.set_status(editor.selected_rows, status)
        if status == "rejected":
            editor.layer.selected_data = set()
        self.review.judged(self.session.viewer)
        self.review_box.show_queue()

    def _site(self, *, mouse: bool = False) -> int | None:
        """Return the empty site that is meant: the one at the mouse, else the one under review."""
        if mouse and self.quick_edit.active:
            place = self._mouse()
            at_mouse = None if place is None else self.empty_sites.nearest(place)
            if at_mouse is not None:
                return at_mouse
        here, editor = self.review.here, self.session.editor
        if here is None or editor is None or here.site < 0 or editor.selected_rows:
            return None
        return here.site

    def _settle_site(self, site: int, action: Any) -> None:
        editor = self.session.editor
        if editor is not None:
            action(site)
            self.review.judged(self.session.viewer)
            self.review_box.show_queue()

    def _mouse(self) -> Any:
        """Return the pixel under the mouse, or None where it is outside the image."""
        editor, shape = self.session.editor, self.context.shape
        if editor is None or shape is None:
            return None
        y, x = editor.layer.world_to_data(self.session.viewer.cursor.position)[-2:]
        return (y, x) if -0.5 <= y < shape[0] - 0.5 and -0.5 <= x < shape[1] - 0.5 else None

    def _on_selected(self, *_: Any) -> None:
        if self._bound is not None and self._bound.writing:
            return  # the points are drawn anew; `refresh` follows
        self.review.look_at_selected()
        self.review_box.show_queue()

    def _on_lattice(self, *_: Any) -> None:
        self.display.fit()
        self.refresh()

    def _on_applied(self) -> None:
        self._show_counts(self.session.editor)
        self.review_box.show_queue()

    def _on_closing(self) -> None:
        """Let go of viewer and files."""
        self._soon.stop()
        self.quick_edit.switch(False)
        self.display.restore_overlays()
        self.point_culling.close()
        self.journal_service.close()

    def _on_quick(self, on: bool) -> None:
        self.quick.setChecked(on)
        if on and self.empty_sites.sites is not None:
            self.empty_sites_box.show_sites()  # a layer of its own, once the mode is on

    def _on_set_species(self) -> None:
        editor = self.session.editor
        if editor is None:
            return
        if not editor.selected_rows:
            show_info(_SELECT)
            return
        editor.set_element(editor.selected_rows, editor.new_element)
        self.review.judged(self.session.viewer)

    # --- showing ------------------------------------------------------------------------------
    def _allow_edits(self, none: str) -> None:
        self.species_box.allow(none)
        self.empty_sites_box.allow(none)
        mouse = "".join(f"<br><b>{gesture}</b>: {text}" for gesture, text in shortcuts.MOUSE)
        allow(self.quick, f"{shortcuts.tooltip('quick')}.{mouse}", none)
        self.review_box.allow(none)

    def _show_counts(self, editor: AtomEditor | None) -> None:
        if editor is None:
            self.counts.setText(NO_ATOMS)
            self.state_changed.emit("")
            return
        if editor.untouched:
            self.counts.setText("This frame has not been segmented yet (step 4).")
            self.state_changed.emit("not segmented")
            return
        count, text = count_atoms(editor)
        self.counts.setText(text + ("<br>Zoom in to see single atoms." if self.point_culling.far else ""))
        doubts = self._note_doubts(editor)
        self.state_changed.emit(f"{count} atoms" + (f" · {doubts_in_words(doubts)}" if doubts else ""))
