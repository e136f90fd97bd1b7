"""A HyperSpy signal with permanent markers (``.hspy``, layout 3.3 of HyperSpy 2).

The signal is the micrograph with axes in Å; ``signal.plot()`` shows a ring of its own colour round every atom
of an element, and a white dot on every marked vacancy. ``signal.metadata.Markers.Mo.kwargs.offsets`` are the
positions (x, y) in Å of molybdenum, ``signal.metadata.Stemprior.provenance[0]`` is JSON.

RosettaSciIO could write the file, but HDF5 ends the whole process when a disk fills up under it; so the
file is put together in memory, which its writer cannot do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_stemprior import __version__
from napari_stemprior.io.json_values import plain
from napari_stemprior.io.writers.formats.subject import VACANCY, ExportSubject

#: Version of the layout.
_LAYOUT = "3.3"
#: Colours that most eyes tell apart (Okabe and Ito), one an element in turn.
_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#cc79a7")
#: Diameter of a ring in points of the screen.
_RING = 12.0


def write_hyperspy(subject: ExportSubject, path: Path) -> None:
    """Write the micrograph as a Signal2D with one marker group for each element.

    Parameters
    ----------
    subject : ExportSubject
        Needs the image.
    path : pathlib.Path
    """
    image = np.asarray(subject.known_image("A HyperSpy file"), dtype=np.float32)
    pixel_size = float(subject.table.pixel_size)
    title = subject.name.replace("/", "-").strip(".") or "micrograph"
    metadata: dict[str, Any] = {
        "General": {"title": title},
        "Signal": {"signal_type": "", "quantity": "Intensity"},
        # a list, since HDF5 keeps an attribute below 64 kB
        "Stemprior": {"_list_provenance": [json.dumps(plain(subject.table.provenance))]},
    }
    if classes := subject.classes():
        metadata["Markers"] = {
            name: _marker(name, members.yx_angstrom[:, ::-1], number)
            for number, (name, members) in enumerate(classes.items())
        }
    axes = {
        f"axis-{i}": {
            "_type": "UniformDataAxis",
            "name": name,
            "units": "Å",
            "navigate": False,
            "is_binned": False,
            "size": size,
            "scale": pixel_size,
            "offset": 0.0,
        }
        for i, (name, size) in enumerate(zip("yx", image.shape, strict=True))
    }
    memory = BytesIO()
    with h5py.File(memory, "w") as file:
        file.attrs["file_format"] = "HyperSpy"
        file.attrs["file_format_version"] = _LAYOUT
        signal = file.create_group(f"Experiments/{title}")
        signal.attrs["package"] = "napari-stemprior"
        signal.attrs["package_version"] = __version__
        signal.create_dataset("data", data=image, compression="gzip", shuffle=True)
        content = {
            **axes,
            "metadata": metadata,
            "original_metadata": {},
            "learning_results": {},
            "attributes": {"_lazy": False, "ragged": False},
        }
        _fill(signal, content)
    path.write_bytes(memory.getvalue())


def _fill(group: Any, values: Mapping[str, Any]) -> None:
    """Write values as HyperSpy does: mappings as groups, arrays as datasets, the rest as attributes."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            _fill(group.create_group(key), value)
        elif isinstance(value, list):
            group.create_dataset(key, data=value, dtype=h5py.string_dtype())
        elif isinstance(value, np.ndarray):
            group.create_dataset(key, data=value)
        else:
            group.attrs[key] = value


def _marker(name: str, xy: NDArray[np.float64], number: int) -> dict[str, Any]:
    """Return a marker group as HyperSpy keeps it; `xy` is (N, 2) Å."""
    empty = name == VACANCY
    return {
        "class": "Points",
        "name": name,
        "plot_on_signal": True,
        "offset_transform": "data",
        "transform": "display",
        "ScalarMappable_array": "_None_",
        "kwargs": {
            "offsets": np.ascontiguousarray(xy),
            "_tuple_sizes": np.array([_RING]),
            "units": "points",
            "facecolor": "white" if empty else "none",
            "edgecolor": "black" if empty else _COLOURS[number % len(_COLOURS)],
        },
    }
