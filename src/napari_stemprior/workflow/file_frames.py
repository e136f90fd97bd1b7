"""The files of a list of images: how many frames each has, how they look, and their pixels."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import MicrographError, StempriorError, telling_out_of_memory
from napari_stemprior.io import Micrograph, read_micrographs
from napari_stemprior.progress import Progress
from napari_stemprior.workflow.segment_frame import named


class FileFrames:
    """Reads the frames of files; the file that was read last is kept, so that a stack is read once."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._frames: list[Micrograph] = []

    def read(self, path: Path) -> list[Micrograph]:
        """Return all frames of a file.

        Parameters
        ----------
        path : pathlib.Path

        Raises
        ------
        MicrographError
            If it is no micrograph.
        """
        if path != self._path:
            self._path, self._frames = None, []  # its memory first
            self._frames = read_micrographs(path)
            self._path = path
        return self._frames

    def frame(self, path: Path, index: int) -> Micrograph:
        """Return one frame of a file, counted from 0.

        Raises
        ------
        MicrographError
            If it is no micrograph, or has fewer frames by now.
        """
        frames = self.read(path)
        if index >= len(frames):
            raise MicrographError(
                f"{path.name}: the file has {len(frames)} frames by now and frame {index + 1} was asked for; "
                "open it anew."
            )
        return frames[index]


def read_frames(path: Path) -> Generator[Progress, None, list[Micrograph]]:
    """Read every frame of a file that is to be opened.

    Raises
    ------
    MicrographError
        If it is no micrograph.
    """
    yield Progress(0, 0, f"Reading {path.name}")
    return read_micrographs(path)


@dataclass(frozen=True, eq=False)
class FileContent:
    """What a look into a file tells.

    Parameters
    ----------
    path : pathlib.Path
    names : tuple of str
        Of its frames; empty where it cannot be read.
    pixel_sizes : tuple of float or None
        Å/px of each.
    thumbnails : tuple of arrays
        Of each, (rows, columns) float32, every so many pixels.
    error : str
        Why it cannot be read, in a sentence.
    """

    path: Path
    names: tuple[str, ...] = ()
    pixel_sizes: tuple[float | None, ...] = ()
    thumbnails: tuple[NDArray[np.float32], ...] = ()
    error: str = ""


def look_into_files(
    files: Sequence[Path], finished: Callable[[FileContent], None], side: int
) -> Generator[Progress, None, int]:
    """Read files one after the other and tell how many frames each has, with a small picture of each.

    Parameters
    ----------
    files : sequence of pathlib.Path
    finished : callable
        Gets what each file holds as soon as that is known.
    side : int
        Rows and columns of a small picture at most, about.

    Returns
    -------
    int
        How many could be read.
    """
    good = 0
    for count, path in enumerate(files):
        yield Progress(count, len(files), f"Reading {path.name}")
        try:
            with telling_out_of_memory():
                frames = read_micrographs(path)
                small = tuple(thinned(frame.image, side) for frame in frames)
        except StempriorError as error:
            finished(FileContent(path, error=named(error, path)))
            continue
        finished(FileContent(path, tuple(f.name for f in frames), tuple(f.pixel_size for f in frames), small))
        good += 1
    return good


def thinned(image: Any, side: int) -> NDArray[np.float32]:
    """Return every so many pixels of an image, (rows, columns) with `side` of them at most, about.

    Parameters
    ----------
    image : (H, W) array
        Also one that is not in memory.
    side : int
    """
    height, width = image.shape[-2:]
    step = max(1, -(-max(height, width) // side))
    return np.array(image[::step, ::step], np.float32)
