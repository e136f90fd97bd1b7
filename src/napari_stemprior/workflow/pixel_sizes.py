"""Which pixel size counts: the file's, the one that a person gives, or the lattice's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_stemprior.errors import PixelSizeError, RegistrationError, StempriorError
from napari_stemprior.io import Micrograph

if TYPE_CHECKING:
    from napari_stemprior.structure import Prior

#: What stands in the provenance under ``pixel_size_from``.
FILE, GIVEN, LATTICE = "file", "given", "lattice"


@dataclass(frozen=True)
class PixelSize:
    """A pixel size and where it comes from.

    Parameters
    ----------
    value : float
        Å per pixel.
    source : str
        ``"file"``, ``"given"`` or ``"lattice"``.
    """

    value: float
    source: str


class PixelSizes:
    """Chooses the pixel size of the frames of one file; frames of one stated size share one fit.

    Parameters
    ----------
    wanted : float, "lattice" or None
        What a person gave; None believes the file, and the lattice where the file says nothing.
    prior : StructurePrior, Stack or None

    Raises
    ------
    PixelSizeError
        If the lattice is asked for and there is no prior.
    """

    def __init__(self, wanted: float | str | None, prior: Prior | None) -> None:
        if wanted == LATTICE and prior is None:
            raise PixelSizeError(
                "--pixel-size lattice needs a prior; give --prior or a number of Å per pixel."
            )
        self.wanted = wanted
        self.prior = prior
        #: What there is to say about the fits, in sentences, since it was last asked.
        self.remarks: list[str] = []
        self._fitted: dict[float | None, PixelSize] = {}
        self._refused: list[Micrograph] = []

    def of(self, frame: Micrograph, name: object) -> PixelSize:
        """Return the pixel size of a frame.

        Parameters
        ----------
        frame : Micrograph
            Its pixel size is what the file says, or what was given.
        name : object
            What a sentence calls the file.

        Raises
        ------
        PixelSizeError
            If nothing tells it.
        """
        stated = frame.pixel_size
        if stated is not None and self.wanted != LATTICE:
            return PixelSize(stated, FILE if self.wanted is None else GIVEN)
        if stated not in self._fitted:
            self._fitted[stated] = self._fit(frame, name)
        return self._fitted[stated]

    def better(self, frame: Micrograph, pixel_size: float) -> float | None:
        """Return the pixel size at which the lattice fits a frame that it does not fit at the one given.

        Parameters
        ----------
        frame : Micrograph
        pixel_size : float
            Å per pixel.

        Returns
        -------
        float or None
            Å per pixel; None where it fits nowhere near, or there is no prior.
        """
        asked = replace(frame, pixel_size=pixel_size)
        if self.prior is None or any(_is_same(asked, other) for other in self._refused):
            return None
        try:
            return lattice_pixel_size(asked, self.prior)
        except StempriorError:
            return None

    def only_for(self, frame: Micrograph) -> PixelSizes:
        """Return what is known so far, as far as it concerns one frame: little enough to be sent elsewhere.

        Parameters
        ----------
        frame : Micrograph
        """
        known = PixelSizes(self.wanted, self.prior)
        known._fitted = dict(self._fitted)
        known._refused = [other for other in self._refused if _is_same(frame, other)]
        return known

    def _fit(self, frame: Micrograph, name: object) -> PixelSize:
        stated, advice = frame.pixel_size, "give --pixel-size in Å per pixel."
        unknown = f"{name}: the file does not say its pixel size"
        if self.prior is None:
            raise PixelSizeError(f"{unknown}; {advice}")
        try:
            found = lattice_pixel_size(frame, self.prior)
        except RegistrationError as error:
            if stated is None:
                message = f"{unknown} and the lattice of {self.prior.name} does not tell it; {advice}"
                raise PixelSizeError(message) from error
            self._refused.append(frame)
            self.remarks.append(
                f"{name}: the lattice of {self.prior.name} fits at no pixel size, so the file's "
                f"{stated:.5g} Å/px is kept."
            )
            return PixelSize(stated, FILE)
        if stated is None:
            self.remarks.append(f"{unknown}; {found:.5g} Å/px fitted from the lattice of {self.prior.name}.")
        else:
            self.remarks.append(
                f"{name}: {found:.5g} Å/px from the lattice of {self.prior.name}, in place of the file's "
                f"{stated:.5g}."
            )
        return PixelSize(found, LATTICE)


def _is_same(first: Micrograph, second: Micrograph) -> bool:
    import numpy as np

    same = first.pixel_size == second.pixel_size and np.array_equal(first.image, second.image)
    return same and np.array_equal(first.excluded, second.excluded)  # type: ignore[arg-type]


def lattice_pixel_size(frame: Micrograph, prior: Prior) -> float:
    """Return the pixel size (Å/px) at which the lattice of a prior fits, near the stated one if there is one.

    Raises
    ------
    RegistrationError
        If it fits at none.
    """
    from napari_stemprior.registration import fit_pixel_size

    try:
        size, pose = fit_pixel_size(frame.analysed, prior.layers[0], guess=frame.pixel_size)
    except StempriorError as error:
        raise RegistrationError(str(error)) from error
    if not pose.is_fit:
        raise RegistrationError(f"{frame.name}: the lattice of {prior.name} fits at no pixel size.")
    return size
