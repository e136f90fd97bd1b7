"""The keys of the desk: one table feeds the key bindings and the tooltips.

The keys are free of those that napari gives to a Points layer (1 to 5, P, S, Z, A, Delete) and to
the viewer (V, Space, the arrows, Ctrl+Y, Ctrl+G, Ctrl+E, Ctrl+R, Ctrl+T).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from napari.layers import Points


@dataclass(frozen=True)
class Shortcut:
    """A key and what it does on the atoms layer."""

    action: str
    key: str
    text: str


SHORTCUTS: tuple[Shortcut, ...] = (
    Shortcut("next", "N", "Go to the next atom to review"),
    Shortcut("previous", "B", "Go back to the previous atom to review"),
    Shortcut("accept", "Y", "Accept the selected atoms"),
    Shortcut("reject", "X", "Reject the selected atoms: they vanish from view and exports"),
    Shortcut("undo", "Control-Z", "Take the last edit back"),
    Shortcut("redo", "Control-Shift-Z", "Do the edit again that was taken back"),
    Shortcut("paste", "Control-V", "Paste the copied atoms"),
)


def tooltip(action: str) -> str:
    """Say what an action does and by which key."""
    found = next(s for s in SHORTCUTS if s.action == action)
    return f"{found.text} ({found.key.replace('Control', 'Ctrl').replace('-', '+')})"


def bind(layer: Points, handlers: Mapping[str, Callable[[], None]]) -> None:
    """Give the atoms layer its keys; `handlers` has one callable for every action of the table."""
    for shortcut in SHORTCUTS:
        layer.bind_key(shortcut.key, partial(_run, handlers[shortcut.action]), overwrite=True)


def _run(handler: Callable[[], None], layer: Points) -> None:
    handler()
