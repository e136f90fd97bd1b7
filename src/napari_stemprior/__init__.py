"""Interactive segmentation of atomic-resolution STEM micrographs with a structural prior.

The public names are imported when they are first used, so that importing the package loads neither torch
nor napari.

>>> from napari_stemprior import Segmenter, fit_lattice, load_prior, read_micrograph
>>> micrograph, prior = read_micrograph("flake.dm3"), load_prior("MoS2")  # doctest: +SKIP
>>> fit = fit_lattice(micrograph, prior)  # doctest: +SKIP
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_stemprior.atoms import AtomTable as AtomTable
    from napari_stemprior.inference import Segmenter as Segmenter
    from napari_stemprior.io import read_micrograph as read_micrograph
    from napari_stemprior.structure import load_prior as load_prior
    from napari_stemprior.workflow.notebook import fit_lattice as fit_lattice

try:
    __version__ = version("napari-stemprior")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["AtomTable", "Segmenter", "__version__", "fit_lattice", "load_prior", "read_micrograph"]

#: The module of each public name.
_HOMES = {
    "AtomTable": "napari_stemprior.atoms",
    "Segmenter": "napari_stemprior.inference",
    "fit_lattice": "napari_stemprior.workflow.notebook",
    "load_prior": "napari_stemprior.structure",
    "read_micrograph": "napari_stemprior.io",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
