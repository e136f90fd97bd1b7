"""Sessions that are saved over each other, with the pixels of an image that has no file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from session_bench import IMAGE, history, saved, unsaved

from napari_stemprior.atoms.journal_keeper import FrameState
from napari_stemprior.progress import drain
from napari_stemprior.workflow.open_session import open_session
from napari_stemprior.workflow.save_session import Unsaved

_NAME = "a.stemprior.json"


def saved_session(folder: Path, version: int) -> None:
    """Save a session whose atoms and pixels are those of a version, from 1 on."""
    states = (FrameState((), history(version), 0.15, {"version": version}),)
    one = unsaved(folder / "flake.tif", states=states)
    loose = replace(one.image, name=f"loose {version}", path=Path("loose"))
    saved(folder / _NAME, one, Unsaved(loose, IMAGE + version, False), overwrite=True)


def session_version(folder: Path) -> int:
    """Return the version that lies there whole, 0 for none."""
    if not (folder / _NAME).exists():
        return 0
    opened = drain(open_session(folder / _NAME))
    assert not opened.missing
    assert not opened.remarks, opened.remarks
    named = [int(image.states[0].provenance["version"]) for image in opened.saved.images]
    (version,) = set(named)
    for image in opened.saved.images:
        assert image.states[0].history.rows.equals(history(version).rows)
    assert (opened.images[1].frames[0].image == IMAGE + version).all()
    return version
