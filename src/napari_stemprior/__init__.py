"""Interactive segmentation of atomic-resolution STEM micrographs with a structural prior.

The public names are imported when they are first used, so that importing the package loads neither torch
nor napari.

>>> from napari_stemprior import Segmenter, fit_lattice, load_prior, read_micrograph
>>> micrograph, prior = read_micrograph("flake.dm3"), load_prior("MoS2")  # doctest: +SKIP
>>> fit = fit_lattice(micrograph, prior)  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_stemprior.waiting_threads import sleep_sooner

if TYPE_CHECKING:
    from napari_stemprior.atoms import AtomTable as AtomTable
    from napari_stemprior.inference import Segmenter as Segmenter
    from napari_stemprior.io import read_micrograph as read_micrograph
    from napari_stemprior.structure import load_prior as load_prior
    from napari_stemprior.workflow.notebook import fit_lattice as fit_lattice

    __version__: str

__all__ = ["AtomTable", "Segmenter", "__version__", "fit_lattice", "load_prior", "read_micrograph"]

#: The module of each public name.
_HOMES = {
    "AtomTable": "napari_stemprior.atoms",
    "Segmenter": "napari_stemprior.inference",
    "fit_lattice": "napari_stemprior.workflow.notebook",
    "load_prior": "napari_stemprior.structure",
    "read_micrograph": "napari_stemprior.io",
}


sleep_sooner()  # before torch is imported


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = _version()
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, "__version__"})


def _version() -> str:
    """Return the version of the installed package; to look it up takes as long as the rest of the import."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("napari-stemprior")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
