"""Find the atom columns of micrograph files: ``stemprior segment``."""

from __future__ import annotations

import argparse
import math
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Self

from napari_stemprior.commands.mask_option import add_mask, mask_of
from napari_stemprior.commands.option_types import positive_count
from napari_stemprior.commands.output_options import add_overwrite
from napari_stemprior.commands.prior_options import add_view_options, has_view, load_priors
from napari_stemprior.errors import BAD_INPUT, StempriorError
from napari_stemprior.io import FORMATS
from napari_stemprior.output_files import output_folder
from napari_stemprior.progress import Progress, drain
from napari_stemprior.workflow.pixel_sizes import LATTICE, PixelSizes

if TYPE_CHECKING:
    from napari_stemprior.structure import Prior
    from napari_stemprior.workflow.results_table import ImageRow

_DETAILS = """\
Writes OUTDIR/<image stem>.csv with one row an atom column: x_px, y_px, x_angstrom, y_angstrom,
element, site, layer, confidence, evidence and more; x runs along the columns of the image, pixel
centres lie on integers. --format gives another kind of file; 'stemprior export --help' says what is
in each.

An IMAGE is a file, a folder of files or a pattern in quotes. The frames of a stack are images of their
own, <image stem>_000.csv and so on. Of several images OUTDIR/results.csv has a row each: whether the
prior fits, atoms, doubts, empty sites, seconds, or why it failed. They are shared out among processes,
one a core. After a stop the same command with --resume goes on; what is done is kept in
OUTDIR/results.jsonl. The exit code is 2 if any image failed.

examples:
  stemprior segment flake.dm3 --prior MoS2 -o out
  stemprior segment si_110.png --prior "Si [110]" --pixel-size 0.098 -o out
  stemprior segment film.emd --prior perovskite.cif --zone-axis [001] -o out
  stemprior segment abf.dm4 --prior "SrTiO3 [110]" --invert --pixel-size lattice -o out
  stemprior segment recorded/ "more/*.dm4" --prior MoS2 -o out --resume
  stemprior segment series.tif --prior MoS2 -o out --scheduler tcp://host:8786
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``stemprior segment``."""
    parser.epilog = _DETAILS
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", type=Path, help="micrograph files, folders or patterns"
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--prior", metavar="NAME_OR_FILE", help="a name of 'stemprior priors' or a structure file"
    )
    which.add_argument("--no-prior", action="store_true", help="segment with the image alone")
    add_view_options(parser)
    parser.add_argument(
        "--pixel-size",
        metavar="Å",
        type=_pixel_size,
        help="Å per pixel; wins over the file's. 'lattice' takes it from the lattice of the prior, as "
        "is done where neither is known",
    )
    parser.add_argument(
        "--signal",
        metavar="NAME",
        help="of a file with several signals this one, such as HAADF; all of them by default",
    )
    add_mask(parser, "; it holds for every image and frame")
    parser.add_argument(
        "--invert",
        action="store_true",
        help="exchange bright and dark first, for images with dark columns (ABF, bright field)",
    )
    parser.add_argument(
        "--inferred",
        choices=("keep", "drop"),
        default="keep",
        help="what to do with atoms of a kind that the image shows no trace of, which stand on the prior "
        "alone (default keep)",
    )
    parser.add_argument(
        "--unordered",
        choices=("few", "all"),
        default="few",
        help="without a lattice, of an image that shows no order: the few atoms that stand out, such as "
        "heavy ones on a film, or all that the network sees, as in an amorphous monolayer (default few)",
    )
    parser.add_argument(
        "--image-lattice",
        choices=("use", "ignore"),
        default="use",
        help="without a prior, or where it does not fit: use the lattice that the image itself shows, or "
        "take every column on its own (default use)",
    )
    parser.add_argument(
        "--trust", metavar="W", type=_fraction, default=1.0, help="weight of the prior, 0 to 1 (default 1)"
    )
    parser.add_argument("--model", metavar="NAME_OR_FILE", default="small", help="network (default small)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
    parser.add_argument(
        "--precision",
        default="auto",
        help="number format of the network's coarse layers: float32, bfloat16, or auto for bfloat16 where "
        "the device is fast in it (default auto)",
    )
    parser.add_argument(
        "--format",
        metavar="NAME",
        choices=[one.key for one in FORMATS],
        default="csv",
        help=f"one of {', '.join(one.key for one in FORMATS)} (default csv)",
    )
    parser.add_argument(
        "-o", "--output", metavar="OUTDIR", type=Path, required=True, help="folder for the results"
    )
    add_overwrite(parser)
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on where the same command stopped, and try again what failed",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        metavar="N",
        type=positive_count,
        help="processes, each with one image at a time and its own network; 1 is none beside this one "
        "(default one a core where that saves time, 1 on a GPU)",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="spread the images over a Dask cluster, such as tcp://host:8786; its machines need stemprior, "
        "and no access to the files",
    )


def run(options: argparse.Namespace) -> int:
    """Segment every image, frame by frame; one that cannot be is named, and the others go on."""
    from napari_stemprior.kept_memory import keep_freed_memory
    from napari_stemprior.workflow.batch import segment_images
    from napari_stemprior.workflow.batch_settings import BatchSettings
    from napari_stemprior.workflow.image_sources import image_files
    from napari_stemprior.workflow.operations import Operations
    from napari_stemprior.workflow.segment import SegmentSettings

    keep_freed_memory()
    prior = _load_prior(options)
    PixelSizes(options.pixel_size, prior)  # says at once what does not go together
    files = image_files(options.images, options.output)
    mask_of(options)  # says at once whether it can be read
    operations = Operations()
    chosen = SegmentSettings(
        options.model,
        options.device,
        options.trust,
        precision=options.precision,
        strict=options.unordered == "few",
        image_lattice=options.image_lattice == "use",
    )
    operations.segmenter(
        chosen.model, chosen.device, chosen.precision
    )  # says at once whether there is such a network
    settings = BatchSettings(
        segment=chosen,
        pixel_size=options.pixel_size,
        signal=options.signal,
        mask=options.mask,
        invert=options.invert,
        keep_inferred=options.inferred == "keep",
        format=options.format,
        overwrite=options.overwrite,
        resume=options.resume,
        workers=options.workers,
        scheduler=options.scheduler,
        inputs=(options.prior, options.model),
    )
    with output_folder(options.output) as folder, _Terminal() as terminal:
        work = segment_images(operations, files, prior, folder, settings, terminal)
        with closing(work):
            summary = drain(work, terminal.show)
    if summary.skipped:
        _say(f"{_images(summary.skipped)} were done already.")
    if summary.failed and summary.table is not None:
        total = summary.done + summary.failed + summary.skipped
        _say(f"{summary.failed} of {_images(total)} failed; {summary.table} says why.")
    return BAD_INPUT if summary.failed else 0


def _load_prior(options: argparse.Namespace) -> Prior | None:
    if options.no_prior:
        if (option := has_view(options)) is not None:
            raise StempriorError(f"{option} belongs to a prior; leave it out with --no-prior.")
        return None
    return load_priors([options.prior], options)[0]


class _Terminal:
    """Says what a person should know of the images, on a terminal beside a bar and a line for each image."""

    def __enter__(self) -> Self:
        from tqdm import tqdm

        self._bar = tqdm(disable=None, leave=False, bar_format="{desc} {bar} {n_fmt}/{total_fmt}")
        self._is_shown = False
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.disable = self._bar.disable or not self._is_shown
        self._bar.close()

    def show(self, progress: Progress) -> None:
        """Show how far it is."""
        if 0 < progress.total <= progress.done:
            return
        self._bar.total, self._bar.n = progress.total, progress.done
        self._bar.set_description_str(progress.stage)
        self._is_shown = True

    def said(self, sentence: str) -> None:
        """Say a sentence."""
        self._print("stemprior: " + " ".join(sentence.split()))

    def finished(self, row: ImageRow, path: Path | None) -> None:
        """Say in a line what became of an image, on a terminal only; why one failed was said."""
        if path is not None and sys.stderr.isatty():
            self._print(_summary(row, path))

    def _print(self, line: str) -> None:
        self._bar.clear()
        self._is_shown = False
        print(line, file=sys.stderr)


def _summary(row: ImageRow, path: Path) -> str:
    """Return a line about an image."""
    from napari_stemprior.workflow.count_doubts import doubts_in_words

    fits = {"clean": "fits, ", "reservation": "fits with a reservation, ", "none": "does not fit, "}
    vacancies = "" if row.vacancies is None else f", {row.vacancies} sites empty"
    return (
        f"{row.image}: {fits.get(row.prior_fit, '')}{row.atoms} atom columns in {path}, "
        f"{doubts_in_words(row.doubts or 0)}{vacancies}, {row.pixel_size_angstrom:.4g} Å/px, "
        f"{row.seconds:.1f} s"
    )


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


def _positive(text: str) -> float:
    value = _number(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a pixel size, give a positive number of Å per pixel")
    return value


def _pixel_size(text: str) -> float | str:
    return LATTICE if text == LATTICE else _positive(text)


def _fraction(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} lies outside 0 (image alone) to 1 (prior believed)")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error


def _say(sentence: str) -> None:
    print("stemprior: " + " ".join(sentence.split()), file=sys.stderr)
