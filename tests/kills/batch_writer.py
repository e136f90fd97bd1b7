"""The folder of results of a batch, as `segment_images` fills it, without a network."""

from __future__ import annotations

from pathlib import Path

from napari_stemprior.atoms import AtomTable
from napari_stemprior.io import export_atoms, read_atoms
from napari_stemprior.workflow.results_table import JOURNAL, TABLE, ImageRow, Journal

_SETTINGS = {"prior": "MoS2"}


def segmented(folder: Path, number: int, table: AtomTable) -> None:
    """Go on with a batch by one image: its atoms, its line, and the table of all."""
    journal = Journal(folder, _SETTINGS, resume=True)
    export_atoms(table, folder / f"{number}.csv")
    row = ImageRow(f"{number}", f"{number}.tif", 0, f"{number}.csv", atoms=len(table))
    journal.add([f"/{number}.tif", number, number], 1, row)
    journal.close()


def images_done(folder: Path) -> int:
    """Return how many images are done; each has its atoms, and the table lacks the last one at most."""
    if not (folder / JOURNAL).exists():
        return 0
    table = (folder / TABLE).read_text().splitlines()[1:] if (folder / TABLE).exists() else None
    journal = Journal(folder, _SETTINGS, resume=True)
    try:
        assert not journal.remarks
        assert all(len(read_atoms(folder / row.output)) == row.atoms for row in journal.rows)
        assert table is None or len(journal.rows) - len(table) in (0, 1)
        return len(journal.rows)
    finally:
        journal.close()
