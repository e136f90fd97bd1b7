"""Where networks are found: those that ship with the package, and files."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from napari_stemprior.errors import ModelError


def available_models() -> list[str]:
    """List the names of the networks that ship with the package, the default first."""
    names = sorted(
        p.name.removesuffix(".safetensors") for p in _folder().iterdir() if p.suffix == ".safetensors"
    )
    return sorted(names, key=lambda name: name != "small")


def model_path(model: str | Path) -> Path:
    """Return the file of a network, given its name or its path.

    Raises
    ------
    ModelError
        If there is neither.
    """
    path = Path(model).expanduser()
    if path.suffix == ".safetensors" or path.is_file():
        if not path.is_file():
            raise ModelError(f"{path}: there is no such model file.")
        return path
    shipped = _folder() / f"{model}.safetensors"
    if shipped.is_file():
        return shipped
    raise ModelError(
        f"There is no model {str(model)!r}; "
        f"choose one of {', '.join(available_models())} or give a .safetensors file."
    )


def _folder() -> Path:
    return Path(str(files("napari_stemprior") / "weights"))
