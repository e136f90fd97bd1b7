"""Draw the atoms found in real micrographs with faults: ``python docs/make_real_recordings_figure.py``.

The micrographs that do not ship are looked for in ``--micrographs``; without them only the sample is drawn.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

mpl.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402

from benchmarks.recording.real_micrographs import MICROGRAPHS, find, variant  # noqa: E402
from napari_stemprior.inference import Segmenter  # noqa: E402
from napari_stemprior.structure import built_in  # noqa: E402

VARIANTS = ("zero border 20 px", "three saturated rows", "caption strip", "pixel size 12 % too small")
#: Side in Å of the window that is drawn.
SIDE = 26.0


def corner(bad: np.ndarray, name: str, side: int) -> tuple[int, int]:
    """Return the first row and column of a window that shows the fault."""
    height, width = bad.shape
    if name == "caption strip":
        return height - side, 0
    if name == "three saturated rows":
        row = int(np.flatnonzero(bad.all(axis=1))[0])
        return int(np.clip(row - side // 2, 0, height - side)), (width - side) // 2
    if name.startswith("pixel size"):
        return (height - side) // 2, (width - side) // 2
    return 0, 0


def main() -> None:
    """Segment and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--micrographs", type=Path, default=Path("../shared/micrographs"))
    parser.add_argument("-o", type=Path, default=ROOT / "docs" / "images" / "real_recordings.jpg")
    options = parser.parse_args()
    there = [(m, path) for m in MICROGRAPHS if (path := find(m, options.micrographs)) is not None]
    figure, axes = plt.subplots(
        len(there), len(VARIANTS), figsize=(13, 3.4 * len(there)), squeeze=False, layout="constrained"
    )
    segmenter = Segmenter()
    for line, (micrograph, path) in zip(axes, there, strict=True):
        for axis, name in zip(line, VARIANTS, strict=True):
            recording = variant(micrograph, path, name)
            segmenter.set_image(recording.image, recording.stated)
            table = segmenter.segment(built_in(micrograph.prior))
            side = round(SIDE / micrograph.pixel_size)
            y, x = corner(recording.bad, name, side)
            part = recording.image[y : y + side, x : x + side]
            good = part[~recording.bad[y : y + side, x : x + side]]
            low, high = np.percentile(good, (1, 99.5))
            axis.imshow(
                part,
                cmap="gray",
                vmin=low,
                vmax=high,
                extent=(x - 0.5, x + side - 0.5, y + side - 0.5, y - 0.5),
            )
            inferred = table.rows["source"].to_numpy() == "lattice"
            for mask, colour, label in (
                (~inferred, "#56b4e9", "seen"),
                (inferred, "#e69f00", "by the lattice"),
            ):
                rows = table.rows[mask]
                axis.plot(rows["x_px"], rows["y_px"], "o", mfc="none", mec=colour, ms=6, label=label)
            axis.set(xlim=(x - 0.5, x + side - 0.5), ylim=(y + side - 0.5, y - 0.5), xticks=[], yticks=[])
            placed = table.provenance["prior_fits"]
            doubt = ", with a reservation" if table.provenance["reservations"] else ""
            axis.set_title(
                f"{micrograph.prior}: {name}\n{'placed' if placed else 'not placed'}{doubt}", fontsize=9
            )
            print(micrograph.file, name, placed, len(table), table.provenance["reservations"], flush=True)
    figure.savefig(options.o, dpi=90, pil_kwargs={"quality": 80})


if __name__ == "__main__":
    main()
