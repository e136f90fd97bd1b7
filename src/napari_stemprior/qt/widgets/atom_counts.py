"""How many atoms there are, in words and colours."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_stemprior.atoms import ABSENT
from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.editing.atom_edits import AtomEdits
from napari_stemprior.qt.layers.palette import element_colour
from napari_stemprior.qt.widgets.display_box import dot


def count_atoms(editor: AtomEdits) -> tuple[int, str]:
    """Count the atoms of an editor.

    Returns
    -------
    count : int
        Hidden ones included.
    text : str
        By element, and how many are hidden, rejected or vacancies; rich text.
    """
    status = editor.history.column("status")
    present = ~np.isin(status, ABSENT)
    codes, elements = pd.factorize(editor.history.column("element")[present], sort=True)
    numbers = np.bincount(codes)
    parts = [
        f"{dot(element_colour(e))} {e} <b>{n}</b>" for e, n in zip(map(str, elements), numbers, strict=True)
    ]
    hidden, rejected, vacancies = (
        int(np.count_nonzero(which))
        for which in (editor.hidden & present, status == "rejected", status == "vacancy")
    )
    dimmed = int(np.count_nonzero(editor.dimmed)) if isinstance(editor, AtomEditor) else 0
    parts += [f"{hidden - dimmed} hidden"] * (hidden > dimmed) + [f"{dimmed} dimmed"] * bool(dimmed)
    parts += [f"{rejected} rejected"] * bool(rejected)
    parts += [f"{vacancies} {'vacancy' if vacancies == 1 else 'vacancies'}"] * bool(vacancies)
    return int(present.sum()), " &nbsp; ".join(parts) or "No atoms."
