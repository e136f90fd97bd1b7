"""OME-Zarr (NGFF 0.4, Zarr 2): the image, and the atoms as a label image beneath it.

::

    atoms.ome.zarr/
        0                   (H, W) image, axes y and x in Å
        labels/atoms/0      (H, W) label image, atom_id + 1
        labels/vacancies/0  the same for marked vacancies, if there are any

Element, site, layer, confidence and position of every label stand in ``image-label/properties``.
Version 0.4 is what napari-ome-zarr, Fiji and OMERO all read today.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_stemprior.atoms.table import AtomTable
from napari_stemprior.io.json_values import plain
from napari_stemprior.io.writers.formats.subject import ExportSubject
from napari_stemprior.io.writers.label_mask import disk_radius, label_mask

_VERSION = "0.4"
_CHUNK = 1024
_PROPERTIES = ("element", "site", "layer", "confidence", "evidence", "source", "status", "y_px", "x_px")


def write_ome_zarr(subject: ExportSubject, path: Path) -> None:
    """Write a folder with the image and its labels.

    Parameters
    ----------
    subject : ExportSubject
        Needs the image.
    path : pathlib.Path
        A folder that does not exist.
    """
    image = np.asarray(subject.known_image("An OME-Zarr"), dtype=np.float32)
    table = subject.table
    root = zarr.open_group(str(path), mode="w-", zarr_format=2)
    _add_picture(root, image, table.pixel_size, subject.name)
    root.attrs["stemprior"] = {"provenance": plain(table.provenance), "pixel_size_angstrom": table.pixel_size}
    labels = root.create_group("labels")
    radius = disk_radius(subject.atoms)
    groups = {"atoms": subject.atoms}
    if len(subject.vacancies):
        groups["vacancies"] = subject.vacancies
    labels.attrs["labels"] = list(groups)
    for name, members in groups.items():
        # the label image leaves out vacancies; as rows of their own they count as any other
        drawn = AtomTable(members.rows.assign(status="ok"), members.pixel_size)
        group = labels.create_group(name)
        _add_picture(group, label_mask(drawn, image.shape, radius), table.pixel_size, name)
        group.attrs["image-label"] = {
            "version": _VERSION,
            "source": {"image": "../../"},
            "properties": [
                {"label-value": row["atom_id"] + 1, **{key: row[key] for key in _PROPERTIES}}
                for row in plain(members.rows.to_dict("records"))
            ],
        }


def _add_picture(group: zarr.Group, picture: NDArray[Any], pixel_size: float, name: str) -> None:
    group.create_array(
        "0",
        data=picture,
        chunks=tuple(min(_CHUNK, n) for n in picture.shape),
        chunk_key_encoding={"name": "v2", "separator": "/"},
        overwrite=True,
    )
    scale: dict[str, Any] = {"type": "scale", "scale": [float(pixel_size)] * 2}
    group.attrs["multiscales"] = [
        {
            "version": _VERSION,
            "name": name,
            "axes": [{"name": axis, "type": "space", "unit": "angstrom"} for axis in "yx"],
            "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
        }
    ]
