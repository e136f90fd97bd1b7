"""File > Open Sample: the micrographs of ``sample_data``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import napari_stemprior
from napari_stemprior.errors import MicrographError
from napari_stemprior.io import read_micrographs
from napari_stemprior.qt.layers.atom_layers import LayerData, layer_from_micrographs

#: Files of the samples by the key that the manifest gives them.
FILES: dict[str, str] = {
    "mos2": "example_Se_implanted_MoS2.dm3",
    "ws2_vacancies": "simulated_WS2_vacancies_1000e.tif",
    "mos2_bilayer": "simulated_MoS2_twisted_bilayer_10000e.tif",
}


def sample_folder() -> Path:
    """Return where the samples lie: inside an installed package, or beside ``src`` in a working copy.

    Raises
    ------
    MicrographError
        If they are in neither place.
    """
    package = Path(napari_stemprior.__file__).parent
    for folder in (package / "sample_data", package.parents[1] / "sample_data"):
        if folder.is_dir():
            return folder
    raise MicrographError("The sample data are not installed; install napari-stemprior again from its wheel.")


def open_sample(key: str) -> list[LayerData]:
    """Read a sample as image layers.

    Parameters
    ----------
    key : str
        One of `FILES`.
    """
    return layer_from_micrographs(read_micrographs(sample_folder() / FILES[key]))


def structures() -> dict[str, Path]:
    """Return the structure files that belong to samples, by the name that a person picks."""
    try:
        folder = sample_folder()
    except MicrographError:
        return {}
    return {path.stem: path for path in sorted(folder.glob("*.extxyz"))}


mos2 = partial(open_sample, "mos2")
ws2_vacancies = partial(open_sample, "ws2_vacancies")
mos2_bilayer = partial(open_sample, "mos2_bilayer")
