"""The HDF5 file of Atomap, for ``atomap.io.load_atom_lattice_from_hdf5``.

A sublattice for each element, and one named ``vacancy`` where a person marked some. Positions are (x, y) in
pixels with pixel centres on integers, as Atomap counts. Widths and rotations are Atomap's to fit: they start
at the values of an atom that was never refined (1 px, not rotated).
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import h5py
import numpy as np

from napari_stemprior import __version__
from napari_stemprior.io.writers.formats.subject import VACANCY, ExportSubject

#: Matplotlib colours, one a sublattice in turn; vacancies are black.
_COLOURS = ("red", "blue", "green", "orange", "purple", "cyan")


def write_atomap(subject: ExportSubject, path: Path) -> None:
    """Write an Atom_Lattice.

    Parameters
    ----------
    subject : ExportSubject
        Needs the image.
    path : pathlib.Path
    """
    image = np.asarray(subject.known_image("An Atomap file"), dtype=np.float64)
    pixel_size = float(subject.table.pixel_size)
    # in memory first: HDF5 has its own, hardly readable way of saying that a disk is full
    memory = BytesIO()
    with h5py.File(memory, "w") as file:
        file.attrs["name"] = subject.name
        file.attrs["written_by"] = f"napari-stemprior {__version__}"
        file.attrs["atom_lattice_type"] = "Atom_Lattice"
        file.attrs["pixel_separation"] = 0.8 / pixel_size
        for name in ("image_data", "original_image_data"):
            file.create_dataset(name, data=image, compression="gzip")
        for index, (element, members) in enumerate(subject.classes().items()):
            # Atomap takes groups in alphabetical order for the order of the index
            group = file.create_group(f"{index:03d}_{element}_sublattice")
            count = len(members)
            group.create_dataset("atom_positions", data=members.yx[:, ::-1])
            group.create_dataset("sigma_x", data=np.ones(count))
            group.create_dataset("sigma_y", data=np.ones(count))
            group.create_dataset("rotation", data=np.zeros(count))
            for name in ("modified_image_data", "original_image_data"):
                group[name] = file["image_data"]  # a link; the pixels stand there once
            group.attrs["pixel_size"] = pixel_size
            group.attrs["units"] = "Å"
            group.attrs["pixel_separation"] = 0.0
            group.attrs["name"] = element
            group.attrs["plot_color"] = "black" if element == VACANCY else _COLOURS[index % len(_COLOURS)]
            group.attrs["sublattice_index"] = index
    path.write_bytes(memory.getvalue())
