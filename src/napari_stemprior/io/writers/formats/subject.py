"""What is exported: the atoms, and the micrograph that they lie on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.atoms.table import AtomTable
from napari_stemprior.errors import ExportError
from napari_stemprior.io.json_values import printable

#: Status of a row that says: a person confirmed that no atom is here.
VACANCY = "vacancy"
#: Status of a row that a person threw out.
REJECTED = "rejected"


@dataclass(frozen=True, eq=False)
class ExportSubject:
    """Atoms with their micrograph, as every format takes them.

    Parameters
    ----------
    table : AtomTable
        Rejected rows and marked vacancies may be among the rows.
    image : (H, W) array, optional
        The pixels, for formats that hold them.
    shape : (int, int), optional
        Rows and columns of the image; those of `image` where it is given.
    name : str
        Of the micrograph.
    """

    table: AtomTable
    image: NDArray[Any] | None = None
    shape: tuple[int, int] | None = None
    name: str = "micrograph"

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))
        if self.image is not None:
            height, width = np.shape(self.image)
            object.__setattr__(self, "shape", (int(height), int(width)))

    @property
    def atoms(self) -> AtomTable:
        """The rows that are atoms: neither rejected nor a vacancy."""
        return self.table.atoms

    @property
    def vacancies(self) -> AtomTable:
        """The places at which a person confirmed that an atom is missing; ``element`` says which."""
        return self.table.vacancies

    def classes(self) -> dict[str, AtomTable]:
        """Return the atoms by element in alphabetical order, and the vacancies last, if there are any."""
        atoms = self.atoms
        found = {
            str(element): atoms.where(atoms.rows["element"] == element)
            for element in sorted(set(atoms.rows["element"]))
        }
        if len(self.vacancies):
            found[VACANCY] = self.vacancies
        return found

    def known_shape(self, form: str) -> tuple[int, int]:
        """Return rows and columns of the image.

        Raises
        ------
        ExportError
            If neither image nor shape was given; `form` names the format in the sentence.
        """
        if self.shape is None:
            raise ExportError(f"{form} needs the size of the image; give the micrograph too.")
        return self.shape

    def known_image(self, form: str) -> NDArray[Any]:
        """Return the pixels.

        Raises
        ------
        ExportError
            If no image was given; `form` names the format in the sentence.
        """
        if self.image is None:
            raise ExportError(f"{form} holds the image beside the atoms; give the micrograph too.")
        return self.image
