"""Files that are there whole or not at all: everything that the package writes goes through here."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import socket
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_stemprior.errors import ExportError

#: Characters of a name that go into that of its temporary file, so that it is not too long.
_LONGEST_STEM = 120
#: How old a temporary file of another computer is when its process surely ended, s.
_ABANDONED_AFTER = 24 * 3600.0
_LEFTOVER = re.compile(
    r"\.(?P<name>.*)\.stemprior-(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}(?P<rest>\..*)?", re.S
)
#: Folders that this process has cleared.
_cleared: set[tuple[int, str]] = set()


@contextmanager
def replaced(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file beside its place and move it there when it is complete.

    Parameters
    ----------
    path : path-like
        Where the file shall be; folders that do not exist are made.

    Yields
    ------
    pathlib.Path
        A path in the same folder, with the same suffix, to write to. If the block raises, it is
        removed and what lay at `path` stays as it was.

    Raises
    ------
    ExportError
        If the folder or the file cannot be written.
    """
    path = Path(path)
    beside = path.with_name(f".{path.stem[:_LONGEST_STEM]}.{_word()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(path.parent)
        try:
            yield beside
            _forced(beside)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise _refusal(path, error) from error


@contextmanager
def replaced_folder(
    path: str | os.PathLike[str], foreign: Callable[[Path], str] | None = None
) -> Iterator[Path]:
    """Write a folder beside its place and move it there when it is complete.

    Parameters
    ----------
    path : path-like
        Where the folder shall be.
    foreign : callable, optional
        Names something in a folder that this program did not write, and returns "" where all is its own:
        only such a folder is replaced. Without it, none is.

    Yields
    ------
    pathlib.Path
        A path that does not exist, in the same parent folder. If the block raises, it is removed and what
        lay at `path` stays as it was.

    Raises
    ------
    ExportError
        If something else lies there or the folder cannot be written.
    """
    path = Path(path)
    clear_leftovers(path.parent)
    if os.path.lexists(path):
        found = path.name if foreign is None or path.is_symlink() or not path.is_dir() else foreign(path)
        if found:
            raise ExportError(
                f"{path}: something else lies there already ({found}), which is not deleted; choose a name "
                "that is free."
            )
    word = _word()
    beside, old = (path.with_name(f".{path.name}.{word}.{which}") for which in ("new", "old"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield beside
            for file in beside.rglob("*"):
                if file.is_file():
                    _forced(file)
            if path.exists():
                path.rename(old)
            beside.rename(path)
        finally:
            if old.exists() and not path.exists():
                old.rename(path)
            for leftover in (beside, old):
                _removed(leftover)
    except OSError as error:
        raise _refusal(path, error) from error


def clear_leftovers(folder: Path) -> None:
    """Remove from a folder, once in a process, what processes that were killed had half written.

    A folder that was moved aside to be replaced, and has no successor, is put back.

    Parameters
    ----------
    folder : pathlib.Path
        Nothing but temporary files of this module is touched in it.
    """
    key = (os.getpid(), os.path.abspath(folder))
    if key in _cleared:
        return
    _cleared.add(key)
    try:
        found = [(path, _LEFTOVER.fullmatch(path.name)) for path in folder.iterdir()]
    except OSError:
        return
    for path, match in found:
        if match is None or not _is_abandoned(path, match["host"], int(match["pid"])):
            continue
        place = folder / match["name"]
        try:
            if match["rest"] == ".old" and path.is_dir() and not os.path.lexists(place):
                path.rename(place)
            elif path.is_dir():
                _removed(path)
            else:
                path.unlink()
        except OSError:  # another process was quicker, or the folder is not ours
            continue


def _is_abandoned(path: Path, host: str, pid: int) -> bool:
    """Tell whether the process that wrote a temporary file has ended."""
    if host == _host() and sys.platform != "win32":  # there, signal 0 is no question
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_AFTER
    except OSError:
        return False


def _word() -> str:
    """Return a word for a temporary file that says whose it is."""
    return f"stemprior-{_host()}-{os.getpid()}-{secrets.token_hex(4)}"


def _host() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _forced(path: Path) -> None:
    """Force a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _removed(folder: Path) -> None:
    """Remove a folder; threads of a writer that failed may still put files into it for a moment."""
    for _ in range(40):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def _refusal(path: Path, error: OSError) -> ExportError:
    """Say in one sentence why nothing was written."""
    advice = (
        "make room there or choose another folder"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        else "choose a folder that you may write to"
    )
    reason = " ".join(str(error.strerror or error).split()).rstrip(".")
    return ExportError(f"{path}: this cannot be written ({reason}); {advice}.")
