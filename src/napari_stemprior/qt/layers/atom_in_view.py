"""An atom of a table of numbers, brought to the middle of the view and selected."""

from __future__ import annotations

from typing import Any

import pandas as pd
from napari.layers import Image

from napari_stemprior.qt.session import Session


def show_atom(session: Session, image: Image, row: pd.Series[Any], pixel_size: float) -> None:
    """Bring the atom of a row to the middle of the view, and select it where it is still there.

    Parameters
    ----------
    session : Session
    image : napari.layers.Image
        The chosen image, on which the atom lies.
    row : pandas.Series
        With ``x_angstrom`` and ``y_angstrom``; a row without them is passed over. With ``atom_id`` the atom
        is selected.
    pixel_size : float
        Å per pixel by which the row was measured.
    """
    if "x_angstrom" not in row:
        return
    yx = (float(row["y_angstrom"]) / pixel_size, float(row["x_angstrom"]) / pixel_size)
    world = [float(v) * s + t for v, s, t in zip(yx, image.scale[-2:], image.translate[-2:], strict=True)]
    camera, editor = session.viewer.scene.camera, session.editor
    camera.center = (*camera.center[:-2], *world)
    if editor is not None and "atom_id" in row:
        session.activate_atoms()
        editor.select((editor.history.ids == int(row["atom_id"])).nonzero()[0].tolist())
