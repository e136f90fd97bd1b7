"""Draw hard cases and real micrographs with what the network finds in them, right, wrong and missed.

``python -m benchmarks.pictures.overlays -o docs/images`` writes ``hard_*.jpg`` (simulated, so the truth is
known), ``real_*.jpg`` (no truth is known) and the numbers of all captions as ``hard_cases_numbers.csv`` in
the folder above.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmarks.accuracy.vacancy_limit import limits
from benchmarks.pictures.drawing import finish, frame, put, scale_bar, sheet, show
from benchmarks.pictures.marks import (
    BOTH,
    EMPTY,
    JUDGED,
    LEANT,
    MISSED,
    MISSED_HIDDEN,
    ONLY_LOG,
    ONLY_OURS,
    REVIEW,
    RIGHT,
    RIGHT_HIDDEN,
    SEEN,
    UNJUDGED,
    VACANT,
    WRONG,
    WRONG_HIDDEN,
    busiest,
    by_source,
    compared,
    judged,
)
from benchmarks.rivals.classical import laplacian_of_gaussian
from benchmarks.validation.validation_set import Item, items
from napari_stemprior.atomic_write import replaced
from napari_stemprior.atoms.matching import median_spacing
from napari_stemprior.errors import StempriorError
from napari_stemprior.inference import Segmenter
from napari_stemprior.io import read_micrograph
from napari_stemprior.registration import LatticeFit, fit_pixel_size
from napari_stemprior.structure import built_in

ROOT = Path(__file__).resolve().parents[2]
#: Not part of the project; the pictures drawn from them name their source.
MICROGRAPHS = ROOT.parent / "shared" / "micrographs"

#: A crop is so many neighbour distances wide, within these limits in Å.
_NEIGHBOURS, _NARROWEST, _WIDEST = 20, 24.0, 60.0
#: Å: what lies beneath the marks of a simulated micrograph is smoothed, so that the eye can judge them.
_SMOOTH = 0.4
#: A site counts as left empty where the lattice is seen at least so well.
_RELIABLE = 0.5


@dataclass(frozen=True)
class HardCase:
    """A view of the validation set at a dose.

    Parameters
    ----------
    picture : str
        Name of the file, without its suffix.
    views : tuple of str
        Parts of names of the validation set; the first that there is will be drawn.
    dose : float
        e/Å².
    """

    picture: str
    views: tuple[str, ...]
    dose: float


@dataclass(frozen=True)
class RealCase:
    """A measured micrograph.

    Parameters
    ----------
    picture, file : str
    prior : str
        What ``stemprior suggest`` puts first.
    source : str
        Whose it is.
    """

    picture: str
    file: Path
    prior: str
    source: str


# The doses are those at which the case is hard: higher up there is little to see but circles.
HARD = (
    HardCase("hard_vacancies_wse2", ("04 wse2_vacancies",), 300),
    HardCase("hard_vacancies_graphene", ("15 graphene_vacancies",), 3000),
    HardCase("hard_strain", ("21 wte2 strain",), 300),
    HardCase("hard_grains", ("28 tio2_001 grains",), 1000),
    HardCase("hard_hole", ("14 graphene hole",), 1000),
    HardCase("hard_bilayer", ("31 wse2_twisted_vacancies", "19 mose2_on_ws2 bilayer"), 1000),
    HardCase("hard_lowest_dose", ("22 wte2_vacancies",), 300),
)
_ATOMSEGNET = "AtomSegNet test images, © 2019 xinhuolin, MIT"
REAL = (
    RealCase(
        "real_mos2",
        ROOT / "sample_data" / "example_Se_implanted_MoS2.dm3",
        "MoS2",
        "temul-toolkit, TEMUL group, University of Limerick, GPL-3.0",
    ),
    RealCase("real_si_110", MICROGRAPHS / "si_110.png", "Si [110]", _ATOMSEGNET),
    RealCase("real_gold", MICROGRAPHS / "gold_grain_boundary.png", "Au [110]", _ATOMSEGNET),
    RealCase(
        "real_srtio3",
        MICROGRAPHS / "srtio3_001.jpg",
        "SrTiO3 [001]",
        "AI-STEM test images, © 2025 Ziyang Huang, MIT",
    ),
)


def crop_side(yx: NDArray[np.float64], pixel_size: float) -> float:
    """Return the side in pixels of a crop on which each of (N, 2) atoms is a mark of its own."""
    spacing = (median_spacing(yx) or 0.0) * pixel_size
    return float(np.clip(_NEIGHBOURS * spacing, _NARROWEST, _WIDEST)) / pixel_size


def find_view(names: tuple[str, ...]) -> Item:
    """Return the first view of the validation set whose name holds one of `names`.

    Raises
    ------
    StempriorError
        If there is none.
    """
    for name in names:
        if found := items(name):
            return found[0]
    raise StempriorError(f"The validation set has no view {' or '.join(names)}; see benchmarks.validation.")


def draw_hard(case: HardCase, segmenter: Segmenter, path: Path) -> dict[str, Any]:
    """Draw a case with its truth and return the numbers of its caption."""
    item = find_view(case.views)
    image = item.micrograph(case.dose)
    shape = (image.shape[0], image.shape[1])
    segmenter.set_image(image, item.pixel_size)
    found = segmenter.segment(item.prior)
    marks, result = judged(found, item.truth, shape, item.vacancies, item.vacancy_layers)
    errors = (WRONG, WRONG_HIDDEN, MISSED, MISSED_HIDDEN)
    events = np.concatenate([marks[name] for name in errors])
    side = crop_side(item.truth.yx[item.truth.rows["layer"].to_numpy() == 0], item.pixel_size)
    window = busiest(np.concatenate([events, marks[VACANT]]), shape, side)
    inside = window.count(marks)

    spacing = side / _NEIGHBOURS * (0.65 if (item.truth.rows["layer"] > 0).any() else 1.0)
    figure, axes = sheet(1, 2)
    show(axes[0, 0], image, window)
    axes[0, 0].set_title("the micrograph", fontsize=10)
    scale_bar(axes[0, 0], item.pixel_size)
    show(axes[0, 1], gaussian_filter(image, _SMOOTH / item.pixel_size), window, dim=True)
    axes[0, 1].set_title(f"the same, smoothed by {_SMOOTH} Å for the eye alone, with marks", fontsize=10)
    order = (UNJUDGED, RIGHT_HIDDEN, RIGHT, VACANT, WRONG_HIDDEN, WRONG, MISSED_HIDDEN, MISSED)
    handles = put(axes[0, 1], marks, order, spacing)

    filled = round(result.vacancies * result.vacancies_filled) if result.vacancies else 0
    limit = limits(item).get(case.dose, np.nan) if item.name.split()[1].endswith("_vacancies") else np.nan
    facts = [
        f"strict F1 {result.f1:.3f} ({result.fp} wrong and {result.fn} missed of {result.tp + result.fn})"
    ]
    if result.vacancies:
        best = "" if np.isnan(limit) else f"; the best possible test fills {100 * limit:.2g} %"
        facts.append(f"{filled} of {result.vacancies} vacancies filled{best}")
    if np.isfinite(result.hidden_layer_recall):
        facts.append(f"hidden-layer recall {result.hidden_layer_recall:.3f}")
    if not found.provenance["prior_fits"]:
        facts.append("the prior did not register and was left aside")
    wrong, missed = inside[WRONG] + inside[WRONG_HIDDEN], inside[MISSED] + inside[MISSED_HIDDEN]
    caption = (
        f"{item.prior.name}, {item.scene}: {case.dose:g} e/Å², {item.pixel_size:g} Å/px, "
        f"network {segmenter.name} with the prior\n"
        f"Whole view: {'; '.join(facts)}.\n"
        f"Shown: the {window.side * item.pixel_size:.0f} Å with the most errors and vacancies "
        f"({inside[RIGHT] + inside[RIGHT_HIDDEN]} right, {wrong} wrong, {missed} missed)."
    )
    finish(figure, caption, _ordered(handles, JUDGED), path)
    return {
        "picture": path.name,
        "what": item.name,
        "prior": item.prior.name,
        "prior_fits": found.provenance["prior_fits"],
        "dose": case.dose,
        "pixel_size": item.pixel_size,
        "atoms": result.tp + result.fp,
        "f1": result.f1,
        "precision": result.precision,
        "recall": result.recall,
        "wrong": result.fp,
        "missed": result.fn,
        "vacancies": result.vacancies,
        "vacancies_filled": result.vacancies_filled,
        "vacancy_limit": limit,
        "hidden_layer_recall": result.hidden_layer_recall,
        "shown_right": inside[RIGHT] + inside[RIGHT_HIDDEN],
        "shown_wrong": wrong,
        "shown_missed": missed,
        "model": segmenter.name,
    }


def draw_real(case: RealCase, segmenter: Segmenter, path: Path) -> dict[str, Any]:
    """Draw a measured micrograph with what the desk would say of it, and return the numbers."""
    prior = built_in(case.prior)
    micrograph = read_micrograph(case.file)
    image, stated = micrograph.image, micrograph.pixel_size
    shape = (image.shape[0], image.shape[1])
    pixel_size, _ = fit_pixel_size(image, prior, guess=stated)
    segmenter.set_image(image, pixel_size)
    found = segmenter.segment(prior)
    sites = seen_sites(image.shape, segmenter.fit)
    marks = by_source(found, sites)
    log = laplacian_of_gaussian(image, pixel_size, prior)
    other = compared(found.atoms.yx, log.yx, pixel_size, shape)
    side = crop_side(sites if len(sites) else found.yx, pixel_size)
    window = busiest(np.concatenate([marks[LEANT], marks[REVIEW], marks[EMPTY]]), shape, side)
    spacing = median_spacing(found.yx) or 10.0

    figure, axes = sheet(2, 2)
    titles = ("the whole micrograph", "crop", "crop: what the network finds", "crop: compared with LoG")
    for axis, title in zip(axes.flat, titles, strict=True):
        whole = title.startswith("the whole")
        show(axis, image, None if whole else window, dim=":" in title or whole)
        axis.set_title(title, fontsize=10)
    order = (SEEN, LEANT, REVIEW, EMPTY)
    handles = put(axes[0, 0], marks, order, spacing)
    frame(axes[0, 0], window)
    scale_bar(axes[0, 0], pixel_size)
    scale_bar(axes[0, 1], pixel_size)
    handles += put(axes[1, 0], marks, order, spacing)
    different = put(axes[1, 1], other, (BOTH, ONLY_OURS, ONLY_LOG), spacing)
    axes[1, 1].legend(
        handles=different, loc="lower right", facecolor="0.25", labelcolor="white", framealpha=0.9
    )
    total, inside, differ = ({k: len(v) for k, v in marks.items()}, window.count(marks), window.count(other))
    said = f"{stated:.4g} Å/px stated, " if stated else "no pixel size stated, "
    fits = found.provenance["prior_fits"]
    caption = (
        f"{case.file.name} ({case.source}), prior {prior.name}: {said}{pixel_size:.4g} by the lattice, "
        f"{'pose score ' + format(segmenter.fit.pose.score, '.2f') if segmenter.fit else 'no fit'}; "
        f"network {segmenter.name}. No truth is known.\n"
        f"Whole: {total[SEEN]} atoms seen in the image, {total[LEANT]} on the prior alone, "
        f"{total[REVIEW]} of them for review, {total[EMPTY]} sites left empty.\n"
        f"Crop of {window.side * pixel_size:.0f} Å, where the most is in doubt: {inside[SEEN]} seen, "
        f"{inside[LEANT]} on the prior alone, {inside[REVIEW]} of them for review, {inside[EMPTY]} empty; "
        f"{differ[BOTH]} found by LoG too, {differ[ONLY_OURS]} only by the network, "
        f"{differ[ONLY_LOG]} only by LoG."
    )
    finish(figure, caption, _ordered(handles, order), path)
    return {
        "picture": path.name,
        "what": case.file.name,
        "prior": prior.name,
        "prior_fits": fits,
        "stated_pixel_size": stated or np.nan,
        "pixel_size": pixel_size,
        "pose_score": segmenter.fit.pose.score if segmenter.fit else np.nan,
        "atoms": len(found.atoms),
        "seen": total[SEEN],
        "on_prior_alone": total[LEANT],
        "for_review": total[REVIEW],
        "left_empty": total[EMPTY],
        "log_atoms": len(log),
        "only_network": len(other[ONLY_OURS]),
        "only_log": len(other[ONLY_LOG]),
        "model": segmenter.name,
    }


def seen_sites(shape: tuple[int, ...], fit: LatticeFit | None) -> NDArray[np.float64]:
    """List the (M, 2) pixels of the sites of all grains where the lattice is seen; none without a fit."""
    if fit is None or fit.sites is None:
        return np.empty((0, 2))
    inside = ((fit.sites.yx >= 0) & (fit.sites.yx <= np.array(shape) - 1)).all(axis=1)
    return fit.sites.yx[inside & (fit.sites.reliability >= _RELIABLE)]


def _ordered(handles: list[Any], names: tuple[str, ...]) -> list[Any]:
    return sorted(handles, key=lambda handle: names.index(handle.get_label()))


def main() -> None:
    """Draw every picture that can be drawn and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="small", help="shipped name or .safetensors file")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--only", default="", help="part of the names of the pictures to draw")
    parser.add_argument("--suffix", choices=("jpg", "png"), default="jpg", help="kind of picture")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images"))
    parser.add_argument(
        "--table",
        type=Path,
        help="CSV of the numbers (default: hard_cases_numbers.csv in the folder above the pictures)",
    )
    options = parser.parse_args()
    segmenter = Segmenter(options.model, options.device)
    table = options.table or options.output.parent / "hard_cases_numbers.csv"
    rows = []
    for case in HARD:
        if options.only in case.picture:
            rows.append(draw_hard(case, segmenter, options.output / f"{case.picture}.{options.suffix}"))
    for real in REAL:
        if options.only not in real.picture:
            continue
        if not real.file.is_file():
            print(
                f"{real.file}: there is no such micrograph, so {real.picture} is not drawn.", file=sys.stderr
            )
            continue
        rows.append(draw_real(real, segmenter, options.output / f"{real.picture}.{options.suffix}"))
    written = pd.DataFrame(rows)
    if options.only and table.is_file():  # the pictures that were not drawn keep their numbers
        before = pd.read_csv(table)
        stems = [Path(name).stem for name in before["picture"]]
        drawn = {Path(row["picture"]).stem for row in rows}
        kept = before[[stem not in drawn for stem in stems]]
        written = pd.concat([kept, written], ignore_index=True)
    with replaced(table) as beside:
        written.to_csv(beside, index=False, float_format="%.4g")
    print(written.to_string())
    print(f"Numbers written to {table}.")


if __name__ == "__main__":
    main()
