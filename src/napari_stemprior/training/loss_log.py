"""The log of a run: one row of losses every few steps."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from napari_stemprior.atomic_write import replaced


def append_losses(
    path: Path, step: int, samples: int, seconds: float, learning_rate: float, means: Mapping[str, float]
) -> None:
    """Append a row to a CSV file, which gets its header with the first.

    Parameters
    ----------
    path : pathlib.Path
        In a folder that exists.
    step, samples : int
        Done so far.
    seconds : float
        Taken so far.
    learning_rate : float
    means : mapping of str to float
        Each part of the loss, its mean since the last row.
    """
    fresh = not path.exists()
    with path.open("a", newline="") as file:  # it only grows; a resumed run drops what is too much
        writer = csv.writer(file)
        if fresh:
            writer.writerow(["step", "samples", "seconds", "learning_rate", *means])
        numbers = [step, samples, f"{seconds:.1f}", f"{learning_rate:.2e}"]
        writer.writerow(numbers + [f"{value:.5f}" for value in means.values()])


def forget_after(path: Path, step: int) -> None:
    """Drop the rows past `step`, which a resumed run writes again; a log that is not there stays so."""
    if not path.exists():
        return
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    kept = [row for row in rows if int(row[0]) <= step]
    if len(kept) == len(rows):
        return
    with replaced(path) as beside, beside.open("w", newline="") as file:
        csv.writer(file).writerows([header, *kept])
