"""A simulated reference, what it was made with, and how a micrograph differs from it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.io.writers import reference_tiff
from napari_stemprior.optics import Instrument
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.progress import Progress
from napari_stemprior.structure import StructurePrior
from napari_stemprior.workflow.difference import Difference, difference_of
from napari_stemprior.workflow.operations import Operations

#: Percentiles of the values that are shown black and white.
_SHOWN = (0.5, 99.8)


@dataclass(frozen=True)
class ReferenceSettings:
    """What a reference is made of.

    Parameters
    ----------
    name : str
        Of the prior or stack.
    priors : tuple of StructurePrior
        The layers, entrance first; one where there is no stack.
    poses : tuple
        For each prior where it lies: a `Pose`, one that follows strain, or None for unturned.
    instrument : Instrument
    pixel_size : float
        Å/px.
    shape : (int, int)
        Rows and columns.
    thickness : float
        Å, of a crystal that repeats along the beam.
    """

    name: str
    priors: tuple[StructurePrior, ...]
    poses: tuple[Any, ...]
    instrument: Instrument
    pixel_size: float
    shape: tuple[int, int]
    thickness: float


@dataclass(frozen=True, eq=False)
class Reference:
    """A simulated image and how it was made.

    Parameters
    ----------
    settings : ReferenceSettings
    clean : (H, W) array
        Without noise, in fractions of the beam.
    engine : str
    dose : float, optional
        e/Å² at which `counted` was drawn.
    counted : (H, W) array, optional
        Electrons per pixel.
    """

    settings: ReferenceSettings
    clean: NDArray[np.float32]
    engine: str
    dose: float | None = None
    counted: NDArray[np.float32] | None = None
    #: Values shown black and white; found where the picture is made, since it takes a while.
    limits: tuple[float, float] = (0.0, 1.0)

    @property
    def picture(self) -> NDArray[np.float32]:
        """What is shown: with noise if there is a dose."""
        return self.clean if self.counted is None else self.counted

    @property
    def text(self) -> str:
        """What it is, in a line."""
        s = self.settings
        parts = [s.name, s.instrument.name, self.engine]
        if s.poses[0] is not None:
            parts.append(f"turned by {s.poses[0].angle:.1f}°")
        if s.priors[0].period:
            parts.append(f"{s.thickness:g} Å thick")
        # the joiner keeps a line from ending after the stroke
        parts.append("no noise" if self.dose is None else f"{self.dose:g} e/\u2060Å²")
        return " · ".join(parts)

    def metadata(self) -> dict[str, Any]:
        """Return everything that it was made with as plain values."""
        dose = self.dose
        s = self.settings
        values: dict[str, Any] = {
            "pixel_size_angstrom": s.pixel_size,
            "prior": s.name,
            "zone_axis": s.priors[0].zone_axis,
            "engine": self.engine,
            "unit": "fraction of the beam" if dose is None else "electrons per pixel",
        }
        if s.priors[0].period:
            values["thickness_angstrom"] = s.thickness
        for number, pose in enumerate(s.poses):
            if pose is not None:
                mark = f"_layer_{number}" if len(s.poses) > 1 else ""
                values[f"rotation_degrees{mark}"] = round(pose.angle, 4)
                values[f"mirrored{mark}"] = pose.mirrored
        units = {"beam_energy": "_kev", "dose": "", "name": "", "spherical_aberration": "_mm"}
        for key, value in asdict(s.instrument).items():
            if key == "dose":
                continue
            if isinstance(value, str | int | float):
                unit = units.get(key, "_angstrom" if key in ("defocus", "source_size") else "_mrad")
                values["instrument" if key == "name" else f"{key}{unit}"] = value
        if dose is not None:
            values["dose_electrons_per_square_angstrom"] = dose
        return values


def shown_limits(picture: NDArray[np.float32]) -> tuple[float, float]:
    """Return the values of a picture to show black and white; they differ."""
    low, high = (float(value) for value in np.percentile(picture, _SHOWN))
    return (low, high) if high > low else (low, low + 1.0)


def reference(
    operations: Operations, wanted: ReferenceSettings, dose: float | None
) -> Generator[Progress, None, Reference]:
    """Simulate what the prior looks like in the microscope, with the fast engine."""
    yield Progress(0, 0, "Simulating the reference")
    clean = operations.reference_image(
        wanted.priors, wanted.instrument, wanted.pixel_size, wanted.shape, wanted.poses, wanted.thickness
    )
    return (yield from counted(Reference(wanted, clean, "fast"), dose))


def multislice(
    operations: Operations, wanted: ReferenceSettings, quality: str, dose: float | None
) -> Generator[Progress, None, Reference]:
    """Simulate the prior by multislice; `quality` is ``"preview"`` or ``"final"``."""
    stage = "Multislice preview" if quality == "preview" else "Refining by multislice"
    yield Progress(0, 0, stage)
    clean = yield from operations.multislice_reference(
        wanted.priors[0],
        wanted.instrument,
        wanted.pixel_size,
        wanted.shape,
        getattr(wanted.poses[0], "pose", wanted.poses[0]),  # a crystal of one cell has no strain
        wanted.thickness,
        quality,
    )
    result = Reference(wanted, clean, f"multislice, {quality}")
    return (yield from counted(result, dose))


def montage(
    operations: Operations,
    prior: StructurePrior,
    instrument: Instrument,
    thicknesses: Sequence[float],
    defoci: Sequence[float],
    engine: str,
) -> Generator[Progress, None, Any]:
    """Simulate a cell for every thickness and defocus (Å)."""
    yield Progress(0, 0, "Simulating the montage")
    return (yield from operations.montage(prior, instrument, thicknesses, defoci, engine))


def counted(reference: Reference, dose: float | None) -> Generator[Progress, None, Reference]:
    """Count the electrons of a reference at a dose (e/Å²); without one it stays free of noise."""
    if dose is None:
        return replace(reference, dose=None, counted=None, limits=shown_limits(reference.clean))
    yield Progress(0, 0, "Counting electrons")
    chain, rng = NoiseChain(dose=dose), np.random.default_rng(0)
    picture = chain.apply(reference.clean, reference.settings.pixel_size, rng)
    return replace(reference, dose=dose, counted=picture, limits=shown_limits(picture))


def difference(
    image: NDArray[np.float32], reference: NDArray[np.float32]
) -> Generator[Progress, None, Difference]:
    """Subtract a reference from an image."""
    yield Progress(0, 0, "Taking the difference")
    return difference_of(image, reference)


def write_reference(path: Path, reference: Reference) -> Generator[Progress, None, Path]:
    """Write a reference, as it is shown, with everything that it was made with."""
    yield Progress(0, 0, f"Writing {path.name}")
    reference_tiff.write_reference(path, reference.picture, reference.metadata())
    return path
