"""The coordinates dictionary of AtomAI as ``.npz``.

AtomAI hands coordinates about as ``{frame: (N, 3) array}`` with the columns row (y), column (x) and class,
in pixels. Its own examples keep that as a pickled ``.npy``, which may run code when it is opened; an ``.npz``
holds plain arrays only. It becomes the dictionary in one line::

    coordinates = {int(k): v for k, v in np.load("atoms.npz").items() if k.isdigit()}

The entry ``classes`` names the classes by their number, and ``pixel_size_angstrom`` is what it says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_stemprior.io.writers.formats.subject import ExportSubject


def write_atomai(subject: ExportSubject, path: Path) -> None:
    """Write frame 0 with a class for each element, in alphabetical order, and one for vacancies.

    Parameters
    ----------
    subject : ExportSubject
    path : pathlib.Path
    """
    classes = subject.classes()
    parts = [
        np.column_stack([members.yx, np.full(len(members), float(number))])
        for number, members in enumerate(classes.values())
    ]
    arrays: dict[str, Any] = {
        "0": np.concatenate(parts) if parts else np.empty((0, 3)),
        "classes": np.array(list(classes), dtype=np.str_),
        "pixel_size_angstrom": np.float64(subject.table.pixel_size),
    }
    with path.open("wb") as file:  # savez would add a suffix to a path
        np.savez_compressed(file, **arrays)
