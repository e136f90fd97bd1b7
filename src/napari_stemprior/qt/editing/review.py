"""The review queue: the doubtful atoms and empty sites of an image, the most doubtful first."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray

from napari_stemprior.atoms.review_queue import Doubt, Pace, ReviewQueue, in_words, rank, settled
from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.image_context import ImageContext

Floats = NDArray[np.float64]

#: Screen pixels for 1 Å at which a single atom can be judged.
_USEFUL_ZOOM = 28.0


class Review:
    """The queue of the chosen image, and where a person is in it.

    Parameters
    ----------
    context : ImageContext
    """

    def __init__(self, context: ImageContext) -> None:
        self.context = context
        self.queue = ReviewQueue()
        self.pace = Pace()
        #: Of what kind the places are that are gone through; empty for all.
        self.kind = ""
        self._here: int | None = None
        self._of: tuple[object, ...] = ()
        self._waiting: list[int] = []
        self._open: list[int] = []
        self._waiting_of: tuple[object, ...] | None = None
        self._left: tuple[object, object, list[int]] = (None, None, [])

    @property
    def editor(self) -> AtomEditor | None:
        """The atoms that are reviewed."""
        return self.context.session.editor

    @property
    def here(self) -> Doubt | None:
        """The place that is being looked at."""
        self._update()
        return None if self._here is None else self.queue.doubts[self._here]

    def prepare(self) -> None:
        """Rank anew where that is needed; in a thread, so that the window goes on."""
        self._update()

    def waiting(self) -> list[int]:
        """Return the places of the queue that are neither settled nor hidden."""
        self._update()
        editor = self.editor
        if editor is None:
            self._open = []
            return []
        rows, queue = editor.rows, self.queue
        # rows and queue are kept, so that their ids are not given to others
        now = (id(rows), id(queue), editor.threshold, editor.hide_inferred, self.kind)
        if self._waiting_of is None or self._waiting_of[:5] != now:
            hidden = set(editor.history.ids[editor.hidden].tolist())
            self._open = [
                i
                for i in self._unsettled()
                if queue.doubts[i].atom_id not in hidden
                and not (queue.doubts[i].group and editor.hide_inferred)
            ]
            kinds = {queue.doubts[i].kind for i in self._open}
            self._waiting = [i for i in self._open if self.kind in ("", queue.doubts[i].kind)]
            if self.kind and self.kind not in kinds:  # all of that kind are settled
                self.kind, self._waiting = "", self._open
            self._waiting_of = (*now[:4], self.kind, rows, queue)
        return self._waiting

    @property
    def open_count(self) -> int:
        """How many places of all kinds wait."""
        self.waiting()
        return len(self._open)

    def kinds(self) -> dict[str, int]:
        """Count what waits by the kind of doubt, the most frequent first."""
        self.waiting()
        if self.editor is None:
            return {}
        counts = Counter(doubt.kind for doubt in (self.queue.doubts[i] for i in self._open) if doubt.kind)
        return dict(counts.most_common())

    def choose_kind(self, kind: str) -> None:
        """Go through places of one kind alone, or through all."""
        self.kind, self._here = kind, None

    def of_kind(self, kind: str) -> tuple[list[int], list[int]]:
        """Return the rows and the empty sites that wait with this kind of doubt."""
        self.waiting()
        editor = self.editor
        doubts = [d for d in (self.queue.doubts[i] for i in self._open) if d.kind == kind]
        ids = np.array([d.atom_id for d in doubts if d.site < 0], np.int64)
        rows = [] if editor is None or not len(ids) else editor.history.rows_of(ids).tolist()
        return rows, [d.site for d in doubts if d.site >= 0]

    def open_places(self) -> Floats:
        """Return every place that nobody has settled, (N, 2) px: hidden ones and those of groups too."""
        self._update()
        editor, queue = self.editor, self.queue
        if editor is None:
            return np.empty((0, 2))
        doubts = [queue.doubts[i] for i in self._unsettled()]
        ids = [i for d in doubts for i in ((d.atom_id,) if d.atom_id >= 0 else d.group)]
        here = editor.yx[np.isin(editor.history.ids, ids) & ~settled(editor.rows)]
        sites = [d.site for d in doubts if d.site >= 0]
        if queue.occupancy is None or not sites:
            return here
        return np.concatenate([here, queue.occupancy.sites.yx[sites]])

    def step(self, viewer: ViewerModel, by: int) -> Doubt | None:
        """Go to the next (`by` = 1) or previous (-1) place and centre it; None if there is none."""
        waiting = np.array(self.waiting(), int)
        if not len(waiting):
            self._here = None
            return None
        if self._here is None:
            at = 0 if by > 0 else len(waiting) - 1
        elif by > 0:
            at = int(np.searchsorted(waiting, self._here, side="right"))
        else:
            at = int(np.searchsorted(waiting, self._here, side="left")) - 1
        self._here = int(waiting[at % len(waiting)])
        self.show(viewer)
        return self.here

    def judged(self, viewer: ViewerModel) -> None:
        """Note that something was judged, and go on if it was the place that is being looked at."""
        if self._here is None or self._here in self.waiting():
            return
        self.pace.note(time.monotonic())
        if self.step(viewer, 1) is None and self.editor is not None:
            self.editor.layer.selected_data = set()

    def show(self, viewer: ViewerModel) -> None:
        """Bring the present place to the centre, near enough to be judged, and select it."""
        editor, doubt = self.editor, self.here
        if editor is None or doubt is None:
            return
        if doubt.group:  # all over the image
            viewer.reset_view()
            editor.layer.selected_data = set()
        elif doubt.site >= 0 and self.queue.occupancy is not None:
            centre_on(viewer, editor, self.queue.occupancy.sites.yx[doubt.site])
            editor.layer.selected_data = set()
        else:
            row = int(editor.history.rows_of(np.array([doubt.atom_id]))[0])
            centre_on(viewer, editor, editor.yx[row])
            if editor.choose_window is not None:
                editor.set_window(editor.choose_window())
            editor.select([row])

    def look_at_selected(self) -> None:
        """Take the selected atom, if it waits in the queue, as the place that is being looked at."""
        editor = self.editor
        if editor is None or len(editor.layer.selected_data) != 1 or not editor.selected_rows:
            return
        atom = int(editor.history.ids[editor.selected_rows[0]])
        found = next((i for i, d in enumerate(self.queue.doubts) if d.atom_id == atom), None)
        if found is not None and found in self.waiting():
            self._here = found

    def progress(self) -> str:
        """Say where a person is: "37 of 412, 6 min left at this pace"; empty if nothing waits."""
        waiting = self.waiting()
        if not waiting:
            return ""
        count = sum(self.kind in ("", doubt.kind) for doubt in self.queue.doubts)
        done = count - len(waiting)
        at = done + 1
        if self._here in waiting:
            at = done + 1 + waiting.index(self._here)
        left = self.pace.left(len(waiting))
        pace = "" if left is None else f", {in_words(left)} left at this pace"
        return f"{at} of {count}{pace}"

    def _unsettled(self) -> list[int]:
        """Return the places of the queue that nobody has settled; found once for the rows as they are."""
        editor, queue = self.editor, self.queue
        if editor is None:
            return []
        rows = editor.rows
        if self._left[0] is not rows or self._left[1] is not queue:
            self._left = rows, queue, queue.waiting(rows)
        return self._left[2]

    def _update(self) -> None:
        """Rank anew after another segmentation, lattice, image or frame; edits only settle places."""
        editor, context = self.editor, self.context
        if editor is None:
            self.queue, self._here, self._of = ReviewQueue(), None, ()
            return
        history = editor.history
        place = id(context.placement)
        now = (id(history), editor.frame, history.generation, place, editor.pixel_size)
        if now == self._of:
            return
        shape, sites = context.shape, context.sites()
        # in a frame that nobody has touched, no site is missed: nothing was looked for
        if shape is None or editor.untouched:
            self.queue, self._of, self._here, self.kind = ReviewQueue(), now, None, ""
            return
        bright = context.brightness(editor.yx)
        site_bright = None if sites is None else context.brightness(sites.yx)
        doubts = rank(editor.rows, shape, editor.pixel_size, sites, bright, site_bright)
        self.queue = ReviewQueue(doubts, context.occupancy())
        self._of, self._here, self.kind = now, None, ""  # last: `prepare` does this in a thread


def centre_on(viewer: ViewerModel, editor: AtomEditor, yx: np.ndarray) -> None:
    """Bring a pixel to the centre, near enough to judge an atom."""
    y, x = editor.layer.data_to_world(np.asarray(yx, float))[-2:]
    camera = viewer.scene.camera  # napari 0.9 moved the camera into the scene
    camera.center = (0.0, float(y), float(x))
    if camera.zoom < _USEFUL_ZOOM:
        camera.zoom = _USEFUL_ZOOM
