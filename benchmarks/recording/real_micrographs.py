"""Real micrographs as they are and with faults, against columns counted by eye in marked boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.recording import files
from benchmarks.recording.files import Recording
from napari_stemprior.atoms import AtomTable
from napari_stemprior.io import read_micrograph

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "sample_data"
BOXES = Path(__file__).parent / "real_columns.csv"
AS_IT_IS = "as it is"


@dataclass(frozen=True)
class Micrograph:
    """A measured micrograph.

    Parameters
    ----------
    file, prior : str
    pixel_size : float
        Å/px at which the lattice of the prior fits the image; kept here so that the yardstick stays.
    unseen : str
        Element whose columns cannot be seen: they are not among those counted by eye.
    """

    file: str
    prior: str
    pixel_size: float
    unseen: str = ""


MICROGRAPHS = (
    Micrograph("si_110.png", "Si [110]", 0.0894),
    Micrograph("gold_grain_boundary.png", "Au [110]", 0.1278),
    Micrograph("srtio3_001.jpg", "SrTiO3 [001]", 0.0770, "O"),
    Micrograph("example_Se_implanted_MoS2.dm3", "MoS2", 0.1341),
)
#: What is done to each, in this order.
VARIANTS = (
    AS_IT_IS,
    "pixel size 12 % too small",
    "pixel size 12 % too large",
    "zero border 2 px",
    "zero border 20 px",
    "three saturated rows",
    "caption strip",
)


@dataclass(frozen=True)
class Box:
    """Part of a micrograph with the columns that a person counts in it.

    Parameters
    ----------
    y0, x0, height, width : float
        Pixels; an atom is inside if y0 ≤ y < y0 + height, and so along x.
    columns : int
        Those seen clearly.
    doubtful : int
        Further ones that one may count or not.
    """

    y0: float
    x0: float
    height: float
    width: float
    columns: int
    doubtful: int

    def count(self, yx: files.Floats) -> int:
        """Count the (N, 2) positions inside."""
        part = (yx - [self.y0, self.x0]) / [self.height, self.width]
        return int(((part >= 0) & (part < 1)).all(axis=1).sum())


def boxes(file: str) -> list[Box]:
    """Return the marked boxes of a micrograph."""
    rows = pd.read_csv(BOXES)
    own = rows[rows["micrograph"] == file]
    return [Box(*row) for row in own.iloc[:, 1:7].itertuples(index=False, name=None)]


def find(micrograph: Micrograph, folder: Path) -> Path | None:
    """Return where a micrograph lies: in the folder or in the sample data; None if in neither."""
    return next((p for p in (folder / micrograph.file, SAMPLES / micrograph.file) if p.is_file()), None)


def variant(micrograph: Micrograph, path: Path, name: str) -> Recording:
    """Read a micrograph and do to it what a name of `VARIANTS` says.

    As it is it has the pixel size that its file states, if it does; otherwise that at which the lattice fits.
    """
    read = read_micrograph(path)
    plain = Recording.of(read.image, micrograph.pixel_size)
    rng = np.random.default_rng(0)
    if name == AS_IT_IS:
        return replace(plain, stated=read.pixel_size or micrograph.pixel_size)
    if name.startswith("pixel size"):
        factor = 0.88 if name.endswith("small") else 1.12
        return replace(plain, stated=micrograph.pixel_size * factor)
    if name.startswith("zero border"):
        return files.zero_border(plain, rng, (float(name.split()[2]),))
    if name == "caption strip":
        return files.caption_strip(plain, rng, (60, 24, 1.0))
    for seed in range(1000):  # the boxes stay whole, so that their count holds
        lost = files.lost_rows(plain, np.random.default_rng(seed), (3, 1))
        if not any(_rows(lost, box).any() for box in boxes(micrograph.file)):
            return lost
    raise ValueError(f"no three rows of {micrograph.file} leave its boxes alone")


def _rows(recording: Recording, box: Box) -> NDArray[np.bool_]:
    low, high = int(box.y0) - 5, int(np.ceil(box.y0 + box.height)) + 5
    return np.asarray(recording.bad[low:high].any(axis=1))


def counts(found: AtomTable, micrograph: Micrograph) -> Iterator[tuple[Box, int]]:
    """Yield the boxes and the predicted atoms in them, those of the unseen element left out."""
    atoms = found.atoms
    seen = atoms.where(atoms.rows["element"].to_numpy() != micrograph.unseen) if micrograph.unseen else atoms
    for box in boxes(micrograph.file):
        yield box, box.count(seen.yx)
