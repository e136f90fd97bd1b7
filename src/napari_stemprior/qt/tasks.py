"""The long work of the desk as generators, free of napari: workers and tests drive the same ones."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import PixelSizeError
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.optics import Instrument
from napari_stemprior.progress import Progress
from napari_stemprior.qt.operations import Operations
from napari_stemprior.qt.placed import Placed
from napari_stemprior.qt.reference_image import (
    Difference,
    Reference,
    ReferenceSettings,
    difference_of,
    shown_limits,
)
from napari_stemprior.recording import remarks
from napari_stemprior.registration import Pose
from napari_stemprior.registration.stack import StackPose
from napari_stemprior.structure import Prior, Stack, StructurePrior


@dataclass(frozen=True)
class SegmentSettings:
    """What a person chose in step 4."""

    model: str
    device: str = "auto"
    trust: float = 1.0
    with_prior: bool = True


@dataclass(frozen=True)
class Segmented:
    """What a segmentation gives: the atoms, and the prior and pose that were used, if any."""

    table: AtomTable
    pose: Pose | StackPose | None = None
    prior: Prior | None = None

    @property
    def only_layer(self) -> StructurePrior | None:
        """The layer that was seen alone, where a stack does not fit but one layer of it does."""
        if not isinstance(self.prior, Stack) or self.pose is not None:
            return None
        if not self.table.provenance.get("prior_fits") or not len(self.table):
            return None
        return self.prior.layers[int(np.bincount(self.table.rows["layer"]).argmax())]


def known_pixel_size(micrograph: Micrograph) -> float:
    """Return the pixel size in Å/px.

    Raises
    ------
    PixelSizeError
        If it is unknown.
    """
    if micrograph.pixel_size is None:
        raise PixelSizeError(
            f"{micrograph.name}: the pixel size is unknown; type it in step 1, or pick a prior and fit it."
        )
    return micrograph.pixel_size


def load_prior(operations: Operations, name: str, zone_axis: str) -> Generator[Progress, None, Any]:
    """Read and project a structure, or build a stack."""
    yield Progress(0, 0, "Reading the structure")
    return operations.load_prior(name, zone_axis)


def list_models(operations: Operations) -> Generator[Progress, None, list[str]]:
    """List the networks; this loads torch, which takes a second."""
    yield Progress(0, 0, "Looking for networks")
    return operations.models()


def read_pixel_size(operations: Operations, path: Path) -> Generator[Progress, None, float | None]:
    """Look into the file of an image for its pixel size."""
    yield Progress(0, 0, "Reading the pixel size")
    return operations.read_pixel_size(path)


@dataclass(frozen=True)
class Recorded:
    """What was found in a recording.

    Parameters
    ----------
    sentences : tuple of str
        What was set right, and whether the columns look dark.
    left_out : (H, W) array of uint8, optional
        1 where there is no signal, 2 where single pixels were filled; None where all pixels are good.
    """

    sentences: tuple[str, ...]
    left_out: NDArray[np.uint8] | None = None


def look_at_recording(
    operations: Operations, micrograph: Micrograph, how_to_invert: str
) -> Generator[Progress, None, Recorded]:
    """Find what holds no signal in a recording, and what else is set right before it is analysed."""
    yield Progress(0, 0, "Looking at the recording")
    prepared = operations.prepare(micrograph.image)
    yield Progress(0, 0, "Looking at the contrast")
    sentences = tuple(remarks(prepared, how_to_invert))
    mask = np.where(prepared.valid, np.where(prepared.mended, 2, 0), 1).astype(np.uint8)
    return Recorded(sentences, mask if mask.any() else None)


def fit(
    operations: Operations, micrograph: Micrograph, prior: StructurePrior
) -> Generator[Progress, None, Placed]:
    """Find where the lattice of the prior lies, and how it bends; the best candidate, fit or not."""
    yield Progress(0, 0, "Fitting the lattice")
    size = known_pixel_size(micrograph)
    poses = sorted(operations.register(micrograph.image, size, prior), key=_score, reverse=True)
    rivals = tuple(pose for pose in poses[1:] if pose.is_fit)
    return (yield from followed(operations, micrograph, Placed(poses[0], prior, rivals=rivals)))


def followed(
    operations: Operations, micrograph: Micrograph, placed: Placed
) -> Generator[Progress, None, Placed]:
    """Follow the lattice of a pose that fits through strain."""
    if not placed.pose.is_fit or placed.stack is not None:
        return placed
    yield Progress(0, 0, "Following the lattice through strain")
    size = known_pixel_size(micrograph)
    field = operations.pose_field(micrograph.image, size, placed.prior, placed.pose)
    return replace(placed, field=field)


def fit_stack(
    operations: Operations, micrograph: Micrograph, stack: Stack
) -> Generator[Progress, None, Placed]:
    """Find where each layer of a stack lies."""
    yield Progress(0, 0, "Fitting the layers of the stack")
    found = operations.register_stack(micrograph.image, known_pixel_size(micrograph), stack)
    return Placed.of(stack, max(found, key=_score))


def polish(
    operations: Operations, micrograph: Micrograph, placed: Placed
) -> Generator[Progress, None, Placed]:
    """Refine a pose that was set by hand; the layers of a stack together, lest both take one lattice."""
    size = known_pixel_size(micrograph)
    yield Progress(0, 0, "Polishing the lattice")
    if placed.stack is not None:
        found = operations.polish_stack(micrograph.image, size, placed.stack, placed.poses)
        return Placed.of(placed.stack, found)
    pose = operations.polish(micrograph.image, size, placed.prior, placed.pose)
    return (yield from followed(operations, micrograph, replace(placed, pose=pose, by_hand=False)))


def suggest(operations: Operations, micrograph: Micrograph) -> Generator[Progress, None, list[Any]]:
    """Rank the library for an image, best first."""
    names = [name for group in operations.prior_groups().values() for name in group]
    priors = []
    for number, name in enumerate(names):
        yield Progress(number, len(names), "Reading the library")
        priors.append(operations.load_prior(name, ""))
    return (yield from operations.rank_priors(micrograph.image, micrograph.pixel_size, priors))


def fit_pixel_size(
    operations: Operations, micrograph: Micrograph, prior: StructurePrior
) -> Generator[Progress, None, tuple[float, Pose]]:
    """Find the pixel size at which the prior fits the image."""
    yield Progress(0, 0, "Fitting the pixel size")
    return operations.fit_pixel_size(micrograph.image, prior)


def reference(
    operations: Operations, wanted: ReferenceSettings, dose: float | None
) -> Generator[Progress, None, Reference]:
    """Simulate what the prior looks like in the microscope, with the fast engine."""
    yield Progress(0, 0, "Simulating the reference")
    clean: NDArray[np.float32] | None = None
    for prior, pose in zip(wanted.priors, wanted.poses, strict=True):
        layer = operations.reference_image(
            prior, wanted.instrument, wanted.pixel_size, wanted.shape, pose, wanted.thickness
        )
        clean = layer if clean is None else clean + layer  # incoherent: what each layer scatters adds up
    assert clean is not None
    return (yield from counted(operations, Reference(wanted, clean, "fast"), dose))


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
    return (yield from counted(operations, result, dose))


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


def counted(
    operations: Operations, reference: Reference, dose: float | None
) -> Generator[Progress, None, Reference]:
    """Count the electrons of a reference at a dose (e/Å²); without one it stays free of noise."""
    if dose is None:
        return replace(reference, dose=None, counted=None, limits=shown_limits(reference.clean))
    yield Progress(0, 0, "Counting electrons")
    picture = operations.detected(reference.clean, reference.settings.pixel_size, dose, 0)
    return replace(reference, dose=dose, counted=picture, limits=shown_limits(picture))


def difference(
    image: NDArray[np.float32], reference: NDArray[np.float32]
) -> Generator[Progress, None, Difference]:
    """Subtract a reference from an image."""
    yield Progress(0, 0, "Taking the difference")
    return difference_of(image, reference)


def write_reference(
    operations: Operations, path: Path, reference: Reference
) -> Generator[Progress, None, Path]:
    """Write a reference, as it is shown, with everything that it was made with."""
    yield Progress(0, 0, f"Writing {path.name}")
    operations.write_reference(path, reference.picture, reference.metadata())
    return path


def segment(
    operations: Operations,
    micrograph: Micrograph,
    prior: Prior | None,
    pose: Pose | StackPose | None,
    settings: SegmentSettings,
) -> Generator[Progress, None, Segmented]:
    """Run the network on a micrograph, with or without a prior; a stack is placed first."""
    pixel_size = known_pixel_size(micrograph)
    refused = False
    if isinstance(prior, Stack) and pose is None:
        placed = yield from fit_stack(operations, micrograph, prior)
        refused = not placed.pose.is_fit
        pose = None if refused else placed.whole_pose
    yield Progress(0, 0, "Loading the network")
    segmenter = operations.segmenter(settings.model, settings.device)
    yield Progress(0, 0, "Reading the image")
    segmenter.set_image(micrograph.image, pixel_size)
    if refused:  # the layers need not be looked for together again
        table = yield from segmenter.steps(prior, trust=settings.trust, together=False)
    else:
        table = yield from segmenter.steps(prior, trust=settings.trust, pose=pose)
    table.provenance["inverted"] = micrograph.is_inverted
    # where a stack does not fit, the segmenter may have placed one layer alone: no place of the stack
    return Segmented(table, pose if isinstance(prior, Stack) else segmenter.pose, prior)


def save_pair(
    operations: Operations,
    folder: Path,
    micrograph: Micrograph,
    table: AtomTable,
    reviewed: NDArray[np.bool_],
    prior: Prior | None,
    provenance: dict[str, Any],
) -> Generator[Progress, None, str]:
    """Save a training pair into a dataset folder and return its hash."""
    yield Progress(0, 0, "Saving the training pair")
    return operations.save_pair(folder, micrograph, table, reviewed, prior, provenance)


def _score(pose: Any) -> float:
    return float(pose.score)
