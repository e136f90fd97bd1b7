"""A HyperSpy signal with permanent markers, written by RosettaSciIO as ``.hspy``.

The signal is the micrograph with axes in Å; ``signal.plot()`` shows a ring of its own colour round every atom
of an element, and a white dot on every marked vacancy. ``signal.metadata.Markers.Mo.kwargs.offsets`` are the
positions (x, y) in Å of molybdenum.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rsciio.hspy import file_writer

from napari_stemprior import __version__
from napari_stemprior.io.formats.subject import VACANCY, ExportSubject
from napari_stemprior.io.plain_values import plain

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
    title = subject.name.replace("/", "-") or "micrograph"
    markers = {
        name: _marker(name, members.yx_angstrom[:, ::-1], number)
        for number, (name, members) in enumerate(subject.classes().items())
    }
    metadata: dict[str, Any] = {
        "General": {"title": title},
        "Signal": {"signal_type": "", "quantity": "Intensity"},
        "Stemprior": {"provenance": _without_none(plain(subject.table.provenance))},
    }
    if markers:
        metadata["Markers"] = markers
    signal = {
        "data": image,
        "axes": [
            {
                "_type": "UniformDataAxis",
                "name": name,
                "units": "Å",
                "navigate": False,
                "is_binned": False,
                "size": size,
                "scale": pixel_size,
                "offset": 0.0,
            }
            for name, size in zip(("y", "x"), image.shape, strict=True)
        ],
        "metadata": metadata,
        "original_metadata": {},
        "learning_results": {},
        "tmp_parameters": {},
        "package_info": {"package": "napari-stemprior", "package_version": __version__},
        "attributes": {"_lazy": False, "ragged": False},
        "models": {},
    }
    file_writer(str(path), signal, show_progressbar=False)


def _marker(name: str, xy: NDArray[np.float64], number: int) -> dict[str, Any]:
    """Return a marker group as HyperSpy's own ``to_dictionary`` gives it; `xy` is (N, 2) Å."""
    common = {
        "name": name,
        "plot_on_signal": True,
        "offset_transform": "data",
        "transform": "display",
        "ScalarMappable_array": None,
    }
    offsets = np.ascontiguousarray(xy)
    look = {"offsets": offsets, "sizes": (_RING,), "units": "points"}
    if name == VACANCY:
        return {**common, "class": "Points", "kwargs": {**look, "facecolor": "white", "edgecolor": "black"}}
    colour = _COLOURS[number % len(_COLOURS)]
    return {**common, "class": "Points", "kwargs": {**look, "facecolor": "none", "edgecolor": colour}}


def _without_none(value: Any) -> Any:
    """HyperSpy's metadata have no place for None in a list; text has."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return "" if value is None else value
