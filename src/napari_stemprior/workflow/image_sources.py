"""Which images a person names: files, folders and patterns become one list of files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from napari_stemprior.errors import MicrographError
from napari_stemprior.io import FORMATS, SUFFIXES
from napari_stemprior.io.writers.formats.ome_zarr_files import foreign_file
from napari_stemprior.output_files import holds_mark, is_same_file


def image_files(named: Iterable[Path], output: Path | None = None) -> list[Path]:
    """Return the image files that paths, folders and patterns stand for, each once.

    A file that is named is taken whatever it is called. Of a folder all files count whose suffix is that of a
    micrograph, in natural order (``frame2`` before ``frame10``), not those of folders in it. A folder that
    ends in ``.zarr`` is itself an image. A path that is
    not there and holds ``*``, ``?`` or ``[`` is a pattern; ``**`` stands for folders at any depth. What lies
    in the folder of the results and was written by this program is no image.

    Parameters
    ----------
    named : iterable of pathlib.Path
    output : pathlib.Path, optional
        The folder of the results.

    Returns
    -------
    list of pathlib.Path
        A named file that is not there is among them: who reads it says so.

    Raises
    ------
    MicrographError
        If a folder holds no image, or nothing is like a pattern.
    """
    found: dict[str, Path] = {}
    for path in named:
        for file in _meant(path, output):
            found.setdefault(os.path.abspath(file), file)
    return list(found.values())


def natural_order(path: str | os.PathLike[str]) -> list[tuple[int, int, str]]:
    """Return a key that sorts numbers in names by their value."""
    parts = re.split(r"(\d+)", os.fspath(path).casefold())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _meant(path: Path, output: Path | None) -> list[Path]:
    if path.is_dir() and not _is_zarr(path):
        try:
            files = [file for file in path.iterdir() if file.is_file() or _is_zarr(file)]
        except OSError as error:
            raise MicrographError(f"{path}: the folder cannot be read ({error.strerror}).") from error
        missing = f"{path}: the folder holds no image; give one with files that end in {', '.join(SUFFIXES)}."
    elif not os.path.lexists(path) and glob.has_magic(str(path)):
        found = map(Path, glob.glob(str(path), recursive=True))
        files = [file for file in found if file.is_file() or _is_zarr(file)]
        missing = f"{path}: no image is called like this; check the pattern."
    else:
        return [path]
    images = sorted(_images(files, output), key=natural_order)
    if not images:
        raise MicrographError(missing)
    return images


def _images(files: list[Path], output: Path | None) -> Iterator[Path]:
    """Yield the files that are micrographs by their names and were not written here."""
    series = {re.sub(r"_\d+$", "", file.stem) for file in files if file.suffix.lower() == ".ser"}
    for file in files:
        suffix = file.suffix.lower()
        if file.name.startswith(".") or suffix not in SUFFIXES:
            continue
        if suffix == ".emi" and file.stem in series:  # only tells what its .ser files hold
            continue
        if output is not None and is_same_file(file.parent, output):
            marks = [form.mark for form in FORMATS if form.mark and form.matches(file)]
            if not foreign_file(file) if file.is_dir() else holds_mark(file, marks):
                continue
        yield file


def _is_zarr(path: Path) -> bool:
    return path.suffix.lower() == ".zarr" and path.is_dir()
