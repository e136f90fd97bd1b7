"""Find the atom columns of micrograph files: ``stemprior segment``."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stemprior.commands.prior_options import add_view_options, has_view, load_priors
from napari_stemprior.errors import BAD_INPUT, StempriorError, telling_out_of_memory
from napari_stemprior.io import FORMATS, Micrograph, export_atoms, read_micrographs
from napari_stemprior.io.writers.exporters import check_export
from napari_stemprior.output_files import output_folder
from napari_stemprior.workflow.pixel_sizes import LATTICE, PixelSize, PixelSizes

if TYPE_CHECKING:
    from napari_stemprior.atoms import AtomTable
    from napari_stemprior.structure import Prior
    from napari_stemprior.workflow.operations import Operations

#: A pixel size that the lattice contradicts by more than this (relative) is worth a word.
_NOTABLE_SCALE_ERROR = 0.05

_DETAILS = """\
Writes OUTDIR/<image stem>.csv with one row an atom column: x_px, y_px, x_angstrom, y_angstrom,
element, site, layer, confidence, evidence and more; x runs along the columns of the image, pixel
centres lie on integers. The frames of a stack become <image stem>_000.csv and so on. --format gives
another kind of file; 'stemprior export --help' says what is in each.

examples:
  stemprior segment flake.dm3 --prior MoS2 -o out
  stemprior segment si_110.png --prior "Si [110]" --pixel-size 0.098 -o out
  stemprior segment film.emd --prior perovskite.cif --zone-axis [001] -o out
  stemprior segment abf.dm4 --prior "SrTiO3 [110]" --invert --pixel-size lattice -o out
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``stemprior segment``."""
    parser.epilog = _DETAILS
    parser.add_argument("images", nargs="+", metavar="IMAGE", type=Path, help="micrograph files")
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
        "--trust", metavar="W", type=_fraction, default=1.0, help="weight of the prior, 0 to 1 (default 1)"
    )
    parser.add_argument("--model", metavar="NAME_OR_FILE", default="small", help="network (default small)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default auto)")
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
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files that stemprior did not write; an input never is",
    )


def run(options: argparse.Namespace) -> int:
    """Segment every image, frame by frame; one that cannot be is named, and the others go on."""
    prior = _load_prior(options)
    PixelSizes(options.pixel_size, prior)  # says at once what does not go together
    from napari_stemprior.workflow.operations import Operations

    given = None if options.pixel_size == LATTICE else options.pixel_size
    operations = Operations()
    operations.segmenter(options.model, options.device)  # says at once whether there is such a network
    inputs = [*options.images, options.prior, options.model]
    bad = False
    with output_folder(options.output) as folder:
        names = _OutputNames(options.images, next(f.suffix for f in FORMATS if f.key == options.format))
        for path in options.images:
            try:
                with telling_out_of_memory():
                    frames = read_micrographs(path, given, signal=options.signal)
                    for remark in dict.fromkeys(r for f in frames for r in f.metadata.get("remarks", ())):
                        _say(remark)
                    sizes = PixelSizes(options.pixel_size, prior)
                    sizes.of(_analysed(frames[0], options), path)
            except StempriorError as error:
                _say(_naming(error, path))
                bad = True
                continue
            for index, recorded in enumerate(frames):
                suffix = f"_{index:03d}" if len(frames) > 1 else ""
                try:
                    place = folder / names.claim(path, suffix)
                    check_export(place, inputs, overwrite=options.overwrite)  # before the long work
                    with telling_out_of_memory():
                        frame = _analysed(recorded, options)
                        size = sizes.of(frame, frame.name)
                        while sizes.remarks:
                            _say(sizes.remarks.pop(0))
                        table = _segmented(operations, frame, size, sizes, options)
                        _write(table, place, recorded, options, inputs)
                except StempriorError as error:
                    _say(_naming(error, recorded.name))
                    bad = True
    return BAD_INPUT if bad else 0


def _analysed(frame: Micrograph, options: argparse.Namespace) -> Micrograph:
    """Return a frame in the contrast in which it is analysed."""
    return frame.inverted() if options.invert else frame


def _load_prior(options: argparse.Namespace) -> Prior | None:
    if options.no_prior:
        if (option := has_view(options)) is not None:
            raise StempriorError(f"{option} belongs to a prior; leave it out with --no-prior.")
        return None
    return load_priors([options.prior], options)[0]


def _segmented(
    operations: Operations,
    frame: Micrograph,
    size: PixelSize,
    sizes: PixelSizes,
    options: argparse.Namespace,
) -> AtomTable:
    from tqdm import tqdm

    from napari_stemprior.progress import Progress, drain
    from napari_stemprior.recording import remarks
    from napari_stemprior.workflow.segment import SegmentSettings, segment

    prior = sizes.prior
    micrograph = replace(frame, pixel_size=size.value)
    settings = SegmentSettings(options.model, options.device, options.trust)
    with tqdm(
        desc=frame.name, disable=None, leave=False, bar_format="{desc} {bar} {n_fmt}/{total_fmt}"
    ) as bar:

        def show(progress: Progress) -> None:
            bar.total, bar.n = progress.total, progress.done
            bar.set_description_str(f"{frame.name}: {progress.stage}")

        result = drain(segment(operations, micrograph, prior, None, settings), show)
    assert result.prepared is not None
    for sentence in remarks(result.prepared, "leave out --invert" if options.invert else "give --invert"):
        _say(f"{frame.name}: {sentence}")
    table = result.table
    table.provenance["pixel_size_from"] = size.source
    if prior is not None:
        _say_fit(table, frame, size.value, prior, sizes, options)
    return _inferred_kept(table, frame.name, options.inferred == "keep")


def _say_fit(
    table: AtomTable,
    frame: Micrograph,
    pixel_size: float,
    prior: Prior,
    sizes: PixelSizes,
    options: argparse.Namespace,
) -> None:
    """Say where the lattice does not fit, or not without doubt."""
    if table.provenance.get("prior_fits") is False:
        inverted = "" if options.invert else _fits_inverted(frame, pixel_size, prior)
        instead = (
            "the image was segmented with its spacings but not its places, and nothing is named"
            if table.provenance.get("prior_unplaced")
            else "the image was segmented alone"
        )
        _say(
            f"{frame.name}: the lattice of {prior.name} does not fit, so {instead}"
            f"{inverted or _better_pixel_size(frame, pixel_size, sizes)}."
        )
    if table.provenance.get("only_noise"):
        _say(f"{frame.name}: no spot stands out of the noise, so no atom is told.")
    elif table.provenance.get("unordered"):
        _say(f"{frame.name}: the image shows no order, so only atoms that stand out of it are told.")
    for sentence in table.provenance.get("reservations", ()):
        _say(f"{frame.name}: fits with a reservation: {sentence}")
    found = table.provenance.get("lattice_pixel_size")
    if found is not None and abs(found / pixel_size - 1) > _NOTABLE_SCALE_ERROR:
        _say(
            f"{frame.name}: the lattice fits {found:.4g} Å/px rather than {pixel_size:.4g}; the lengths in Å "
            f"follow {pixel_size:.4g}, and --pixel-size lattice would change that."
        )


def _inferred_kept(table: AtomTable, name: str, keep: bool) -> AtomTable:
    """Say how many atoms stand on the prior alone, and keep them or leave them out."""
    from napari_stemprior.atoms.inferred import inferred, inferred_sentence

    sentence = inferred_sentence(table.rows)
    if not sentence:
        return table
    _say(f"{name}: {sentence} {'--inferred drop leaves them out.' if keep else 'They were left out.'}")
    if keep:
        return table
    table.provenance["inferred_dropped"] = True
    return table.where(~inferred(table.rows))


def _fits_inverted(frame: Micrograph, pixel_size: float, prior: Prior) -> str:
    """Say that the lattice lies on the dark places, where it does so beyond doubt."""
    from napari_stemprior.registration import register
    from napari_stemprior.structure import layers_of

    try:
        pose = register(frame.inverted().image, pixel_size, layers_of(prior)[0], candidates=1)[0]
    except StempriorError:
        return ""
    return (
        "; it fits the inverted image, so the columns may be dark (ABF, bright field): give --invert"
        * pose.is_clean
    )


def _better_pixel_size(frame: Micrograph, pixel_size: float, sizes: PixelSizes) -> str:
    """Say where the lattice would fit, since a nominal field of view is often off by a tenth."""
    size = sizes.better(frame, pixel_size)
    return "" if size is None else f"; it fits with --pixel-size {size:.4g} in place of {pixel_size:.4g}"


def _write(
    table: AtomTable,
    path: Path,
    frame: Micrograph,
    options: argparse.Namespace,
    inputs: Sequence[str | Path | None],
) -> None:
    export_atoms(
        table, path, image=frame.image, name=frame.name, key=options.format,
        inputs=inputs, overwrite=options.overwrite,
    )  # fmt: skip
    if sys.stderr.isatty():
        print(f"{frame.name}: {len(table)} atom columns in {path}", file=sys.stderr)


class _OutputNames:
    """Gives every image its own file, also where two share a stem."""

    def __init__(self, images: Sequence[Path], ending: str) -> None:
        self._ending = ending
        self._plain: dict[str, Path] = {}
        for path in images:
            self._plain.setdefault(path.stem.casefold(), path)
        self._used: set[str] = set()

    def claim(self, path: Path, suffix: str) -> str:
        """Return ``<stem><suffix><ending>``, numbered where another image has or will have that name."""
        name, number = f"{path.stem}{suffix}", 1
        while self._taken(name, path):
            number += 1
            name = f"{path.stem}{suffix}-{number}"
        self._used.add(name.casefold())
        if number > 1:
            _say(f"{path}: another image has the same name, so the atoms go to {name}{self._ending}.")
        return f"{name}{self._ending}"

    def _taken(self, name: str, path: Path) -> bool:
        reserved = self._plain.get(name.casefold(), path)
        return name.casefold() in self._used or reserved != path


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


def _naming(error: Exception, image: object) -> str:
    """Return the sentence, with the image before it unless it names it itself."""
    text = str(error)
    known = {str(image), Path(str(image)).name, Path(str(image)).stem}
    return text if any(text.startswith(name) for name in known) else f"{image}: {text}"


def _say(sentence: str) -> None:
    print("stemprior: " + " ".join(sentence.split()), file=sys.stderr)
