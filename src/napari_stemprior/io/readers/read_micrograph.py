"""The reader of micrographs: any file to `Micrograph`."""

from __future__ import annotations

import logging
import os
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemprior.errors import MicrographError, StempriorError
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.io.readers.length_units import square_pixel_size
from napari_stemprior.io.readers.picture_files import read_picture
from napari_stemprior.io.readers.raw_image import RawImage
from napari_stemprior.io.readers.signal_files import SUFFIXES as SIGNAL_SUFFIXES
from napari_stemprior.io.readers.signal_files import read_signals
from napari_stemprior.io.readers.tiff_files import read_tiff
from napari_stemprior.io.readers.time_limit import time_limit
from napari_stemprior.io.readers.zarr_images import read_zarr
from napari_stemprior.recording.pixel_size_range import can_show_atoms, checked_pixel_size
from napari_stemprior.recording.stored_image import StoredImage, is_stored

_FORMATS: dict[str, Callable[[Path], list[RawImage]]] = {
    **dict.fromkeys(SIGNAL_SUFFIXES, read_signals),
    **dict.fromkeys((".tif", ".tiff"), read_tiff),
    **dict.fromkeys((".png", ".jpg", ".jpeg"), read_picture),
    ".zarr": read_zarr,
}
#: Suffixes that can be read, in lower case.
SUFFIXES: tuple[str, ...] = tuple(_FORMATS)


def read_micrographs(
    path: str | os.PathLike[str], pixel_size: float | None = None, *, signal: str | None = None
) -> list[Micrograph]:
    """Read every image of a file.

    Parameters
    ----------
    path : path-like
        DM3, DM4, EMD (Velox and Berkeley), SER or its EMI, MRC, HSPY, TIFF, PNG, JPEG or Zarr (OME-Zarr as
        well), by the suffix; HDF5 (``.emd``, ``.hspy``, ``.hdf5``, ``.h5``) by what is in it.
    pixel_size : float, optional
        Å/px; what a person gives wins over what the file says. A size in the file that cannot show atoms, see
        `recording.pixel_size_range`, counts as unknown, which ``metadata["remarks"]`` says.
    signal : str, optional
        Of a file with several signals the one with this title, in small letters or capitals.

    Returns
    -------
    list of Micrograph
        At least one. A stack gives one for each frame, named "stem [0]", "stem [1]", ...; of a file with
        several signals each is named "stem HAADF" and so on, HAADF first. Spectrum images, diffraction
        scans and blank images beside a good one are left out; ``metadata["left_out"]`` names the latter
        and ``metadata["warnings"]`` holds what the format's library had to say.

    Raises
    ------
    MicrographError
        If the file is missing, empty, damaged, coloured, a diffraction pattern or no micrograph, takes more
        memory than there is, has no such signal, or its pixels are not square.
    PixelSizeError
        If `pixel_size` cannot show atoms.
    """
    path = Path(path)
    if pixel_size is not None:
        pixel_size = checked_pixel_size(pixel_size, path.name)
    read = _reader_for(path)
    with _quiet() as said:
        try:
            with time_limit(path):
                raws = read(path)
        except StempriorError as error:
            raise MicrographError(_naming(str(error), path)) from error
        except MemoryError as error:
            _release(error)
            raise MicrographError(
                f"{path.name}: the memory does not hold it; close other programs."
            ) from error
        except Exception as error:
            _release(error)
            raise MicrographError(
                f"{path.name}: this cannot be read as {path.suffix[1:].upper()}; the file may be damaged, "
                "cut short or of another kind, so copy or export it again."
            ) from error
    return _micrographs(_chosen(raws, signal, path), path, pixel_size, said)


def read_micrograph(path: str | os.PathLike[str], pixel_size: float | None = None) -> Micrograph:
    """Read the first image of a file; see `read_micrographs`.

    Parameters
    ----------
    path : path-like
        DM3, DM4, EMD (Velox and Berkeley), SER, MRC, HSPY, TIFF, PNG, JPEG or Zarr.
    pixel_size : float, optional
        Å/px; wins over what the file says.

    Returns
    -------
    Micrograph
        ``image`` is an (H, W) array of float32 in the units of the file, a large one of TIFF, MRC, DM or Zarr
        a `StoredImage` that stays in its file; ``pixel_size`` is in Å/px, or None where the file does not
        say.

    Raises
    ------
    MicrographError
        If the file is missing, empty, damaged, coloured, a diffraction pattern or no micrograph, takes more
        memory than there is, has no such signal, or its pixels are not square.
    PixelSizeError
        If `pixel_size` cannot show atoms.
    """
    return read_micrographs(path, pixel_size)[0]


def _reader_for(path: Path) -> Callable[[Path], list[RawImage]]:
    if path.is_dir() and path.suffix.lower() == ".zarr":
        return read_zarr
    if path.is_dir():
        raise MicrographError(f"{path}: this is a folder; give an image file.")
    if not path.is_file():
        raise MicrographError(f"{path}: there is no such file; check the path.")
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise MicrographError(
            f"{path.name}: a {suffix or 'file without a suffix'} is not a micrograph format known here; "
            f"give one of {', '.join(SUFFIXES)}."
        )
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise MicrographError(f"{path}: the file cannot be opened ({error.strerror}).") from error
    if empty:
        raise MicrographError(f"{path.name}: the file is empty; copy it again from the microscope.")
    return _FORMATS[suffix]


def _naming(sentence: str, path: Path) -> str:
    """Return a sentence that names the file."""
    return sentence if path.name in sentence else f"{path.name}: {sentence[0].lower()}{sentence[1:]}"


def _chosen(raws: list[RawImage], signal: str | None, path: Path) -> list[RawImage]:
    """Return the signal with a title, or all."""
    if signal is None:
        return raws
    found = [raw for raw in raws if raw.title.casefold() == signal.casefold()]
    if not found:
        titles = ", ".join(dict.fromkeys(raw.title for raw in raws if raw.title)) or "none that has a name"
        raise MicrographError(f"{path.name}: there is no signal {signal!r}; the file has {titles}.")
    return found


def _plausible(size: float | None, path: Path) -> tuple[float | None, list[str]]:
    """Return a pixel size that can show atoms, or None and why."""
    if size is None or can_show_atoms(size):
        return size, []
    return None, [
        f"{path.name}: the file says {size:.4g} Å per pixel, at which no atom could be seen, so the "
        "pixel size counts as unknown."
    ]


def _micrographs(
    raws: list[RawImage], path: Path, pixel_size: float | None, said: list[str]
) -> list[Micrograph]:
    titles = [raw.title or f"image {i}" for i, raw in enumerate(raws)]
    counts = Counter(titles)
    good: list[Micrograph] = []
    bad: list[MicrographError] = []
    for i, raw in enumerate(raws):
        name = path.stem
        if len(raws) > 1:
            repeat = f" ({titles[:i].count(titles[i]) + 1})" if counts[titles[i]] > 1 else ""
            name += f" {titles[i]}{repeat}"
        try:
            remarks: list[str] = []
            size = pixel_size
            if size is None:
                size, remarks = _plausible(square_pixel_size(raw.pixel_size, path.name), path)
        except MicrographError as error:
            bad.append(error)
            continue
        for index, frame in enumerate(raw.frames):
            frame_name = f"{name} [{index}]" if raw.stacked else name
            try:
                remarked = [*raw.metadata.get("remarks", ()), *remarks]
                metadata = {**raw.metadata, **({"remarks": remarked} if remarked else {})}
                good.append(Micrograph(_plain(frame), size, frame_name, path, metadata))
            except MicrographError as error:
                bad.append(error)
    if not good:
        raise bad[0] if bad else MicrographError(f"{path.name}: the file holds no image.")
    extra = {"warnings": said} if said else {}
    if bad:
        extra["left_out"] = [str(error) for error in bad]
    return [replace(m, metadata={**m.metadata, **extra}) for m in good] if extra else good


def _plain(frame: Any) -> Any:
    """Return a copy that holds on to no file; a large image stays in its own."""
    return StoredImage(frame) if is_stored(frame) else np.array(frame)


def _release(error: BaseException | None) -> None:
    """Close what a library that failed halfway left open in its frames."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


class _Collector(logging.Handler):
    def __init__(self, messages: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Collect what the format libraries warn of, so that it reaches the metadata and not the terminal."""
    messages: list[str] = []
    handler = _Collector(messages)
    loggers = [logging.getLogger(name) for name in ("rsciio", "tifffile", "PIL")]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield messages
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.propagate = propagate
    housekeeping = (ResourceWarning, DeprecationWarning, PendingDeprecationWarning, FutureWarning)
    messages += [str(w.message) for w in caught if not issubclass(w.category, housekeeping)]
