"""The long work of the desk as generators, free of napari: workers and tests drive the same ones."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
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
from napari_stemprior.registration import Pose
from napari_stemprior.structure import StructurePrior


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
    pose: Pose | None = None
    prior: StructurePrior | None = None


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


def load_prior(
    operations: Operations, name: str, zone_axis: str
) -> Generator[Progress, None, StructurePrior]:
    """Read and project a structure."""
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


def fit(
    operations: Operations, micrograph: Micrograph, prior: StructurePrior
) -> Generator[Progress, None, Pose]:
    """Find where the lattice of the prior lies; the best candidate, fit or not."""
    yield Progress(0, 0, "Fitting the lattice")
    poses = operations.register(micrograph.image, known_pixel_size(micrograph), prior)
    return max(poses, key=_score)


def _score(pose: Pose) -> float:
    return pose.score


def fit_pixel_size(
    operations: Operations, micrograph: Micrograph, prior: StructurePrior
) -> Generator[Progress, None, tuple[float, Pose]]:
    """Find the pixel size at which the prior fits the image."""
    yield Progress(0, 0, "Fitting the pixel size")
    return operations.fit_pixel_size(micrograph.image, prior)


def reference(
    operations: Operations,
    prior: StructurePrior,
    instrument: Instrument,
    pixel_size: float,
    shape: tuple[int, int],
    pose: Pose | None,
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Simulate what the prior looks like in the microscope."""
    yield Progress(0, 0, "Simulating the reference")
    return operations.reference_image(prior, instrument, pixel_size, shape, pose)


def segment(
    operations: Operations,
    micrograph: Micrograph,
    prior: StructurePrior | None,
    pose: Pose | None,
    settings: SegmentSettings,
) -> Generator[Progress, None, Segmented]:
    """Run the network on a micrograph, with or without a prior."""
    pixel_size = known_pixel_size(micrograph)
    yield Progress(0, 0, "Loading the network")
    segmenter = operations.segmenter(settings.model, settings.device)
    yield Progress(0, 0, "Reading the image")
    segmenter.set_image(micrograph.image, pixel_size)
    table = yield from segmenter.steps(prior, trust=settings.trust, pose=pose)
    return Segmented(table, segmenter.pose, prior)


def write_file(
    operations: Operations, kind: str, table: AtomTable, shape: tuple[int, int], path: Path
) -> Generator[Progress, None, Path]:
    """Write atoms to a file.

    Parameters
    ----------
    kind : {"table", "napari", "mask"}
    shape : (int, int)
        Of the micrograph, px.
    """
    yield Progress(0, 0, f"Writing {path.name}")
    match kind:
        case "napari":
            operations.write_napari_points(table, path)
        case "mask":
            operations.write_mask(table, path, shape)
        case _:
            operations.export_atoms(table, path, shape)
    return path


def save_pair(
    operations: Operations,
    folder: Path,
    micrograph: Micrograph,
    table: AtomTable,
    reviewed: NDArray[np.bool_],
    prior: StructurePrior | None,
    provenance: dict[str, Any],
) -> Generator[Progress, None, str]:
    """Save a training pair into a dataset folder and return its hash."""
    yield Progress(0, 0, "Saving the training pair")
    return operations.save_pair(folder, micrograph, table, reviewed, prior, provenance)
