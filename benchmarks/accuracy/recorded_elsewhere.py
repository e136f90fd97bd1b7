"""Segment micrographs that somebody else recorded and whose atoms are known; draw where it errs.

``python -m benchmarks.accuracy.recorded_elsewhere FOLDER -o picture.jpg`` needs ``truth.json`` in the folder:
for every image prior, px (Å), atoms as x_px, y_px, Z, layer, and vacancies as x_px, y_px. Oxygen is left out,
and of columns that look like one the heaviest counts. Prints a table; draws the window with the most errors
of every image below ``--below``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from benchmarks.pictures.drawing import finish, put, scale_bar, sheet, show
from benchmarks.pictures.marks import MISSED, RIGHT, VACANT, WRONG, Marks, busiest, near
from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.matching import BORDER, match, median_spacing
from napari_stemprior.atoms.metrics import VACANCY_RADIUS
from napari_stemprior.inference import Segmenter
from napari_stemprior.structure import load_prior

#: Å: columns nearer than this look like one.
_ONE_COLUMN = 0.3
#: Side of a window and width of the smoothing beneath the marks, Å.
_SIDE, _SMOOTH = 24.0, 0.4
_OXYGEN = 8
_PANELS = 4  # in a row


@dataclass(frozen=True)
class Result:
    """The answer to one image.

    Parameters
    ----------
    name : str
    image : (H, W) array
    pixel_size : float
        Å/px.
    marks : dict
    placed : bool
    reservations : tuple of str
    filled : int
        Vacancies with an atom on them.
    """

    name: str
    image: NDArray[np.float32]
    pixel_size: float
    marks: Marks
    placed: bool
    reservations: tuple[str, ...]
    filled: int

    @property
    def f1(self) -> float:
        """Strict F1."""
        right, wrong, missed = (len(self.marks[name]) for name in (RIGHT, WRONG, MISSED))
        return 2 * right / max(2 * right + wrong + missed, 1)


def seen_columns(atoms: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """Return the (y, x) of (N, 4) atoms; of those within `reach` pixels of each other the heaviest."""
    atoms = atoms[np.argsort(-atoms[:, 2], kind="stable")]
    atoms = atoms[atoms[:, 2] != _OXYGEN]
    tree, kept = cKDTree(atoms[:, :2]), np.ones(len(atoms), bool)
    for heavier, lighter in tree.query_pairs(reach):
        kept[lighter] &= not kept[heavier]
    return atoms[kept][:, 1::-1]


def judge(found: AtomTable, image: NDArray[np.float32], name: str, truth: dict[str, Any]) -> Result:
    """Compare an answer with the truth."""
    size, shape = float(truth["px"]), (image.shape[0], image.shape[1])
    atoms = found.atoms
    yx = atoms.yx[(atoms.rows["element"] != "O").to_numpy()]
    columns = seen_columns(np.array(truth["atoms"], float), _ONE_COLUMN / size)
    pairs = match(yx, columns, size, shape)
    border = BORDER / size
    vacancies = np.array(truth["vacancies"], float).reshape(-1, 2)[:, ::-1]
    inside = ((vacancies > border) & (vacancies < np.array(shape) - 1 - border)).all(axis=1)
    vacancies = vacancies[inside]
    marks = {
        RIGHT: yx[pairs.predicted],
        WRONG: yx[pairs.spurious],
        MISSED: columns[pairs.missed],
        VACANT: vacancies,
    }
    return Result(
        name, image, size, marks,
        bool(found.provenance["prior_fits"]),
        tuple(found.provenance.get("reservations", ())),
        int(near(vacancies, yx, VACANCY_RADIUS / size).sum()),
    )  # fmt: skip


def draw(results: list[Result], path: Path, model: str) -> None:
    """Draw the window with the most errors of each image."""
    rows = -(-len(results) // _PANELS)
    figure, axes = sheet(rows, min(_PANELS, len(results)))
    handles = []
    for axis, result in zip(axes.flat, results, strict=False):
        events = np.concatenate([result.marks[name] for name in (WRONG, MISSED)])
        shape = (result.image.shape[0], result.image.shape[1])
        window = busiest(events, shape, _SIDE / result.pixel_size)
        show(axis, gaussian_filter(result.image, _SMOOTH / result.pixel_size), window, dim=True)
        spacing = median_spacing(result.marks[RIGHT]) or median_spacing(result.marks[WRONG]) or 10.0
        handles += put(axis, result.marks, (RIGHT, VACANT, WRONG, MISSED), spacing)
        scale_bar(axis, result.pixel_size)
        axis.set_title(f"{result.name}: F1 {result.f1:.3f}", fontsize=11)
    for axis in list(axes.flat)[len(results) :]:
        axis.set_axis_off()
    caption = (
        f"Micrographs recorded by somebody else, network {model} with the prior: the {_SIDE:g} Å "
        f"with the most errors, smoothed by {_SMOOTH} Å for the eye alone."
    )
    finish(figure, caption, handles, path)


def main() -> None:
    """Segment, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="small", help="shipped name or .safetensors file")
    parser.add_argument("--below", type=float, default=0.98, help="F1 of the images that are drawn")
    parser.add_argument("-o", "--output", type=Path, default=Path("out/recorded_elsewhere.jpg"))
    options = parser.parse_args()
    truths = json.loads((options.folder / "truth.json").read_text(encoding="utf-8"))
    segmenter, results = Segmenter(options.model), []
    print("| image | placed | F1 | wrong | missed | vacancies filled |\n|---|---|---:|---:|---:|---:|")
    for name, truth in truths.items():
        file = options.folder / str(truth["prior"])
        prior = load_prior(str(file) if file.exists() else truth["prior"], None)
        image = tifffile.imread(options.folder / f"{name}.tif")
        segmenter.set_image(image, truth["px"])
        result = judge(segmenter.segment(prior), image, name, truth)
        results.append(result)
        said = ("yes, with a reservation" if result.reservations else "yes") if result.placed else "no"
        wrong, missed, vacant = (len(result.marks[kind]) for kind in (WRONG, MISSED, VACANT))
        filled = f"{result.filled} of {vacant}" if vacant else "–"
        print(f"| {name} | {said} | {result.f1:.3f} | {wrong} | {missed} | {filled} |", flush=True)
    filled, vacant = sum(r.filled for r in results), sum(len(r.marks[VACANT]) for r in results)
    placed, mean = sum(r.placed for r in results), np.mean([r.f1 for r in results])
    print(f"\n{placed} of {len(results)} placed; mean F1 {mean:.3f}; {filled} of {vacant} vacancies filled")
    if low := [result for result in results if result.f1 < options.below]:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        draw(low, options.output, segmenter.name)


if __name__ == "__main__":
    main()
