"""The operations of other rooms that a workflow calls.

What takes long or loads torch comes as one object, so that tests put fakes in its place; the real operations
are imported when they are first called, which keeps opening the desk fast (torch alone takes a second).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import PixelSizeError
from napari_stemprior.io.micrograph import Analysed
from napari_stemprior.optics import Instrument
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.recording.prepared_strips import PreparedStrips
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.registration.grain import Grain
from napari_stemprior.structure import Prior, StructurePrior

#: A lattice that is fitted step by step.
Fitting: TypeAlias = Generator[Progress, None, LatticeFit]


class SegmenterLike(Protocol):
    """What a workflow needs of `inference.Segmenter`."""

    fit: LatticeFit | None
    prepared: PreparedImage | PreparedStrips | None
    strict: bool
    image_lattice: bool

    def set_image(self, image: Analysed, pixel_size: float) -> None:
        """Take the image in."""

    def steps(
        self, prior: Prior | None, *, trust: float = 1.0, fit: LatticeFit | None = None
    ) -> Generator[Progress, None, AtomTable]:
        """Segment it, yielding progress."""


def _models() -> list[str]:
    from napari_stemprior.inference import available_models

    return list(available_models())


class KeptSegmenter:
    """Loads a segmenter when it is first asked for, and keeps it as long as the same network is wanted.

    What the segmenter has computed for its image is kept with it: to change the trust is to decode anew.
    """

    def __init__(self) -> None:
        self._key: tuple[object, ...] = ()
        self._segmenter: SegmenterLike | None = None

    def __call__(self, model: str, device: str, precision: str = "auto") -> SegmenterLike:
        """Return the segmenter of a network on a device.

        Parameters
        ----------
        model, device : str
        precision : str
            Number format of the network's coarse layers, see `Segmenter`.

        Raises
        ------
        ModelError
            If there is no such network.
        DeviceError
            If there is no such device or precision.
        """
        from napari_stemprior.inference import Segmenter
        from napari_stemprior.inference.models import model_path

        path = model_path(model)
        key = (path, path.stat().st_mtime_ns, device, precision)
        if self._segmenter is None or key != self._key:
            self._segmenter, self._key = None, ()  # its memory first
            self._segmenter, self._key = Segmenter(model, device, precision=precision), key
        return self._segmenter


def _prepare(image: Analysed) -> PreparedImage:
    from napari_stemprior.recording import prepare

    return prepare(image)


def _fit_lattice(image: Analysed, pixel_size: float, prior: Prior) -> Fitting:
    from napari_stemprior.registration.fit_lattice import fit_lattice_steps

    return (yield from fit_lattice_steps(image, pixel_size, prior))


def _fit_around(image: Analysed, pixel_size: float, prior: Prior, locked: tuple[Grain, ...]) -> Fitting:
    from napari_stemprior.registration.fit_lattice import fit_lattice_steps

    return (yield from fit_lattice_steps(image, pixel_size, prior, locked))


def _follow_lattice(image: Analysed, pixel_size: float, fit: LatticeFit) -> Fitting:
    from napari_stemprior.registration.fit_lattice import follow_lattice_steps

    return (yield from follow_lattice_steps(image, pixel_size, fit))


def _refine_fit(image: Analysed, pixel_size: float, fit: LatticeFit) -> Fitting:
    from napari_stemprior.registration.fit_lattice import refine_fit_steps

    return (yield from refine_fit_steps(image, pixel_size, fit))


def _rank_priors(
    image: Analysed, pixel_size: float | None, priors: Sequence[StructurePrior]
) -> Generator[Progress, None, list[Any]]:
    from napari_stemprior.registration.ranking import rank_priors

    def likeness(
        seen: PreparedImage, size: float, asked: Sequence[StructurePrior]
    ) -> NDArray[np.float64] | None:
        from napari_stemprior.inference.structure_contrast import structure_likeness

        with suppress(PixelSizeError):  # lattices can be laid on pixels at which the network sees nothing
            return structure_likeness(seen, size, asked)
        return None

    return (yield from rank_priors(image, pixel_size, priors, likeness))


def _fit_pixel_size(image: Analysed, prior: StructurePrior) -> tuple[float, Pose]:
    from napari_stemprior.registration import fit_pixel_size

    return fit_pixel_size(image, prior)


def _reference_image(
    layers: Sequence[StructurePrior],
    instrument: Instrument,
    pixel_size: float,
    shape: tuple[int, int],
    poses: Sequence[Any],
    thickness: float,
) -> NDArray[np.float32]:
    from napari_stemprior.optics.stack_reference import stack_reference

    return stack_reference(layers, instrument, pixel_size, shape, poses, thickness=thickness)


def _multislice_reference(
    prior: StructurePrior,
    instrument: Instrument,
    pixel_size: float,
    shape: tuple[int, int],
    pose: Any,
    thickness: float,
    quality: Literal["preview", "final"],
) -> Generator[Progress, None, NDArray[np.float32]]:
    from napari_stemprior.optics.multislice.reference import multislice_reference

    return (
        yield from multislice_reference(
            prior, instrument, pixel_size, shape, pose, thickness=thickness, quality=quality
        )
    )


def _montage(
    prior: StructurePrior,
    instrument: Instrument,
    thicknesses: Sequence[float],
    defoci: Sequence[float],
    engine: Literal["fast", "multislice"],
) -> Generator[Progress, None, Any]:
    from napari_stemprior.optics.montage import thickness_defocus_montage

    return (yield from thickness_defocus_montage(prior, instrument, thicknesses, defoci, engine=engine))


def _load_prior(name_or_file: str, zone_axis: str, block: str = "") -> Any:
    from napari_stemprior.structure import load_prior, parse_direction

    direction = parse_direction(zone_axis) if zone_axis.strip() else None
    return load_prior(name_or_file, direction, block or None)


@dataclass(frozen=True)
class Operations:
    """The long operations of other rooms that a workflow calls; each can be replaced."""

    #: A `StructurePrior`, or a `Stack` for a name such as "MoS2/WS2 twist 3.1°".
    load_prior: Callable[..., Any] = _load_prior
    prepare: Callable[[Analysed], PreparedImage] = _prepare
    fit_lattice: Callable[[Analysed, float, Prior], LatticeFit | Fitting] = _fit_lattice
    #: The same around grains that a person has locked.
    fit_around: Callable[[Analysed, float, Prior, tuple[Grain, ...]], LatticeFit | Fitting] = _fit_around
    follow_lattice: Callable[[Analysed, float, LatticeFit], LatticeFit | Fitting] = _follow_lattice
    refine_fit: Callable[[Analysed, float, LatticeFit], LatticeFit | Fitting] = _refine_fit
    rank_priors: Callable[..., Generator[Progress, None, list[Any]]] = _rank_priors
    fit_pixel_size: Callable[[Analysed, StructurePrior], tuple[float, Pose]] = _fit_pixel_size
    reference_image: Callable[..., NDArray[np.float32]] = _reference_image
    multislice_reference: Callable[..., Generator[Progress, None, NDArray[np.float32]]] = (
        _multislice_reference
    )
    montage: Callable[..., Generator[Progress, None, Any]] = _montage
    models: Callable[[], list[str]] = _models
    segmenter: Callable[[str, str, str], SegmenterLike] = field(default_factory=KeptSegmenter)
