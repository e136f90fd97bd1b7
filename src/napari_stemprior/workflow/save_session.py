"""Writing a session file: the images are hashed, and pixels that no file holds are kept beside it."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_stemprior.atomic_write import replaced
from napari_stemprior.errors import ExportError, StempriorError
from napari_stemprior.io import SUFFIXES, read_micrographs
from napari_stemprior.io.training_pair import file_hash
from napari_stemprior.output_files import check_output
from napari_stemprior.progress import Progress
from napari_stemprior.recording.stored_image import is_stored
from napari_stemprior.workflow.pixel_digest import pixel_digest
from napari_stemprior.workflow.session_file import MARK, SUFFIX, SavedImage, SavedSession, session_text

#: How the folder is called in which pixels are kept that no file holds.
PIXELS_SUFFIX = ".stemprior-images"
#: Kinds of numbers that a TIFF gives back as they are.
_KEPT_KINDS = ("uint8", "uint16", "float32")


@dataclass(frozen=True, eq=False)
class Unsaved:
    """An image of a session that is to be saved.

    Parameters
    ----------
    image : SavedImage
        Without hashes; its path counts only where it `has_file`.
    data : (H, W), (frames, H, W) or (H, W, C) array, optional
        The pixels of a layer.
    has_file : bool
        Whether the pixels are in the file at the path; else they are written beside the session.
    rgb : bool
        Whether the last axis of the pixels holds colours.
    """

    image: SavedImage
    data: Any = None
    has_file: bool = True
    rgb: bool = False


def save_session(
    session: SavedSession,
    images: Sequence[Unsaved],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> Generator[Progress, None, Path]:
    """Write a session file, whole or not at all.

    Parameters
    ----------
    session : SavedSession
        What is chosen and set; its images are those of `images`.
    images : sequence of Unsaved
    path : path-like
        Its name ends with `session_file.SUFFIX`.
    overwrite : bool
        Whether a file that is no session may be replaced. An image of the session never is.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ExportError
        If the name ends otherwise, the path is an image of the session or a foreign file, or nothing can be
        written there.
    """
    path = Path(os.path.abspath(path))
    if not path.name.endswith(SUFFIX) or path.name == SUFFIX:
        raise ExportError(f"{path}: the name of a session ends with {SUFFIX}; choose such a name.")
    files = [one.image.path for one in images if one.has_file]
    check_output(path, files, own_marks=[MARK], overwrite=overwrite)
    saved, known = [], {}
    for count, one in enumerate(images):
        yield Progress(count, len(images), f"Reading {one.image.name}")
        image = one.image
        if one.data is not None:
            image = replace(image, pixels=pixel_digest(one.data, rgb=one.rgb))
        if not _is_in_file(one):
            image = replace(image, path=_kept(one.data, image, path))
        if image.path not in known:
            known[image.path] = content_hash(image.path)
            yield Progress(count, len(images), f"Reading {image.name}")
        saved.append(replace(image, sha256=known[image.path], relative=_relative(image.path, path.parent)))
    yield Progress(len(images), len(images), f"Writing {path.name}")
    text = session_text(replace(session, images=tuple(saved)))
    with replaced(path) as beside:
        beside.write_text(text, encoding="ascii")
    return path


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of all files of a folder with their names; "" if it cannot be read."""
    if not path.is_dir():
        return file_hash(path) or ""
    state = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        if file.is_file():
            state.update(os.fsencode(file.relative_to(path).as_posix()))
            state.update((file_hash(file) or "").encode())
    return state.hexdigest()


def _is_in_file(one: Unsaved) -> bool:
    """Tell whether the file of an image gives it back: we can read it, and it has all frames of a stack.

    Of a stack of several files, napari knows the first alone.
    """
    path, data = one.image.path, one.data
    if not one.has_file or data is None:
        return one.has_file
    if path.suffix.lower() not in SUFFIXES:
        return False
    if one.rgb or data.ndim <= 2:
        return True
    try:
        return bool(sum(frame.image.size for frame in read_micrographs(path)) == data.size)
    except StempriorError:
        return False


def _relative(path: Path, folder: Path) -> str:
    """Return the way from a folder to a file, with slashes; "" where there is none, as between drives."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return ""


def _kept(data: Any, image: SavedImage, path: Path) -> Path:
    """Write pixels that no file holds into a folder beside the session, under a name that tells them."""
    if is_stored(data):
        raise ExportError(
            f"{image.name}: this image is too large to be kept beside the session and has no file; save it "
            "as a file, and open that."
        )
    name = re.sub(r"[^\w.-]+", "_", image.name)[:60].strip(".") or "image"
    folder = path.with_name(path.name.removesuffix(SUFFIX) + PIXELS_SUFFIX)
    file = folder / f"{name}-{image.pixels[:12]}.tif"
    if not file.is_file():
        pixels = np.asarray(data)
        if pixels.dtype.name not in _KEPT_KINDS:
            pixels = pixels.astype(np.float32)
        pixels = pixels.reshape(-1, *pixels.shape[-2:]) if pixels.ndim > 2 else pixels
        with replaced(file) as beside:
            tifffile.imwrite(beside, pixels, photometric="minisblack", metadata=None, software=None)
    return file
