"""The keys of the desk: one table feeds the key bindings, the tooltips and the help.

The keys are free of those that napari gives to a Points layer (1 to 5, P, S, Z, A, Delete) and to
the viewer (V, Space, the arrows, Ctrl+Y, Ctrl+G, Ctrl+E, Ctrl+R, Ctrl+T); Delete keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from napari.layers import Points


@dataclass(frozen=True)
class Shortcut:
    """A key and what it does while the atoms layer is active.

    Parameters
    ----------
    action : str
    key : str
        As napari writes it.
    text : str
        What it does, for a person.
    group : str
        Heading in the help.
    hold : bool
        Whether it acts while the key is held down.
    """

    action: str
    key: str
    text: str
    group: str
    hold: bool = False

    @property
    def shown(self) -> str:
        """The key as a person reads it."""
        return self.key.replace("Control", "Ctrl").replace("-", "+")


SHORTCUTS: tuple[Shortcut, ...] = (
    Shortcut("next", "N", "Go to the next place to review", "Review"),
    Shortcut("previous", "B", "Go back to the previous place to review", "Review"),
    Shortcut("accept", "Y", "Yes: accept the selected atoms, or confirm the empty site", "Review"),
    Shortcut("reject", "X", "No: reject the selected atoms, or put an atom on the empty site", "Review"),
    Shortcut("species", "E", "Give the selected atoms the next element", "Review"),
    Shortcut("fill", "I", "Put an atom on the empty site", "Review"),
    Shortcut("vacancy", "O", "Mark the empty site, or the selected atoms, as a vacancy", "Review"),
    Shortcut("quick", "Q", "Switch quick edit on or off", "Edit"),
    Shortcut("delete", "Delete", "Delete the selected atoms", "Edit"),
    Shortcut("paste", "Control-V", "Paste the copied atoms at the mouse", "Edit"),
    Shortcut("undo", "Control-Z", "Take the last edit back", "Edit"),
    Shortcut("redo", "Control-Shift-Z", "Do the edit again that was taken back", "Edit"),
    Shortcut("hide", "H", "Hold to see the image alone", "See", hold=True),
    Shortcut("colour", "C", "Colour the atoms by the next quantity", "See"),
    Shortcut("help", "F1", "Show these keys", "Help"),
)

#: What the mouse does in quick edit, for the help and the tooltip.
MOUSE: tuple[tuple[str, str], ...] = (
    ("Click", "add an atom at the nearest bright spot, or select the atom that is there"),
    ("Drag an atom", "move it"),
    ("Right click", "delete the atom"),
    ("Right drag", "delete every atom that the brush touches"),
    ("Shift+drag", "select what the lasso encloses"),
    ("Drag elsewhere", "move the view"),
)
#: Key of the help; it works anywhere in the window.
HELP_KEY = "?"


def tooltip(action: str) -> str:
    """Say what an action does and by which key."""
    found = next(s for s in SHORTCUTS if s.action == action)
    return f"{found.text} ({found.shown})"


def bind(
    layer: Points,
    handlers: Mapping[str, Callable[[], None]],
    releases: Mapping[str, Callable[[], None]],
) -> None:
    """Give the atoms layer its keys.

    Parameters
    ----------
    layer : napari.layers.Points
    handlers : mapping
        What happens when a key is pressed; one for every action of the table.
    releases : mapping
        What happens when a key that is held is let go.
    """
    for shortcut in SHORTCUTS:
        press = handlers[shortcut.action]
        action = _held(press, releases[shortcut.action]) if shortcut.hold else _pressed(press)
        action.__name__ = f"stemprior_{shortcut.action}"  # napari looks at the names of what keys call
        layer.bind_key(shortcut.key, action, overwrite=True)


def _pressed(press: Callable[[], None]) -> Callable[[Points], None]:
    def pressed(layer: Points) -> None:
        press()

    return pressed


def _held(press: Callable[[], None], release: Callable[[], None]) -> Callable[[Points], Iterator[None]]:
    def held(layer: Points) -> Iterator[None]:
        press()
        yield
        release()

    return held
