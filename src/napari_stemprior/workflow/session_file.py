"""A session file: the images of a desk by path and hash, with all that is known about each of them.

The edits of an image stand in it as the entries of its journal (`atoms.journal`), calibration, prior and fit
as `EditContext` describes them. A prior from a structure file is kept whole, so that the file is not
needed again. Images stay where they are; their paths are noted from the session file on and from the root.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from napari_stemprior.atoms.history import now
from napari_stemprior.atoms.journal import Frame, state_entries
from napari_stemprior.atoms.journal_keeper import FrameState
from napari_stemprior.errors import SessionError, StempriorError
from napari_stemprior.io.json_values import plain
from napari_stemprior.registration import LatticeFit
from napari_stemprior.regular_files import refuse_pipe
from napari_stemprior.workflow.edit_context import EditContext, fit_from_dict, fit_to_dict
from napari_stemprior.workflow.segment import SegmentSettings
from napari_stemprior.workflow.session_values import (
    checked_states,
    frame_of,
    of_type,
    outlines,
    texts,
    view_of,
    whole_number,
)

#: How the name of a session file ends.
SUFFIX = ".stemprior.json"
#: Version of the format.
SCHEMA = 1
#: What every session file holds.
MARK = b'"format": "napari-stemprior session"'
_FORMAT = "napari-stemprior session"
#: What goes wrong where a value has another form than it should.
_WRONG = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, StempriorError)


@dataclass(frozen=True, eq=False)
class SavedImage:
    """An image of a session, and what is known about it.

    Parameters
    ----------
    name : str
    path : pathlib.Path
        Where it was when the session was saved.
    relative : str
        The same from the folder of the session file; empty where there is no such way.
    sha256 : str
        Of the content of the file, hexadecimal.
    is_open : bool
        Whether it was a layer; else it is a file of the list, of which nothing was edited.
    index : int
        Number of the frame in a file that was not open.
    shape : tuple of int
        Of the layer, (H, W) or (frames, H, W); empty for a file that was not open.
    dtype : str
        Of its pixels.
    pixels : str
        `workflow.pixel_digest` of them.
    visible : bool
        Whether the layer was shown.
    context : EditContext
        Calibration, prior and the fit that was made last.
    fits : dict
        The fits of the frames of a stack, of the same prior.
    states : tuple of FrameState
        The atoms and edits of each frame; a single image has the frame ``()``.
    reviewed : tuple of tuple of int
        The frames that a person has ticked as checked.
    region : tuple of (str, list)
        The outlines of the reviewed region: napari's type of shape, and its corners as pixels (y, x).
    journals : tuple of dict
        The journals whose edits are in `states`: `created`, `host`, `pid` and the number of `edits`.
    """

    name: str
    path: Path
    context: EditContext = field(default_factory=EditContext)
    relative: str = ""
    sha256: str = ""
    is_open: bool = True
    index: int = 0
    shape: tuple[int, ...] = ()
    dtype: str = ""
    pixels: str = ""
    visible: bool = True
    fits: dict[Frame, LatticeFit] = field(default_factory=dict)
    states: tuple[FrameState, ...] = ()
    reviewed: tuple[Frame, ...] = ()
    region: tuple[tuple[str, list[list[float]]], ...] = ()
    journals: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, eq=False)
class SavedSession:
    """What a session file holds.

    Parameters
    ----------
    images : tuple of SavedImage
    chosen : int
        Place in `images` of the image that was worked on; -1 where there was none.
    frame : tuple of int
        The frame of it that was looked at.
    settings : SegmentSettings
        How images are segmented.
    view : tuple of float, optional
        Middle of what was seen, y and x in Å (in px where no pixel size is known), and screen pixels per Å.
    remark : str
        What a person should know of how it was read, in a sentence; empty if all is well.
    """

    images: tuple[SavedImage, ...]
    chosen: int = -1
    frame: Frame = ()
    settings: SegmentSettings = field(default_factory=SegmentSettings)
    view: tuple[float, float, float] | None = None
    remark: str = ""


def session_text(session: SavedSession) -> str:
    """Return the content of a session file.

    Parameters
    ----------
    session : SavedSession
    """
    body = {
        "format": _FORMAT,
        "schema": SCHEMA,
        "program": f"napari-stemprior {version('napari-stemprior')}",
        "created": now(),
        "chosen": session.chosen,
        "frame": list(session.frame),
        "view": plain(session.view),
        "settings": asdict(session.settings),
        "images": [_image_to_dict(image) for image in session.images],
    }
    body["checksum"] = _checksum(Path(), body)
    # ASCII: the name of a file need not be text, and its escaped bytes must come back
    return json.dumps(body, separators=(",", ": "), ensure_ascii=True, allow_nan=False) + "\n"


def read_session(path: str | os.PathLike[str]) -> SavedSession:
    """Read a session file; its images are not looked for.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    SavedSession
        Its `remark` says if the file was changed since it was written.

    Raises
    ------
    SessionError
        If it cannot be read, is no session file, one of a newer version, or a value in it is none.
    """
    path = Path(path)
    try:
        refuse_pipe(path)
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SessionError(f"{path}: the session cannot be read ({reason}); check its path.") from error
    body = _body(path, data)
    schema = body.get("schema")
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        raise SessionError(
            f"{path}: the session has version {str(schema)[:40]} of its format and this program knows "
            f"{SCHEMA}; update napari-stemprior to read it."
        )
    remark = ""
    if body.pop("checksum", None) != _checksum(path, body):
        remark = (
            f"{path.name} was changed or damaged since it was saved; look at the atoms before you go on, and "
            "save it under another name."
        )
    where = "its fields"
    try:
        images = []
        for number, entry in enumerate(of_type(body["images"], list), 1):
            where = f"image {number}"
            images.append(_image(of_type(entry, dict)))
        where = "its fields"
        chosen = whole_number(body["chosen"], -1, len(images) - 1)
        settings = _settings(of_type(body["settings"], dict))
        view = None if body["view"] is None else view_of(body["view"])
        return SavedSession(tuple(images), chosen, frame_of(body["frame"]), settings, view, remark)
    except _WRONG as error:
        reason = " ".join(str(error).split()).rstrip(".")[:200]
        said = f"the field {reason} is missing" if isinstance(error, KeyError) else reason
        raise SessionError(
            f"{path}: the session file is damaged in {where} ({said}); open an older copy of it, or the "
            "images themselves, whose journals keep the edits."
        ) from error


# --- inside -------------------------------------------------------------------------------------------


def _image_to_dict(image: SavedImage) -> dict[str, Any]:
    return {
        # not `plain`, for the bytes of a path that are no text must come back
        "path": str(image.path),
        "relative": image.relative,
        **plain(
            {
                "name": image.name,
                "sha256": image.sha256,
                "is_open": image.is_open,
                "index": image.index,
                "shape": image.shape,
                "dtype": image.dtype,
                "pixels": image.pixels,
                "visible": image.visible,
                "context": image.context.to_dict(),
                "fits": [[frame, fit_to_dict(fit)] for frame, fit in image.fits.items()],
                "edits": [
                    entry
                    for state in image.states
                    for entry in state_entries(
                        state.frame, state.history, state.pixel_size, _plain_provenance(state.provenance)
                    )
                ],
                "reviewed": image.reviewed,
                "region": image.region,
                "journals": image.journals,
            }
        ),
    }


def _plain_provenance(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return provenance as JSON holds it; what it cannot hold is written as text, as in a journal."""
    told = {}
    for key, value in provenance.items():
        try:
            told[str(key)] = plain(value)
        except TypeError:
            told[str(key)] = str(value)
    return told


def _body(path: Path, data: bytes) -> dict[str, Any]:
    def refuse(word: str) -> float:
        raise ValueError(f"{word} is no number")

    try:
        body = json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise SessionError(
            f"{path}: this is no session file, or it is cut short or damaged; open an older copy of it."
        ) from error
    if not isinstance(body, dict) or body.get("format") != _FORMAT:
        raise SessionError(f"{path}: this is no session of napari-stemprior; choose a file *{SUFFIX}.")
    return body


def _checksum(path: Path, body: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(body, sort_keys=True)
    except RecursionError as error:
        raise SessionError(f"{path}: the session file is damaged; open an older copy of it.") from error
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _image(values: dict[str, Any]) -> SavedImage:
    context = EditContext.from_dict(of_type(values["context"], dict), "the session")
    fits = {}
    for frame, fit in values["fits"]:
        if context.prior is None:
            raise ValueError("a fit without a prior")
        fits[frame_of(frame)] = fit_from_dict(of_type(fit, dict), context.prior)
    told = texts(values, "name", "path", "relative", "sha256", "dtype", "pixels")
    if not told["path"] or "\0" in told["path"] + told["relative"]:
        raise ValueError("the path is none")
    return SavedImage(
        told["name"],
        Path(told["path"]),
        context,
        told["relative"],
        told["sha256"],
        of_type(values["is_open"], bool),
        whole_number(values["index"], 0),
        frame_of(values["shape"]),
        told["dtype"],
        told["pixels"],
        of_type(values["visible"], bool),
        fits,
        checked_states(of_type(values["edits"], list)),
        tuple(frame_of(frame) for frame in values["reviewed"]),
        outlines(values["region"]),
        tuple(of_type(journal, dict) for journal in values["journals"]),
    )


def _settings(values: Mapping[str, Any]) -> SegmentSettings:
    usual: dict[str, Any] = asdict(SegmentSettings())
    known = {key: of_type(values[key], type(value)) for key, value in usual.items()}
    if not 0 <= known["trust"] <= 1:
        raise ValueError("the trust lies outside 0 to 1")
    return SegmentSettings(**known)
