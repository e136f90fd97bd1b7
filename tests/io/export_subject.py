"""One subject for every format: not square, and no exchange or turning over leaves it as it is."""

import numpy as np

from napari_stemprior.atoms import AtomTable
from napari_stemprior.io.writers.exporters import ExportSubject

SHAPE = (30, 50)
PIXEL_SIZE = 0.2
#: (y, x) of the atoms, top right, middle left and so on; the last but one is a vacancy, the last rejected.
YX = np.array([(2.25, 40.5), (12.0, 11.125), (20.0, 31.0), (25.5, 5.0), (9.0, 24.0), (15.0, 15.0)])


def make_subject() -> ExportSubject:
    rng = np.random.default_rng(3)
    image = rng.uniform(0, 0.2, SHAPE).astype(np.float32)
    for y, x in np.round(YX[:4]).astype(int):
        image[y, x] = 1.0  # the reader's picture and positions must agree
    table = AtomTable.from_positions(
        YX,
        PIXEL_SIZE,
        provenance={"model": "small", "trust": 1.0},
        atom_id=[5, 0, 9, 3, 12, 4],
        element=["Mo", "S", "X", "Mo", "S", "Mo"],
        site=["Mo1", "S1", "", "Mo1", "S1", "Mo1"],
        layer=[0, 1, 0, 0, 1, 0],
        confidence=[0.9, np.nan, 0.5, 0.75, 1.0, 0.2],
        source=["model", "model", "model", "model", "manual", "model"],
        status=["ok", "accepted", "review", "ok", "vacancy", "rejected"],
    )
    return ExportSubject(table, image, name="flake 7")
