"""Going through the atoms that ask for a look, the most doubtful first."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel

from napari_stemprior.qt.editing import AtomEditor

#: Screen pixels for 1 Å at which a single atom can be judged.
_USEFUL_ZOOM = 28.0


def queue(editor: AtomEditor) -> list[int]:
    """Return the rows to review, from the least confident to the most."""
    rows = editor.rows
    waiting = np.flatnonzero((rows["status"] == "review").to_numpy(bool) & ~editor.hidden)
    order = np.argsort(rows["confidence"].to_numpy()[waiting], kind="stable")
    return [int(i) for i in waiting[order]]


def place_in_queue(editor: AtomEditor) -> int:
    """Return where the selected atom stands in the queue, from 0; -1 if it is not in it."""
    selected = editor.layer.selected_data
    waiting = queue(editor)
    return waiting.index(next(iter(selected))) if len(selected) == 1 and selected <= set(waiting) else -1


def step(viewer: ViewerModel, editor: AtomEditor, by: int) -> int | None:
    """Select the next (`by` = 1) or previous (-1) atom to review and centre it; None if there is none."""
    waiting = queue(editor)
    if not waiting:
        return None
    here = place_in_queue(editor)
    if here < 0:
        here = -1 if by > 0 else 0
    index = waiting[(here + by) % len(waiting)]
    show_atom(viewer, editor, index)
    return index


def judge(viewer: ViewerModel, editor: AtomEditor, status: str) -> None:
    """Accept or reject the selected atoms and go on to the next one of the queue."""
    here = place_in_queue(editor)
    editor.set_status(editor.layer.selected_data, status)
    waiting = queue(editor)
    if here >= 0 and waiting:
        show_atom(viewer, editor, waiting[here % len(waiting)])
    elif status == "rejected":
        editor.layer.selected_data = set()


def show_atom(viewer: ViewerModel, editor: AtomEditor, index: int) -> None:
    """Select an atom and bring it to the centre, near enough to be judged."""
    layer = editor.layer
    y, x = layer.data_to_world(layer.data[index])[-2:]
    # napari 0.9 moved the camera into the scene
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    camera.center = (0.0, float(y), float(x))
    if camera.zoom < _USEFUL_ZOOM:
        camera.zoom = _USEFUL_ZOOM
    layer.selected_data = {index}
