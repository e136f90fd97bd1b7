"""``stemprior measure``: numbers, figures and a report from saved atoms."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from napari_stemprior.commands.mask_option import add_mask, mask_of
from napari_stemprior.commands.option_types import count, finite, positive, positive_count
from napari_stemprior.commands.output_options import add_overwrite
from napari_stemprior.commands.prior_options import add_view_options, load_priors
from napari_stemprior.errors import BAD_INPUT, StempriorError, telling_out_of_memory
from napari_stemprior.io import read_micrographs
from napari_stemprior.output_files import output_folder
from napari_stemprior.progress import Progress, drain

if TYPE_CHECKING:
    from napari_stemprior.structure import Prior
    from napari_stemprior.workflow.measure_series import SeriesSettings

T = TypeVar("T")

_DETAILS = """\
Fits the lattice of the prior to the image and measures the atoms of ATOMS (a .csv or .parquet of
'stemprior segment' or of the desk) against it. Writes OUTDIR/<image stem>_columns.csv and .parquet
(one row a column), _defects.csv, _results.json, figures and _report.html. Without any of --intensities,
--strain, --defects, --layers and --scan-errors and of the single questions, from --polarisation to
--statistics-in, the five are measured; what cannot be is named in the report.

ATOMS may be the folder of 'stemprior segment': then every frame of IMAGE (a file, a stack, a folder or a
pattern in quotes) is measured with its table, and OUTDIR/series.csv and series.png tell what changes from
frame to frame: the mean lattice, intensities, defects, drift. What cannot be measured is named, the others
go on, and the exit code is 2.

examples:
  stemprior measure flake.dm3 out/flake.csv --prior MoS2 -o out
  stemprior measure sto.tif out/sto.csv --prior "SrTiO3 [001]" --strain --polarisation Ti:Sr -o out
  stemprior measure gold.tif out/gold.csv --prior "Au [100]" --count-atoms Au -o out
  stemprior measure film.tif out/film.csv --prior film.cif --region 10,10,200,300 --figures svg,pdf -o out
  stemprior measure series.tif out --prior MoS2 -o measured
"""
_KINDS = ("intensities", "strain", "defects", "layers", "scan_errors")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``stemprior measure``."""
    parser.epilog = _DETAILS
    parser.add_argument(
        "image", metavar="IMAGE", type=Path, help="the micrograph, or several with a folder as ATOMS"
    )
    parser.add_argument(
        "atoms", metavar="ATOMS", type=Path, help="its atoms: a .csv or .parquet, or their folder"
    )
    parser.add_argument(
        "--prior",
        metavar="NAME_OR_FILE",
        required=True,
        help="a name of 'stemprior priors' or a structure file",
    )
    add_view_options(parser)
    parser.add_argument(
        "--intensities", action="store_true", help="integrated intensities, widths, ellipticities"
    )
    parser.add_argument(
        "--strain", action="store_true", help="strain and rotation, of atoms and of fringes (GPA)"
    )
    parser.add_argument("--defects", action="store_true", help="vacancies, substitutions, interstitials")
    parser.add_argument("--layers", action="store_true", help="twist, shift and moiré of a stack")
    parser.add_argument("--scan-errors", action="store_true", help="what rows of the scan have in common")
    parser.add_argument(
        "--remove-scan-errors", action="store_true", help="take that out of displacements and strain"
    )
    parser.add_argument(
        "--polarisation", metavar="CENTRE:CAGE", type=_pair, help="off-centring of a site, such as Ti:Sr"
    )
    parser.add_argument(
        "--tilts",
        metavar="CENTRE:CORNER",
        type=_pair,
        help="octahedral tilts and bond angles, such as Ti:O",
    )
    parser.add_argument(
        "--count-atoms",
        metavar="SITE",
        help="atoms in the columns of a site or element, by steps of the intensity",
    )
    parser.add_argument(
        "--first-count",
        metavar="N",
        type=positive_count,
        help="atoms in the faintest of them (default: extrapolated)",
    )
    parser.add_argument(
        "--boundaries", action="store_true", help="grain and antiphase boundaries and their misorientation"
    )
    parser.add_argument(
        "--planes", metavar="H,K[,SITE]", type=_planes, help="spacings of lattice planes, one after the other"
    )
    parser.add_argument(
        "--planes-region",
        metavar="Y,X,Y,X…",
        type=_corners,
        help="where planes are measured, px (default: all)",
    )
    parser.add_argument(
        "--profile",
        metavar="Y,X,Y,X",
        type=_line,
        action="append",
        default=[],
        help="intensity along a line from start to end, px; may be given several times",
    )
    parser.add_argument(
        "--profile-width",
        metavar="Å",
        type=positive,
        default=0.0,
        help="average lines across this width (default: none)",
    )
    parser.add_argument(
        "--pick",
        metavar="ID,ID[,ID]",
        type=_ids,
        action="append",
        default=[],
        help="distance of two atoms, or the angle at the second of three; may be given several times",
    )
    parser.add_argument(
        "--statistics-in",
        metavar="Y,X,Y,X…",
        type=_corners,
        help="statistics of all numbers inside a region, px",
    )
    parser.add_argument(
        "--region",
        metavar="Y,X,Y,X…",
        type=_corners,
        help="corners of the reference region, px; two are those of a rectangle (default: the mean lattice)",
    )
    parser.add_argument(
        "--part",
        metavar="N",
        type=count,
        default=0,
        help="connected part (grain, as in the table) whose mean lattice is the reference (default 0, the "
        "largest)",
    )
    parser.add_argument(
        "--axis",
        metavar="°",
        type=finite,
        default=0.0,
        help="first axis of strain, from x towards y (default 0)",
    )
    parser.add_argument(
        "--power",
        metavar="P",
        type=_share,
        default=1.0,
        help="share of the true vacancies that are found at this dose, where known (default 1)",
    )
    parser.add_argument("--pixel-size", metavar="Å", type=positive, help="Å per pixel; wins over the files'")
    parser.add_argument("--frame", metavar="N", type=int, help="of a stack, counted from 0 (default 0)")
    parser.add_argument(
        "--signal", metavar="NAME", help="of a file with several signals this one, such as HAADF"
    )
    add_mask(parser, "; it holds for every image and frame")
    parser.add_argument(
        "--invert", action="store_true", help="exchange bright and dark first (ABF, bright field)"
    )
    parser.add_argument(
        "--figures",
        metavar="FORMATS",
        type=_formats,
        default=("png",),
        help="png, svg, pdf, several with commas, or none (default png)",
    )
    parser.add_argument(
        "-o", "--output", metavar="OUTDIR", type=Path, required=True, help="folder for the results"
    )
    add_overwrite(parser)


def run(options: argparse.Namespace) -> int:
    """Measure, write the results and return the exit code.

    Raises
    ------
    StempriorError
        If something cannot be read, measured or written.
    """
    from napari_stemprior.kept_memory import keep_freed_memory
    from napari_stemprior.workflow.measure_series import measure_frame
    from napari_stemprior.workflow.operations import Operations

    keep_freed_memory()
    prior = load_priors([options.prior], options)[0]
    settings = _settings(options)
    if options.atoms.is_dir():
        return _measure_all(options, prior, settings)
    if options.image.is_dir():
        raise StempriorError(
            f"{options.image} is a folder of images and {options.atoms} is one table; give the folder of "
            "their tables."
        )
    frames = read_micrographs(options.image, options.pixel_size, signal=options.signal)
    number = options.frame or 0
    if not 0 <= number < len(frames):
        raise StempriorError(f"{options.image}: there is no frame {number}; give 0 to {len(frames) - 1}.")
    frame = frames[number]
    for remark in frame.metadata.get("remarks", ()):
        print(f"stemprior: {remark}", file=sys.stderr)
    stem = options.image.stem + (f"_{number:03d}" if len(frames) > 1 else "")
    with output_folder(options.output) as folder, telling_out_of_memory():
        work = measure_frame(Operations(), frame, options.atoms, prior, folder, stem, settings)
        found, written = _driven(work, frame.name)
    for what, reason in found.reasons.items():
        print(f"stemprior: {what}: {reason}", file=sys.stderr)
    if sys.stderr.isatty():
        print(f"{len(found.columns)} columns in {written[0]}", file=sys.stderr)
    return 0


def _measure_all(options: argparse.Namespace, prior: Prior, settings: SeriesSettings) -> int:
    """Measure a series of frames."""
    from napari_stemprior.workflow.image_sources import image_files
    from napari_stemprior.workflow.measure_series import measure_series
    from napari_stemprior.workflow.operations import Operations

    if options.frame is not None:
        raise StempriorError(
            f"{options.atoms} is a folder, whose tables are measured frame by frame; leave out --frame, or "
            "give one table."
        )
    files = image_files([options.image], options.output)
    with output_folder(options.output) as folder:
        work = measure_series(Operations(), files, options.atoms, prior, folder, settings, _say)
        series = _driven(work, options.image.name)
    failed = int((series.table["status"] == "failed").sum())
    if failed:
        _say(
            f"{failed} of {len(series.table)} frames could not be measured; {folder / 'series.csv'} says why."
        )
    return BAD_INPUT if failed else 0


def _say(sentence: str) -> None:
    print(f"stemprior: {sentence}", file=sys.stderr)


def _settings(options: argparse.Namespace) -> SeriesSettings:
    from napari_stemprior.workflow.measure import MeasureSettings
    from napari_stemprior.workflow.measure_questions import Questions
    from napari_stemprior.workflow.measure_series import SeriesSettings

    asked = [kind for kind in _KINDS if getattr(options, kind)]
    questions = Questions(
        tilts=options.tilts, count=options.count_atoms, first_count=options.first_count,
        boundaries=options.boundaries,
        planes=options.planes[0] if options.planes else None,
        planes_site=options.planes[1] if options.planes else None, planes_region=options.planes_region,
        statistics_in=options.statistics_in, lines=tuple(options.profile), line_width=options.profile_width,
        picked=tuple(options.pick),
    )  # fmt: skip
    only = options.polarisation is not None or questions != Questions()
    wanted = dict.fromkeys(_KINDS, not asked and not only) | dict.fromkeys(asked, True)
    if questions != Questions():  # their errors are those of the fit of the columns
        wanted["intensities"] = True
    chosen = MeasureSettings(
        **wanted, polarisation=options.polarisation, remove_scan_errors=options.remove_scan_errors,
        region=options.region, part=options.part, axis=options.axis, power=options.power, questions=questions,
    )  # fmt: skip
    about = {
        "prior": options.prior, "zone_axis": options.zone_axis or "", "normal": options.normal or "",
        "block": options.block or "", "region_px": options.region or "", "inverted": options.invert,
        **({} if options.mask is None else {"mask": options.mask.name}),
    }  # fmt: skip
    return SeriesSettings(
        chosen, options.pixel_size, options.signal, options.invert, options.figures, options.overwrite,
        (options.image, options.prior), about, mask_of(options), options.mask,
    )  # fmt: skip


def _driven(work: Generator[Progress, None, T], name: str) -> T:
    """Run the work with a bar that shows how far it is."""
    from tqdm import tqdm

    with tqdm(desc=name, disable=None, leave=False, bar_format="{desc} {bar} {n_fmt}/{total_fmt}") as bar:

        def show(progress: Progress) -> None:
            bar.total, bar.n = progress.total, progress.done
            bar.set_description_str(f"{name}: {progress.stage}")

        return drain(work, show)


def _pair(text: str) -> tuple[str, str]:
    centre, colon, cage = text.partition(":")
    if not (centre and colon and cage):
        raise argparse.ArgumentTypeError(f"{text!r} is not CENTRE:CAGE, such as Ti:Sr")
    return centre.strip(), cage.strip()


def _corners(text: str) -> tuple[tuple[float, float], ...]:
    numbers = [finite(part) for part in text.split(",")]
    if len(numbers) < 4 or len(numbers) % 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not two or more corners Y,X,Y,X")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _line(text: str) -> tuple[tuple[float, float], tuple[float, float]]:
    corners = _corners(text)
    if len(corners) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not the start and end Y,X,Y,X of a line")
    return corners[0], corners[1]


def _planes(text: str) -> tuple[tuple[int, int], str | None]:
    parts = text.split(",")
    try:
        h, k = int(parts[0]), int(parts[1])
    except (IndexError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is not H,K or H,K,SITE, such as 1,0,Sr") from None
    if len(parts) > 3 or (h, k) == (0, 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not H,K or H,K,SITE, such as 1,0,Sr")
    return (h, k), parts[2].strip() if len(parts) == 3 else None


def _ids(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) not in (2, 3):
        raise argparse.ArgumentTypeError(f"{text!r} is not two or three numbers of atoms ID,ID,ID")
    return numbers


def _share(text: str) -> float:
    value = finite(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share above 0 and up to 1")
    return value


def _formats(text: str) -> tuple[str, ...]:
    if text == "none":
        return ()
    named = tuple(dict.fromkeys(text.lower().split(",")))
    for one in named:
        if one not in ("png", "svg", "pdf"):
            raise argparse.ArgumentTypeError(f"{one!r} is none of png, svg, pdf")
    return named
