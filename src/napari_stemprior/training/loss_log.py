"""The log of a run: one row of losses every few steps."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path


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
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(["step", "samples", "seconds", "learning_rate", *means])
        numbers = [step, samples, f"{seconds:.1f}", f"{learning_rate:.2e}"]
        writer.writerow(numbers + [f"{value:.5f}" for value in means.values()])
