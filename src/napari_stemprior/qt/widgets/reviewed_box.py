"""Which part of the image a training pair claims as reviewed, and what is still open in it."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Shapes
from numpy.typing import NDArray
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_stemprior.qt.editing.review import Review
from napari_stemprior.qt.layers.atom_layers import region_mask
from napari_stemprior.qt.panels.panel import NO_ATOMS, allow
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.leave_out_box import ask_to_leave_out

WHOLE, DRAWN = "Whole image", "Drawn region"
#: Half the side of the square that is left out around an open place, in parts of the distance between atoms.
_LEFT_OUT = 0.5


class ReviewedBox(QWidget):
    """Chooses the reviewed part; a drawn region is never exceeded.

    Parameters
    ----------
    session : Session
    review : Review, optional
        Tells what is still open; nothing is told without it.
    """

    def __init__(self, session: Session, review: Review | None = None) -> None:
        super().__init__()
        self.session = session
        self.review = review
        self._layer: Shapes | None = None
        self.region = QComboBox()
        self.region.addItems([WHOLE, DRAWN])
        self.draw = QPushButton("Draw")
        self.open_label = small_label()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.region, 1)
        row.addWidget(self.draw)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(3)
        rows.addLayout(row)
        rows.addWidget(self.open_label)
        self.region.currentIndexChanged.connect(self.show_open)
        self.draw.clicked.connect(self._on_draw)
        session.images_changed.connect(self._follow)
        session.image_changed.connect(self._follow)
        session.closing.connect(self._let_go)
        self._follow()

    @property
    def is_drawn(self) -> bool:
        """Whether the drawn region is what was reviewed."""
        return self.region.currentText() == DRAWN

    def refresh(self, none: str) -> None:
        """Allow or forbid the choice; `none` says why nothing can be chosen."""
        drawn = "A region is drawn; delete its layer to count the whole image." if self._has_shapes else ""
        allow(
            self.region,
            "The part of the image in which you checked every atom. The network learns from that part only; "
            "the rest counts as unknown, never as empty.",
            none,
            drawn,
        )
        allow(self.draw, "Draw rectangles around what you checked.", none)
        self.show_open()

    def reviewed(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Return which pixels count as reviewed.

        Parameters
        ----------
        shape : (int, int)
            Rows and columns of the image.

        Raises
        ------
        ExportError
            If the drawn region is meant, and none lies on the image; its layer is then there to draw in.
        """
        layer = None
        if self.is_drawn:
            layer = self.session.reviewed_region() or self.session.draw_region()
        return region_mask(layer, shape)

    def open_places(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the places within a mask that still wait for a review, (N, 2) px."""
        if self.review is None:
            return np.empty((0, 2))
        yx = self.review.open_places()
        index = np.clip(np.rint(yx).astype(int), 0, np.array(mask.shape) - 1)
        inside: NDArray[np.float64] = yx[mask[index[:, 0], index[:, 1]]]
        return inside

    def without(self, mask: NDArray[np.bool_], yx: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return a mask without the squares around some places, as far as half the way to a neighbour."""
        left = mask.copy()
        half = 2.0 if self.review is None else max(_LEFT_OUT * self.review.context.spacing, 1.0)
        for y, x in yx:
            top, bottom = (int(np.clip(np.floor(v), 0, mask.shape[0])) for v in (y - half, y + half + 1))
            start, stop = (int(np.clip(np.floor(v), 0, mask.shape[1])) for v in (x - half, x + half + 1))
            left[top:bottom, start:stop] = False
        return left

    def ask(self, count: int) -> bool | None:
        """Ask what becomes of open places: True counts them as checked, False leaves them out, None stops."""
        return ask_to_leave_out(
            self,
            "Places that still wait for a review",
            f"{_waiting(count)} in {self._where}.",
            "The network would learn them as checked. Left out, they count as unknown, and everything around "
            "them is learned.",
            "Count them as checked",
        )

    def show_open(self, *_: Any) -> None:
        """Say what is open in the part that counts as reviewed."""
        text, editor, review = "", self.session.editor, self.review
        shape = None if review is None else review.context.shape
        if editor is not None and shape is not None:
            if self.is_drawn and not self._has_shapes:
                text = "No region is drawn yet."
            else:
                count = len(self.open_places(region_mask(self._layer if self.is_drawn else None, shape)))
                text = f"{_waiting(count)} in {self._where}." if count else ""
        self.open_label.setText(text)
        self.open_label.setVisible(bool(text))

    # --- inside -------------------------------------------------------------------------------
    @property
    def _has_shapes(self) -> bool:
        return self._layer is not None and self._layer.nshapes > 0

    @property
    def _where(self) -> str:
        return "the drawn region" if self.is_drawn else "the image"

    def _on_draw(self) -> None:
        self.region.setCurrentText(DRAWN)
        self.session.draw_region()

    def _follow(self, *_: Any) -> None:
        """Listen to the region of the chosen image; once something is drawn in it, it counts."""
        layer = self.session.reviewed_region()
        if layer is not self._layer:
            self._let_go()
            self._layer = layer
            if layer is not None:
                layer.events.data.connect(self._on_shapes)
            self.region.setCurrentText(WHOLE if layer is None else DRAWN)
        self._on_shapes()

    def _let_go(self) -> None:
        if self._layer is not None:
            self._layer.events.data.disconnect(self._on_shapes)
            self._layer = None

    def _on_shapes(self, event: Any = None) -> None:
        if self._has_shapes:
            self.region.setCurrentText(DRAWN)
        self.refresh("" if self.session.editor is not None else NO_ATOMS)


def _waiting(count: int) -> str:
    return f"{count} place{' still waits' if count == 1 else 's still wait'} for a review"
