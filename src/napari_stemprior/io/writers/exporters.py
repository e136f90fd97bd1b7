"""Writers of atoms: one list of formats, which the command line, the desk and napari's menu share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.atomic_write import replaced, replaced_folder
from napari_stemprior.atoms.table import AtomTable
from napari_stemprior.errors import ExportError
from napari_stemprior.io.json_values import plain
from napari_stemprior.io.writers.formats.ome_zarr_files import foreign_file
from napari_stemprior.io.writers.formats.rasters import write_mask_tiff
from napari_stemprior.io.writers.formats.subject import ExportSubject
from napari_stemprior.io.writers.formats.tables import FILE_COLUMNS, read_atoms, to_frame
from napari_stemprior.io.writers.label_mask import label_mask
from napari_stemprior.output_files import check_output

__all__ = [
    "FILE_COLUMNS",
    "FORMATS",
    "ExportFormat",
    "ExportSubject",
    "check_export",
    "export_atoms",
    "find_format",
    "label_mask",
    "read_atoms",
    "to_frame",
    "write_mask",
    "write_napari_points",
]


@dataclass(frozen=True)
class ExportFormat:
    """A kind of file that atoms are written as.

    Parameters
    ----------
    key : str
        What ``stemprior export --format`` takes.
    name : str
        What the desk shows.
    suffixes : tuple of str
        Endings that mean this format, the usual one first; a longer one wins over a shorter.
    summary : str
        One sentence on what is in it and who reads it.
    writer : str
        ``module:function`` below ``napari_stemprior.io.writers.formats``, imported when it is used; it takes
        an `ExportSubject` and a path.
    needs : {"", "shape", "image"}
        What of the micrograph it must have.
    is_folder : bool
    mark : bytes
        What every such file holds and no file of another program does.
    """

    key: str
    name: str
    suffixes: tuple[str, ...]
    summary: str
    writer: str
    needs: str = ""
    is_folder: bool = False
    mark: bytes = b""

    @property
    def suffix(self) -> str:
        """The usual ending."""
        return self.suffixes[0]

    def matches(self, path: str | os.PathLike[str]) -> bool:
        """Say whether a path ends as this format does."""
        return Path(path).name.lower().endswith(self.suffixes)

    def write(self, subject: ExportSubject, path: Path) -> None:
        """Write to a path that is free."""
        module, _, function = self.writer.partition(":")
        writer: Callable[[ExportSubject, Path], None] = getattr(
            import_module(f"napari_stemprior.io.writers.formats.{module}"), function
        )
        writer(subject, path)


#: Every format; add a line for another.
FORMATS: tuple[ExportFormat, ...] = (
    ExportFormat(
        "csv",
        "CSV table",
        (".csv",),
        "One row an atom column, positions in px and Å.",
        "tables:write_csv",
        mark=b"atom_id,x_px,y_px,x_angstrom",
    ),
    ExportFormat(
        "parquet",
        "Parquet table",
        (".parquet",),
        "The same table, exact and small.",
        "tables:write_parquet",
        mark=b"napari_stemprior",
    ),
    ExportFormat(
        "extxyz",
        "extxyz structure",
        (".extxyz", ".xyz"),
        "Positions in Å, for ASE and OVITO.",
        "structures:write_extxyz",
        mark=b" pixel_size_angstrom=",
    ),
    ExportFormat(
        "points",
        "napari points",
        (".points.csv", ".csv"),
        "A CSV that napari opens as a Points layer.",
        "tables:write_points",
        mark=b"index,axis-0,axis-1,atom_id",
    ),
    ExportFormat(
        "mask",
        "Mask",
        (".tif", ".tiff"),
        "A label image as TIFF: every atom a disc with its own number.",
        "rasters:write_mask_tiff",
        needs="shape",
        mark=b'"labels": "atom_id + 1"',
    ),
    ExportFormat(
        "heatmap",
        "Heat map",
        (".heat.tif", ".heat.tiff", ".tif", ".tiff"),
        "A TIFF with a peak at every atom, as high as its confidence.",
        "rasters:write_heat_map",
        needs="shape",
        mark=b'"values": "confidence at the centre of an atom"',
    ),
    ExportFormat(
        "cif",
        "CIF structure",
        (".cif",),
        "Positions in Å in a cell of the size of the image, for VESTA and ASE.",
        "structures:write_cif",
        needs="shape",
        mark=b"data_stemprior",
    ),
    ExportFormat(
        "coco",
        "COCO keypoints",
        (".json",),
        "One keypoint an atom, for pycocotools and detection networks.",
        "coco:write_coco",
        needs="shape",
        mark=b'"Atom columns of ',
    ),
    ExportFormat(
        "atomai",
        "AtomAI coordinates",
        (".npz",),
        "The dictionary {frame: (row, column, class)} of AtomAI.",
        "atomai:write_atomai",
        mark=b"pixel_size_angstrom.npy",
    ),
    ExportFormat(
        "atomap",
        "Atomap lattice",
        (".hdf5", ".h5"),
        "A sublattice for each element, for Atomap.",
        "atomap:write_atomap",
        needs="image",
        mark=b"napari-stemprior",
    ),
    ExportFormat(
        "hspy",
        "HyperSpy markers",
        (".hspy",),
        "The image as a HyperSpy signal with the atoms as markers.",
        "hyperspy:write_hyperspy",
        needs="image",
        mark=b"napari-stemprior",
    ),
    ExportFormat(
        "ome-zarr",
        "OME-Zarr",
        (".ome.zarr", ".zarr"),
        "Image and label image in one folder, for napari, Fiji and OMERO.",
        "ome_zarr:write_ome_zarr",
        needs="image",
        is_folder=True,
    ),
)


def find_format(path: str | os.PathLike[str], key: str | None = None) -> ExportFormat:
    """Return the format of a key, or the one that the ending of a path names.

    Parameters
    ----------
    path : path-like
    key : str, optional
        A `ExportFormat.key`; the ending of the path must then be one of that format.

    Raises
    ------
    ExportError
        If there is no such format.
    """
    name = Path(path).name
    if key is not None:
        chosen = next((one for one in FORMATS if one.key == key), None)
        if chosen is None:
            raise ExportError(
                f"{name}: there is no format {key!r}; give one of {', '.join(f.key for f in FORMATS)}."
            )
        if not chosen.matches(path):
            raise ExportError(
                f"{name}: {chosen.name} is written to a file that ends in {' or '.join(chosen.suffixes)}; "
                "give it that ending."
            )
        return chosen
    # the longest ending wins, and of two formats with the same ending the first
    best: tuple[int, ExportFormat] | None = None
    for one in FORMATS:
        length = max((len(s) for s in one.suffixes if name.lower().endswith(s)), default=0)
        if length and (best is None or length > best[0]):
            best = length, one
    if best is None:
        endings = dict.fromkeys(one.suffix for one in FORMATS)
        raise ExportError(
            f"{name}: atoms cannot be written as {Path(path).suffix or 'a file without a suffix'}; "
            f"give one of {', '.join(endings)}."
        )
    return best[1]


def export_atoms(
    table: AtomTable,
    path: str | os.PathLike[str],
    *,
    shape: tuple[int, int] | None = None,
    image: NDArray[np.float32] | None = None,
    name: str = "micrograph",
    key: str | None = None,
    inputs: Iterable[str | os.PathLike[str] | None] = (),
    overwrite: bool = False,
) -> Path:
    """Write atoms in the format that the ending of the path names.

    The formats, their axes and units are in ``docs/exports.md``. Tables hold every row; the others leave out
    rejected atoms. A file is written beside its place and moved there when it is complete.

    Parameters
    ----------
    table : AtomTable
    path : path-like
    shape : (int, int), optional
        Rows and columns of the image.
    image : (H, W) array, optional
        The micrograph, for the formats that hold it; it gives the shape as well.
    name : str
        Of the micrograph.
    key : str, optional
        A `ExportFormat.key`, where the ending leaves a choice (a mask and a heat map both end in ``.tif``).
    inputs : iterable of path-like or None
        Files that are never replaced: the micrograph, the table that the atoms were read from.
    overwrite : bool
        Whether a file that this program did not write is replaced. A folder never is.

    Returns
    -------
    pathlib.Path
        The file, or the folder of an OME-Zarr.

    Raises
    ------
    ExportError
        If the ending names no format, the format needs an image that is not given, an input or a foreign
        file lies there, or the file cannot be written.
    """
    path = Path(path)
    form = find_format(path, key)
    check_export(path, inputs, overwrite=overwrite)
    subject = ExportSubject(table, image, shape, name)
    if form.needs == "shape":
        subject.known_shape(f"{path.name}: the format {form.name}")
    elif form.needs == "image":
        subject.known_image(f"{path.name}: the format {form.name}")
    try:
        plain(table.provenance)
    except TypeError as error:
        raise ExportError(f"{path.name}: the provenance cannot be stored, {error}.") from error
    with replaced_folder(path, foreign_file) if form.is_folder else replaced(path) as beside:
        form.write(subject, beside)
    return path


def check_export(
    path: str | os.PathLike[str],
    inputs: Iterable[str | os.PathLike[str] | None] = (),
    *,
    overwrite: bool = False,
) -> None:
    """See that atoms may be written to a path, before the long work.

    Parameters
    ----------
    path : path-like
    inputs : iterable of path-like or None
        Files that are never replaced.
    overwrite : bool
        Whether a file that this program did not write is replaced.

    Raises
    ------
    ExportError
        If an input or a foreign file lies there.
    """
    marks = [form.mark for form in FORMATS if form.matches(path)]
    check_output(path, inputs, own_marks=marks, overwrite=overwrite)


def write_napari_points(table: AtomTable, path: str | os.PathLike[str]) -> Path:
    """Write the points CSV that napari opens by itself.

    Parameters
    ----------
    table : AtomTable
        ``axis-0`` is y and ``axis-1`` is x in pixels; the other columns become the layer's properties.
    path : path-like
        Ends in ``.csv``.

    Raises
    ------
    ExportError
        If the suffix is another or the file cannot be written.
    """
    return export_atoms(table, path, key="points")


def write_mask(
    table: AtomTable, shape: tuple[int, int], path: str | os.PathLike[str], radius: float | None = None
) -> Path:
    """Write `label_mask` as a TIFF that knows its pixel size.

    Parameters
    ----------
    table : AtomTable
    shape : (int, int)
        Rows and columns of the image.
    path : path-like
        Ends in ``.tif`` or ``.tiff``.
    radius : float, optional
        Of a disk, Å.

    Raises
    ------
    ExportError
        As `label_mask`, or if the suffix is another or the file cannot be written.
    """
    path = Path(path)
    find_format(path, "mask")
    check_export(path)
    with replaced(path) as beside:
        write_mask_tiff(ExportSubject(table, shape=shape), beside, radius)
    return path
