"""What a batch is told, and what it tells."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from napari_stemprior.io import FORMATS
from napari_stemprior.workflow.results_table import ImageRow
from napari_stemprior.workflow.segment import SegmentSettings


@dataclass(frozen=True)
class BatchSettings:
    """How images are segmented, and where the results go.

    Parameters
    ----------
    segment : SegmentSettings
    pixel_size : float, "lattice" or None
        Å/px that a person gives; None believes the file, and the lattice where the file says nothing.
    signal : str, optional
        Of files with several signals this one.
    mask : pathlib.Path, optional
        Image file that is not zero where no atoms may be; for every image.
    invert : bool
        Exchange bright and dark first.
    keep_inferred : bool
        Keep the atoms that stand on the prior alone.
    format : str
        Key of an `ExportFormat`.
    overwrite : bool
        Replace files that this program did not write; an input never is.
    resume : bool
        Go on where a batch into this folder stopped.
    workers : int, optional
        Processes; 1 is this one alone. By default one a core, where that saves time.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers take the place of processes.
    inputs : tuple of str or path-like or None
        Further files that no output replaces.
    """

    segment: SegmentSettings = field(default_factory=SegmentSettings)
    pixel_size: float | str | None = None
    signal: str | None = None
    mask: Path | None = None
    invert: bool = False
    keep_inferred: bool = True
    format: str = "csv"
    overwrite: bool = False
    resume: bool = False
    workers: int | None = None
    scheduler: str | None = None
    inputs: tuple[str | os.PathLike[str] | None, ...] = ()

    @property
    def ending(self) -> str:
        """Of a file of atoms, such as ``.csv``."""
        return next(form.suffix for form in FORMATS if form.key == self.format)


@dataclass(frozen=True)
class BatchSummary:
    """What became of a batch.

    Parameters
    ----------
    done, failed, skipped : int
        Images that were segmented, that could not be, and that were done before.
    table : pathlib.Path or None
        The table of all images; None where there was only one.
    """

    done: int = 0
    failed: int = 0
    skipped: int = 0
    table: Path | None = None


class Listener(Protocol):
    """Hears what is to be told of a batch."""

    def said(self, sentence: str) -> None:
        """Hear a sentence for a person."""

    def finished(self, row: ImageRow, path: Path | None) -> None:
        """Hear what became of an image, and the file of its atoms; None where it failed."""
