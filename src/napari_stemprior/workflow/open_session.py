"""Opening a session file: its images are found, also after a move, and read."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from napari_stemprior.errors import SessionError, StempriorError, telling_out_of_memory
from napari_stemprior.io import Micrograph, read_micrographs
from napari_stemprior.progress import Progress
from napari_stemprior.workflow.save_session import content_hash
from napari_stemprior.workflow.segment_frame import named
from napari_stemprior.workflow.session_file import SavedImage, SavedSession, read_session


@dataclass(frozen=True, eq=False)
class OpenedImage:
    """An image of a session that was found.

    Parameters
    ----------
    saved : SavedImage
        Its path is where the image is now.
    number : int
        Its place in the session file.
    frames : tuple of Micrograph
        All that its file holds; empty for a file that was not open.
    """

    saved: SavedImage
    number: int = 0
    frames: tuple[Micrograph, ...] = ()


@dataclass(frozen=True, eq=False)
class OpenedSession:
    """A session whose images were found.

    Parameters
    ----------
    path : pathlib.Path
        Of the session file.
    saved : SavedSession
    images : tuple of OpenedImage
        In the order of the file, without those that are missing.
    missing : tuple of SavedImage
        Those that are nowhere.
    remarks : tuple of str
        What a person should know, a sentence each.
    """

    path: Path
    saved: SavedSession
    images: tuple[OpenedImage, ...]
    missing: tuple[SavedImage, ...] = ()
    remarks: tuple[str, ...] = ()


def open_session(
    path: str | os.PathLike[str], folders: Sequence[Path] = (), *, all_needed: bool = True
) -> Generator[Progress, None, OpenedSession]:
    """Read a session file and its images.

    An image is looked for where it lay as seen from the session file, where it lay on the disk, beside the
    session file, and in `folders`. One of the right content is taken before any other.

    Parameters
    ----------
    path : path-like
    folders : sequence of pathlib.Path
        Where a person says that images may be.
    all_needed : bool
        Whether a missing image is an error; else it is in `OpenedSession.missing`.

    Returns
    -------
    OpenedSession

    Raises
    ------
    SessionError
        If the file is damaged, or images are missing.
    MicrographError
        If an image that was found cannot be read.
    """
    path = Path(os.path.abspath(path))
    yield Progress(0, 0, f"Reading {path.name}")
    saved = read_session(path)
    remarks = [saved.remark] if saved.remark else []
    hashes: dict[Path, str] = {}
    found: list[tuple[int, SavedImage]] = []
    missing: list[SavedImage] = []
    for count, image in enumerate(saved.images):
        yield Progress(count, len(saved.images), f"Looking for {image.name}")
        place, same = _place(image, path.parent, folders, hashes)
        if place is None:
            missing.append(image)
            continue
        if not same:
            remarks.append(
                f"{place.name} has changed since the session was saved; its atoms may lie elsewhere on it."
            )
        found.append((count, replace(image, path=place)))
    if missing and all_needed:
        raise SessionError(missing_sentence(path, missing))
    images = []
    read: dict[Path, tuple[Micrograph, ...]] = {}
    for count, (number, image) in enumerate(found):
        if image.is_open and image.path not in read:
            yield Progress(count, len(found), f"Reading {image.path.name}")
            read[image.path] = _frames(image.path)
        frames = read[image.path] if image.is_open else ()
        if frames and not _mask_fits(image, frames):
            remarks.append(f"{image.name} has another size than its mask, which is left out.")
            image = replace(image, context=replace(image.context, excluded=None))
        images.append(OpenedImage(image, number, frames))
    return OpenedSession(path, saved, tuple(images), tuple(missing), tuple(dict.fromkeys(remarks)))


def missing_sentence(path: Path, missing: Sequence[SavedImage]) -> str:
    """Say which images of a session are nowhere, and what to do."""
    first, rest = missing[0], len({image.path for image in missing}) - 1
    more = f" (and {rest} more)" if rest else ""
    return (
        f"{path.name}: the image {first.path}{more} is not there; put it beside the session file, or use "
        "'Open session…' on the desk, which asks for its folder."
    )


def _frames(path: Path) -> tuple[Micrograph, ...]:
    try:
        with telling_out_of_memory():
            return tuple(read_micrographs(path))
    except StempriorError as error:
        raise type(error)(named(error, path)) from error


def _mask_fits(image: SavedImage, frames: Sequence[Micrograph]) -> bool:
    """Return whether an image has no mask, or one of the size of its frames."""
    excluded = image.context.excluded
    if excluded is None:
        return True
    sizes = {frame.image.shape for frame in frames}
    return any(list(size) == excluded.get("shape") for size in sizes)


def _place(
    image: SavedImage, folder: Path, folders: Sequence[Path], hashes: dict[Path, str]
) -> tuple[Path | None, bool]:
    """Return where an image is, and whether its content is the same."""
    name = image.path.name
    places = [folder / image.relative] if image.relative else []
    places += [image.path, folder / name, *(other / name for other in folders)]
    there = [place for place in dict.fromkeys(map(_absolute, places)) if place is not None]
    for place in there:
        if place not in hashes:
            hashes[place] = content_hash(place)
        if hashes[place] == image.sha256:
            return place, True
    return (there[0], False) if there else (None, False)


def _absolute(place: Path) -> Path | None:
    """Return a path in full if something is there."""
    try:
        full = Path(os.path.abspath(place))
        return full if full.exists() else None
    except (OSError, ValueError):  # ValueError: a text that is no path
        return None
