"""``stemprior suggest``: tell which crystal a micrograph shows, or a part of it, or each of a folder."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stemprior.commands.mask_option import add_mask, mask_of
from napari_stemprior.commands.output_options import add_overwrite
from napari_stemprior.commands.prior_options import say_remarks
from napari_stemprior.errors import BAD_INPUT, ExportError, MicrographError, StempriorError
from napari_stemprior.output_files import check_output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_stemprior.io import Micrograph
    from napari_stemprior.progress import Progress
    from napari_stemprior.recording import PreparedImage
    from napari_stemprior.registration.ranking import Suggestion
    from napari_stemprior.structure import StructurePrior

#: A fitted pixel size that differs more than this (relative) from the stated one is remarked on.
_NOTABLE = 0.03
#: What an overlay says of where it comes from, so that it is replaced without a word.
_OVERLAY = "napari-stemprior suggest"


_DETAILS = """\
Of a stack the first frame is looked at. Of several images each has a line; the exit code is 2 if one of them
cannot be read or shows none of the crystals, and the others go on.

examples:
  stemprior suggest flake.dm3 --overlay best.png
  stemprior suggest recorded/ "more/*.emd" > crystals.txt
  stemprior suggest film.dm4 --region 0 0 511 700 --structure substrate.cif
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options."""
    parser.epilog = _DETAILS
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", type=Path, help="micrograph files, folders or patterns"
    )
    parser.add_argument(
        "--region",
        metavar=("TOP", "LEFT", "BOTTOM", "RIGHT"),
        nargs=4,
        type=_pixel,
        help="look at this part alone, such as one grain: first and last row and column, from 0 on",
    )
    parser.add_argument(
        "--pixel-size",
        metavar="Å",
        type=_positive,
        help="Å per pixel; wins over the file's. Without either the lattice constant cannot decide",
    )
    parser.add_argument(
        "--structure",
        metavar="FILE",
        action="append",
        default=[],
        help="rank this structure file (or built-in name) as well; may be repeated",
    )
    parser.add_argument(
        "--block", metavar="NAME", help="which data block of a CIF with several (default the first)"
    )
    parser.add_argument(
        "--signal",
        metavar="NAME",
        help="of a file with several signals this one, such as HAADF; the first by default",
    )
    add_mask(parser)
    parser.add_argument(
        "--invert",
        action="store_true",
        help="exchange bright and dark first, for images with dark columns (ABF, bright field)",
    )
    parser.add_argument(
        "--top", metavar="N", type=_count, help="how many to list (default 5; of each of several images 1)"
    )
    parser.add_argument(
        "--overlay", metavar="PNG", type=Path, help="draw the best one's columns on the image"
    )
    add_overwrite(parser)


def run(options: argparse.Namespace) -> int:
    """Rank the library for every image and print the best; an image that fails is named."""
    from napari_stemprior.structure import built_in, names
    from napari_stemprior.workflow.image_sources import image_files

    if options.overlay is not None and options.overlay.suffix.lower() != ".png":
        raise ExportError(f"{options.overlay}: the overlay is a PNG picture; give a name that ends in .png.")
    if options.block is not None and not options.structure:
        raise StempriorError("--block belongs to a structure file; give --structure FILE.")
    files = image_files(options.images)
    several = len(files) > 1
    if several and options.overlay is not None:
        raise StempriorError("--overlay draws one image; name one, or leave it out.")
    if options.overlay is not None:  # before the long work
        check_output(
            options.overlay, [*files, options.mask, *options.structure],
            own_marks=[_OVERLAY.encode()], overwrite=options.overwrite,
        )  # fmt: skip
    mask = mask_of(options)
    priors = {name: built_in(name) for name in names()}
    priors |= {prior.name: prior for prior in (_prior(name, options.block) for name in options.structure)}
    names_width = max(len(file.name) for file in files) if several else 0
    table = _Table(options.top or (1 if several else 5), names_width)
    failed = 0
    for file in files:
        try:
            frame, prepared, stated, fits = _ranked(file, options, priors, mask)
        except StempriorError as error:
            if not several:
                raise
            print(f"stemprior: {error}", file=sys.stderr)
            failed += 1
            continue
        table.print(file.name, fits, stated)
        said = f"{file.name}: " if several else ""
        for remark in (*remarks(fits, stated), *reservations(fits[: table.top])):
            print(f"stemprior: {said}{remark}", file=sys.stderr)
        if options.overlay is not None:
            draw_overlay(frame.image, fits[0], priors[fits[0].name], options.overlay, prepared)
    if failed:
        print(f"stemprior: {failed} of {len(files)} images failed.", file=sys.stderr)
    return BAD_INPUT if failed else 0


def _ranked(
    file: Path,
    options: argparse.Namespace,
    priors: dict[str, StructurePrior],
    mask: NDArray[np.bool_] | None,
) -> tuple[Micrograph, PreparedImage, float | None, list[Suggestion]]:
    """Return the first image of a file, made fit, its pixel size, and the crystals that fit, best first."""
    from napari_stemprior.io import read_micrographs
    from napari_stemprior.io.readers.read_mask import masked
    from napari_stemprior.progress import drain
    from napari_stemprior.recording import prepare
    from napari_stemprior.recording import remarks as recording_remarks
    from napari_stemprior.workflow.operations import Operations
    from napari_stemprior.workflow.suggest import part_of, suggest

    frame = read_micrographs(file, options.pixel_size, signal=options.signal)[0]
    for remark in frame.metadata.get("remarks", ()):
        print(f"stemprior: {remark}", file=sys.stderr)
    if options.invert:
        frame = frame.inverted()
    if mask is not None:
        frame = masked(frame, mask, options.mask)
    part = None
    if options.region is not None:
        try:
            part = part_of(frame.image.shape, options.region[:2], options.region[2:])
        except MicrographError as error:
            raise MicrographError(f"{file}: {error}") from error
    prepared = prepare(frame.analysed)
    for remark in recording_remarks(prepared, "leave out --invert" if options.invert else "give --invert"):
        print(f"stemprior: {frame.name}: {remark}", file=sys.stderr)
    stated = options.pixel_size or frame.pixel_size
    with _Bar(file.name) as show:
        micrograph = replace(frame, pixel_size=stated)
        ranked = drain(suggest(Operations(), micrograph, list(priors.values()), prepared, part), show)
    fits = [suggestion for suggestion in ranked if suggestion.is_fit]
    if not fits:
        where = "the image" if part is None else "this part of the image"
        raise StempriorError(
            f"{file}: none of {len(priors)} crystals fits; {where} may show no lattice, one finer "
            "than the pixels, or a crystal that needs --structure FILE."
        )
    return frame, prepared, stated, fits


def remarks(fits: Sequence[Suggestion], stated: float | None) -> list[str]:
    """Say in words what the table does not: ties, and a pixel size that the lattice contradicts."""
    first = fits[0]
    said = []
    tied = [s.name for s in fits if s.tie == first.tie]
    if len(tied) > 1:
        advice = "" if stated else "; a pixel size would tell those apart whose lattice constants differ"
        said.append(f"the image alone does not tell {', '.join(tied)} apart{advice}.")
    if stated is not None and abs(first.pixel_size / stated - 1) > _NOTABLE:
        said.append(
            f"the lattice of {first.name} says {first.pixel_size:.4g} Å/px, not {stated:.4g}; "
            "check the calibration."
        )
    return said


def reservations(fits: Sequence[Suggestion]) -> list[str]:
    """Say what is doubtful about fits, a sentence each."""
    return [
        f"{fit.name} fits with a reservation: {sentence}"
        for fit in fits
        for sentence in fit.pose.reservations
    ]


class _Table:
    """Prints the best of every image in columns.

    Parameters
    ----------
    top : int
        Lines an image.
    names : int
        Characters of the longest name of an image; 0 where there is one image, which is not named.
    """

    _HEADER = ("RANK", "NAME", "SCORE", "MERIT", "ANGLE (°)", "PIXEL (Å)", "OF STATED", "FIT")
    #: Characters of columns whose later lines nobody knows yet.
    _WIDTHS = (4, 18, 5, 5, 14, 9, 9, 0)

    def __init__(self, top: int, names: int) -> None:
        self.top, self._names, self._begun = top, names, False

    def print(self, image: str, fits: Sequence[Suggestion], stated: float | None) -> None:
        """Print the first lines of an image."""
        rows = [self._row(suggestion, fits, stated) for suggestion in fits[: self.top]]
        rows = rows if self._begun else [self._HEADER, *rows]
        widths = [max(len(row[i]) for row in rows) for i in range(len(self._HEADER))]
        if self._names:
            widths = [max(pair) for pair in zip(widths, self._WIDTHS, strict=True)]
        for number, row in enumerate(rows):
            head = "IMAGE" if number == 0 and not self._begun else image
            front = f"{head.ljust(self._names)}  " if self._names else ""
            print((front + "  ".join(map(str.ljust, row, widths))).rstrip())
        self._begun = True
        sys.stdout.flush()

    @staticmethod
    def _row(suggestion: Suggestion, all_: Sequence[Suggestion], stated: float | None) -> tuple[str, ...]:
        share = "" if stated is None else f"{100 * (suggestion.pixel_size / stated - 1):+.1f} %"
        equals = "=" if sum(s.tie == suggestion.tie for s in all_) > 1 else ""
        return (
            f"{1 + suggestion.tie}{equals}",
            suggestion.name,
            f"{suggestion.score:.2f}",
            f"{suggestion.merit:.3f}",
            f"{suggestion.pose.angle:.1f}{' mirrored' if suggestion.pose.mirrored else ''}",
            f"{suggestion.pixel_size:.5g}",
            share,
            "with a reservation" if suggestion.pose.reservations else "clean",
        )


def draw_overlay(
    image: NDArray[np.float32],
    suggestion: Suggestion,
    prior: StructurePrior,
    path: Path,
    prepared: PreparedImage | None = None,
) -> None:
    """Write a PNG of the image with the columns of a suggestion in the colours of their elements.

    No column is drawn where the image shows no signal, as in a mask; that is looked for in `image` unless it
    is `prepared`.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    import numpy as np
    from ase.data.colors import jmol_colors
    from PIL import Image, ImageDraw, PngImagePlugin

    from napari_stemprior.atomic_write import replaced
    from napari_stemprior.recording import prepare
    from napari_stemprior.registration import fit_pose_field

    factor = max(1, math.ceil(700 / max(image.shape)))
    low, high = np.percentile(image, (0.5, 99.5))
    grey = (255 * np.clip((image - low) / max(high - low, 1e-9), 0, 1)).astype(np.uint8)
    picture = Image.fromarray(np.kron(grey, np.ones((factor, factor), np.uint8))).convert("RGB")
    pen = ImageDraw.Draw(picture)
    shape = (image.shape[0], image.shape[1])
    prepared = prepare(image) if prepared is None else prepared
    field = fit_pose_field(prepared, suggestion.pixel_size, prior, suggestion.pose)
    places, index, reliability = field.columns(prior, shape)
    reliability = np.where(prepared.is_valid_at(places), reliability, 0)
    radius = max(2.0, 0.22 * prior.neighbour_distance / suggestion.pixel_size * factor)
    for (y, x), column in zip(places[reliability > 0.3], index[reliability > 0.3], strict=True):
        colour = tuple(int(255 * c) for c in jmol_colors[prior.atomic_numbers[column]])
        centre = ((x + 0.5) * factor, (y + 0.5) * factor)
        pen.ellipse(
            (centre[0] - radius, centre[1] - radius, centre[0] + radius, centre[1] + radius), outline=colour
        )
    told = PngImagePlugin.PngInfo()
    told.add_text("Software", _OVERLAY)
    with replaced(path) as temporary:
        picture.save(temporary, format="PNG", pnginfo=told)


def _prior(name_or_file: str, block: str | None) -> StructurePrior:
    from napari_stemprior.structure import load_prior

    prior = load_prior(name_or_file, block=block)
    say_remarks([prior])
    if prior.crystal is None:
        raise StempriorError(f"{name_or_file}: a stack of layers is not ranked; name its layers one by one.")
    return prior.crystal


class _Bar:
    """A progress bar on a terminal, silent elsewhere."""

    def __init__(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> Callable[[Progress], None]:
        from tqdm import tqdm

        self._tqdm = tqdm(
            desc=self._title, disable=None, leave=False, bar_format="{desc} {bar} {n_fmt}/{total_fmt}"
        )

        def show(progress: Progress) -> None:
            self._tqdm.total, self._tqdm.n = progress.total, progress.done
            self._tqdm.set_description_str(f"{self._title}: {progress.stage}")

        return show

    def __exit__(self, *_: object) -> None:
        self._tqdm.close()


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a pixel size, give a positive number of Å per pixel")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of lines, give 1 or more")
    return int(text)


def _pixel(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a row or column, give a number from 0 on")
    return int(text)
