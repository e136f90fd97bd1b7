"""A file of its own for every image, also where two share a stem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


class OutputNames:
    """Gives every image its own name below one folder; capital and small letters do not tell names apart.

    Parameters
    ----------
    images : sequence of pathlib.Path
        All images there are: the first one with a stem gets the plain name.
    ending : str
        Of every output, such as ``.csv``.
    taken : iterable of str
        Names with their ending that no image gets.
    """

    def __init__(self, images: Sequence[Path], ending: str, taken: Iterable[str] = ()) -> None:
        self.ending = ending
        self._plain: dict[str, Path] = {}
        for path in images:
            self._plain.setdefault(path.stem.casefold(), path)
        self._used = {name.removesuffix(ending).casefold() for name in taken if name.endswith(ending)}

    def claim(self, path: Path, suffix: str = "") -> tuple[str, bool]:
        """Return ``<stem><suffix><ending>``, numbered where another image has or will have that name.

        Parameters
        ----------
        path : pathlib.Path
            The image.
        suffix : str
            Of a frame, such as ``_003``.

        Returns
        -------
        name : str
        is_plain : bool
            False where it is numbered.
        """
        name, number = f"{path.stem}{suffix}", 1
        while self._is_taken(name, path):
            number += 1
            name = f"{path.stem}{suffix}-{number}"
        self._used.add(name.casefold())
        return f"{name}{self.ending}", number == 1

    def _is_taken(self, name: str, path: Path) -> bool:
        reserved = self._plain.get(name.casefold(), path)
        return name.casefold() in self._used or reserved != path
