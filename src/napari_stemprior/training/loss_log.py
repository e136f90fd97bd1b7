"""The log of a run: one row of losses every few steps."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from napari_stemprior.atomic_write import replaced
from napari_stemprior.errors import TrainingError
from napari_stemprior.regular_files import refuse_pipe


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
    """Drop the rows past `step`, which a resumed run writes again; a log that is not there stays so.

    Raises
    ------
    TrainingError
        If it is no such log.
    """
    if not path.exists():
        return
    try:
        refuse_pipe(path)
        text = path.read_text(encoding="utf-8")
        header, *rows = [line.split(",") for line in text.splitlines()]  # no field of it is ever quoted
        steps = [int(row[0]) if row[0].isdecimal() else None for row in rows if row != [""]]
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path}: this is no log of a run, or it is damaged; move it away, and the run goes on."
        ) from error
    # a row that was cut off, as by a full disk, is written again or lost
    rows = [row for row in rows if row != [""]]
    kept = [
        row
        for row, number in zip(rows, steps, strict=True)
        if number is not None and number <= step and len(row) == len(header)
    ]
    if len(kept) == len(rows):
        return
    with replaced(path) as beside:
        beside.write_text("".join(",".join(row) + "\r\n" for row in (header, *kept)), "utf-8", newline="")
