"""Keeps the edits of every image in a journal, and offers those of an earlier session."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from napari.layers import Image
from napari.utils.notifications import show_warning
from psygnal import Signal
from qtpy.QtCore import QObject, QTimer

from napari_stemprior.atoms.journal_keeper import FrameState, JournalKeeper, earlier_journals, put_away
from napari_stemprior.atoms.journal_replay import Recovered, count_edits, read_head, read_journal
from napari_stemprior.atoms.matching import median_spacing
from napari_stemprior.errors import JournalError, StempriorError
from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.layers.atom_layers import KEY, RING, layer_id, new_atoms_layer, path_of, shape_of
from napari_stemprior.qt.layers.image_notes import mask_text_of
from napari_stemprior.qt.session import Session
from napari_stemprior.recording.mask_text import mask_from_dict
from napari_stemprior.workflow.edit_context import EditContext
from napari_stemprior.workflow.pixel_digest import pixel_digest

#: Where journals go whose image has no folder of its own, or one that cannot be written to.
FOLDER_VARIABLE = "STEMPRIOR_JOURNALS"
_RETRY = 5000
#: Diameter in Å of an atom's ring where there are too few to tell.
_DIAMETER = 1.1


class JournalService(QObject):
    """The journals of the images of one desk.

    Parameters
    ----------
    session : Session
    parent : QObject, optional
    """

    #: Another offer, or another problem.
    changed = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        #: Journals of earlier sessions about the chosen image, newest first.
        self.offers: list[Path] = []
        #: Says which edits can be restored; empty if there are none.
        self.offer = ""
        self._keepers: dict[str, JournalKeeper] = {}
        self._bound: dict[str, AtomEditor] = {}
        self._handlers: dict[str, tuple[Any, ...]] = {}
        self._told: dict[str, str] = {}
        self._looked_at: object = None
        self._timer = QTimer(self)
        self._timer.setInterval(_RETRY)
        self._timer.timeout.connect(self._retry)
        self._contexts: dict[str, dict[str, Any]] = {}
        self._seen: tuple[str, EditContext] | None = None
        session.image_changed.connect(self._on_image)
        session.atoms_changed.connect(self._bind)
        for signal in _of_context(session):
            signal.connect(self._on_context)
        self._on_image()
        self._bind()

    def close(self) -> None:
        """Let go of the files, which stay for the next session."""
        self._timer.stop()
        self.session.image_changed.disconnect(self._on_image)
        self.session.atoms_changed.disconnect(self._bind)
        for signal in _of_context(self.session):
            signal.disconnect(self._on_context)
        for key, editor in self._bound.items():
            self._unbind(key, editor)
        self._bound.clear()
        for keeper in self._keepers.values():
            keeper.close()
        self._keepers.clear()

    @property
    def path(self) -> Path | None:
        """The journal of the chosen image, once it was edited."""
        keeper = self._keeper
        return None if keeper is None else keeper.path

    @property
    def problem(self) -> str:
        """What a person must know about the journal of the chosen image; empty if all is well."""
        keeper = self._keeper
        return "" if keeper is None else keeper.problem

    def marks(self, image: Image) -> list[dict[str, Any]]:
        """Return what tells the journals whose edits an image has; see `journal_mark`."""
        keeper = self._keepers.get(layer_id(image))
        known = list(image.metadata.get(KEY, {}).get("journals", ()))
        return known if keeper is None or keeper.path is None else [*known, journal_mark(keeper.path)]

    def restore(self) -> None:
        """Take up the newest offer; the present atoms of its frames are replaced.

        Raises
        ------
        JournalError
            If it cannot be read; it is left where it is.
        """
        image = self.session.image
        if not self.offers or image is None:
            return
        path = self.offers[0]
        recovered = read_journal(path)
        self._restore_context(recovered)
        editor = self.session.editor or self._new_editor(image, recovered)
        for frame, history in recovered.histories.items():
            editor.begin(frame, history, recovered.provenance[frame])
        if recovered.damage:
            kept = put_away(path, ".damaged")
            show_warning(f"The journal was read in part: {recovered.damage}. It is kept as {kept}.")
        keeper = self._keeper
        if not recovered.damage and keeper is not None and not keeper.failed:
            keeper.sync()
            path.unlink()  # its steps are in the new journal now
        self._look()

    def discard(self) -> None:
        """Put the newest offer away; the file is renamed, not deleted.

        Raises
        ------
        JournalError
            If it cannot be renamed.
        """
        if self.offers:
            put_away(self.offers[0])
            self._look()

    # --- inside -------------------------------------------------------------------------------
    def _restore_context(self, recovered: Recovered) -> None:
        """Bring back calibration, prior and fit: without them the same atoms lie elsewhere in Å."""
        session = self.session
        if not recovered.context:  # a journal of format 1
            if session.pixel_size is None or not np.isclose(session.pixel_size, recovered.pixel_size):
                session.set_pixel_size(recovered.pixel_size)
            return
        try:
            context = EditContext.from_dict(recovered.context)
        except JournalError as error:
            show_warning(str(error))
            return
        if context.pixel_size is not None:
            session.set_pixel_size(context.pixel_size, context.pixel_size_from)
        session.set_inverted(context.inverted)
        if context.prior is not None:
            session.set_prior(context.prior)
        if context.fit is not None:
            session.set_fit(context.fit)
        if context.excluded is not None and session.image is not None:
            try:
                session.set_mask(mask_from_dict(context.excluded, shape_of(session.image)))
            except StempriorError as error:
                show_warning(f"{error} The atoms are restored without it.")

    def _on_context(self, *_: Any) -> None:
        """Note what the edits of the chosen image belong to."""
        session, image = self.session, self.session.image
        if image is None:
            return
        key, fit = layer_id(image), session.last_fit
        context = EditContext(
            session.pixel_size,
            session.pixel_size_from,
            session.inverted,
            session.prior if fit is None else fit.prior,
            fit,
            mask_text_of(image),
        )
        if key in self._contexts and self._seen == (key, context):
            return  # another frame of a stack
        self._seen = key, context
        self._contexts[key] = context.to_dict()
        if key in self._keepers:
            self._write(key, self._keepers[key].context_changed)

    def _new_editor(self, image: Image, recovered: Recovered) -> AtomEditor:
        yx = [h.rows[["y_px", "x_px"]].to_numpy(float) for h in recovered.histories.values() if len(h)]
        spacing = median_spacing(yx[0]) if yx else None
        diameter = RING * spacing * recovered.pixel_size if spacing else _DIAMETER
        self.session.viewer.add_layer(new_atoms_layer(image, recovered.pixel_size, diameter))
        editor = self.session.editor
        assert editor is not None
        return editor

    @property
    def _keeper(self) -> JournalKeeper | None:
        image = self.session.image
        return None if image is None else self._keepers.get(layer_id(image))

    def _on_image(self, *_: Any) -> None:
        image = self.session.image
        now = None if image is None else (layer_id(image), id(image.data))
        if now != self._looked_at:
            self._looked_at = now
            self._look()

    def _look(self) -> None:
        image = self.session.image
        self.offers = []
        if image is not None:
            known = image.metadata.get(KEY, {}).get("journals", ())  # their edits came with a session file
            found = earlier_journals(describe(image), stems(image))
            self.offers = [path for path in found if not known or journal_mark(path) not in known]
        self.offer = _in_words(self.offers)
        self.changed.emit()

    def _bind(self, *_: Any) -> None:
        """Listen to the editor of the chosen image."""
        image, editor = self.session.image, self.session.editor
        if image is None or editor is None:
            return
        key = layer_id(image)
        self._on_context()
        old = self._bound.get(key)
        if old is editor:
            return
        if old is not None:
            self._unbind(key, old)
        self._bound[key] = editor
        if key not in self._keepers:
            self._keepers[key] = JournalKeeper(
                describe(image),
                stems(image),
                lambda: states_of(self._bound[key]),
                lambda: self._contexts.get(key, {}),
            )
            for frame in editor.frames:
                self._keepers[key].prepare(frame)
        keeper = self._keepers[key]
        handlers = (
            lambda frame: self._write(key, lambda: keeper.began(frame)),
            lambda frame, step: self._write(key, lambda: keeper.recorded(frame, step)),
            lambda frame, at: self._write(key, lambda: keeper.went(frame, at)),
        )
        self._handlers[key] = handlers
        for signal, handler in zip(_signals(editor), handlers, strict=True):
            signal.connect(handler)

    def _unbind(self, key: str, editor: AtomEditor) -> None:
        for signal, handler in zip(_signals(editor), self._handlers.pop(key), strict=True):
            signal.disconnect(handler)

    def _write(self, key: str, write: Any) -> None:
        write()
        keeper = self._keepers[key]
        if keeper.problem != self._told.get(key, ""):
            self._told[key] = keeper.problem
            if keeper.problem:
                show_warning(keeper.problem)
            self.changed.emit()
        if keeper.failed and not self._timer.isActive():
            self._timer.start()

    def _retry(self) -> None:
        for key, keeper in self._keepers.items():
            self._write(key, keeper.retry)
        if not any(keeper.failed for keeper in self._keepers.values()):
            self._timer.stop()


def _in_words(offers: list[Path]) -> str:
    if not offers:
        return ""
    edits = count_edits(offers[0])
    more = f" (and {len(offers) - 1} older)" if len(offers) > 1 else ""
    when = read_head(offers[0]).created[:16].replace("T", " ")
    return f"{edits} edit{'s' * (edits != 1)} of an earlier session ({when} UTC) can be restored{more}."


def journal_mark(path: Path) -> dict[str, Any]:
    """Return what tells a journal, with its number of edits, from others; nothing if it is damaged."""
    try:
        head = read_head(path)
    except JournalError:
        return {}
    return {"created": head.created, "host": head.host, "pid": head.pid, "edits": count_edits(path)}


def stems(image: Image) -> list[Path]:
    """Return where the journal of an image may lie, best first: beside it, then in the user's folder."""
    beside = path_of(image)
    own = os.environ.get(FOLDER_VARIABLE)
    folder = Path(own) if own else Path(platformdirs.user_state_dir("napari-stemprior")) / "journals"
    name = re.sub(r"[^\w.-]+", "_", image.name)[:60] or "image"
    spare = folder / f"{name}-{describe(image)['sha256'][:12]}"
    return [spare] if beside is None or not beside.is_file() else [beside, spare]


def describe(image: Image) -> dict[str, Any]:
    """Return what tells an image from others, as plain values."""
    data = image.data[0] if image.multiscale else image.data
    key = (layer_id(image), id(data))
    if _described.get("key") != key:
        path = path_of(image)
        _described.update(
            key=key,
            image={
                "name": image.name,
                "sha256": pixel_digest(data, rgb=image.rgb),
                "shape": list(data.shape),
                "path": str(path) if path else None,
            },
        )
    return dict(_described["image"])


_described: dict[str, Any] = {}


def _signals(editor: AtomEditor) -> tuple[Any, Any, Any]:
    return editor.began, editor.recorded, editor.went


def _of_context(session: Session) -> tuple[Any, ...]:
    return session.image_changed, session.prior_changed, session.pose_changed


def states_of(editor: AtomEditor) -> list[FrameState]:
    """Return all that is to be kept of the atoms of an image."""
    return [
        FrameState(frame, history, editor.pixel_size, editor.provenance_of(frame))
        for frame, history in editor.histories.items()
    ]
