"""Where networks are found: those that ship with the package, those a person has fine-tuned, and files."""

from __future__ import annotations

import json
import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import platformdirs
from safetensors import SafetensorError, safe_open

from napari_stemprior.errors import ModelError

_SUFFIX = ".safetensors"
#: A name that is a file name on every system, and no path.
_NAME = re.compile(r"[\w][\w .+-]{0,60}")


def available_models() -> list[str]:
    """List the names of the networks: the default, the others that ship, then a person's own."""
    shipped = sorted(_names(_folder()), key=lambda name: (name != "small", name))
    return shipped + sorted(set(_names(user_models_folder())) - set(shipped))


def model_path(model: str | Path) -> Path:
    """Return the file of a network, given its name or its path.

    Raises
    ------
    ModelError
        If there is neither.
    """
    path = Path(model).expanduser()
    if path.suffix == _SUFFIX or path.is_file():
        if not path.is_file():
            raise ModelError(f"{path}: there is no such model file.")
        return path
    for folder in (_folder(), user_models_folder()):
        if (folder / f"{model}{_SUFFIX}").is_file():
            return folder / f"{model}{_SUFFIX}"
    raise ModelError(
        f"There is no model {str(model)!r}; "
        f"choose one of {', '.join(available_models())} or give a .safetensors file."
    )


def user_models_folder() -> Path:
    """Return where fine-tuned networks are kept; ``STEMPRIOR_MODELS`` names another folder."""
    chosen = os.environ.get("STEMPRIOR_MODELS")
    return Path(chosen) if chosen else platformdirs.user_data_path("napari-stemprior", False) / "models"


def new_model_path(name: str) -> Path:
    """Return the file in which a fine-tuned network of this name will be kept.

    Raises
    ------
    ModelError
        If the name is taken or cannot be the name of a file.
    """
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise ModelError(f"{name!r} cannot name a network; take letters, digits, spaces and . + - _ only.")
    if name.casefold() in (taken.casefold() for taken in available_models()):
        raise ModelError(f"There is a network {name!r} already; choose another name.")
    return user_models_folder() / f"{name}{_SUFFIX}"


def unfinished(output: Path) -> Path:
    """Return where a fine-tuning towards the file `output` is kept until it is done."""
    return output.with_name(f".{output.name.removesuffix(_SUFFIX)}.unfinished{_SUFFIX}")


def unfinished_path(name: str) -> Path | None:
    """Return where an unfinished fine-tuning towards a network of this name is kept, if there is one."""
    path = unfinished(user_models_folder() / f"{name}{_SUFFIX}")
    return path if name and path.is_file() else None


def model_label(model: str) -> str:
    """Say in one line what a network is: its name and, if it was fine-tuned, both scores.

    The header of the file is read, not its weights; of a file that cannot be read the name is told.
    """
    tuned: Any = _notes(model).get("finetuned", {})
    try:
        before, after = float(tuned["before"]["f1"]), float(tuned["after"]["f1"])
        worse = " (WORSE)" if tuned.get("worse") else ""
        return f"{model}: F1 {before:.3f} → {after:.3f}{worse}"
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return model


def _notes(model: str) -> dict[str, Any]:
    try:
        with safe_open(model_path(model), framework="numpy") as file:
            notes = json.loads((file.metadata() or {}).get("notes", "{}"))
    except (ModelError, SafetensorError, OSError, ValueError, RecursionError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return [
        path.name.removesuffix(_SUFFIX)
        for path in folder.iterdir()
        if path.suffix == _SUFFIX and not path.name.startswith(".")  # with a dot: an unfinished run
    ]


def _folder() -> Path:
    return Path(str(files("napari_stemprior") / "weights"))
