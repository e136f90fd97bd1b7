"""From a micrograph and a prior to the table of its atoms."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from napari_stemprior.atoms import AtomTable
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration import Pose
from napari_stemprior.registration.fourier.normalized_image import check_pixel_size
from napari_stemprior.registration.multilayer.stack_fit import StackPose
from napari_stemprior.structure import Prior, Stack, StructurePrior, layers_of
from napari_stemprior.workflow.fit_lattice import fit_lattice, known_pixel_size
from napari_stemprior.workflow.operations import Operations


@dataclass(frozen=True)
class SegmentSettings:
    """How a micrograph is segmented.

    Parameters
    ----------
    model : str
        Name of a network, or its file.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    trust : float
        Weight in [0, 1] of the answer with the prior against the one without.
    with_prior : bool
        Whether a prior that is chosen is used.
    """

    model: str = "small"
    device: str = "auto"
    trust: float = 1.0
    with_prior: bool = True


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The atoms of a micrograph, and what they were found with.

    Parameters
    ----------
    table : AtomTable
    pose : Pose or StackPose, optional
        Where the lattice lies; None where no prior was used.
    prior : StructurePrior or Stack, optional
    prepared : PreparedImage, optional
        The recording as it was analysed.
    """

    table: AtomTable
    pose: Pose | StackPose | None = None
    prior: Prior | None = None
    prepared: PreparedImage | None = None

    @property
    def only_layer(self) -> StructurePrior | None:
        """The layer that was seen alone, where a stack does not fit but one layer of it does."""
        if not isinstance(self.prior, Stack) or self.pose is not None:
            return None
        if not self.table.provenance.get("prior_fits") or not len(self.table):
            return None
        return self.prior.layers[int(np.bincount(self.table.rows["layer"]).argmax())]


def list_models(operations: Operations) -> Generator[Progress, None, list[str]]:
    """List the networks; this loads torch, which takes a second."""
    yield Progress(0, 0, "Listing the networks")
    return operations.models()


def segment(
    operations: Operations,
    micrograph: Micrograph,
    prior: Prior | None,
    pose: Pose | StackPose | None,
    settings: SegmentSettings,
) -> Generator[Progress, None, Segmentation]:
    """Find the atom columns of a micrograph, with or without a prior.

    The one path from an image to its atoms: the recording is made fit for analysis, the lattice is fitted
    where no pose is given, the network looks without and with the prior, columns are decoded and their
    places refined.

    Parameters
    ----------
    operations : Operations
    micrograph : Micrograph
        Of known pixel size, in the contrast in which it is analysed.
    prior : StructurePrior, Stack or None
    pose : Pose or StackPose, optional
        Where the lattice lies, if that is known.
    settings : SegmentSettings

    Raises
    ------
    PixelSizeError
        If the pixel size is unknown, or too coarse or too fine to show the lattice.
    MicrographError
        If the image has no contrast.
    ModelError, DeviceError
        If there is no such network or device, or memory does not suffice.
    """
    pixel_size = known_pixel_size(micrograph)
    if prior is not None:
        for layer in layers_of(prior):
            check_pixel_size(micrograph.image.shape, pixel_size, layer)
    refused = False
    if isinstance(prior, Stack) and pose is None:
        fit = yield from fit_lattice(operations, micrograph, prior)
        refused = not fit.pose.is_fit
        pose = None if refused else fit.whole_pose
    yield Progress(0, 0, "Loading the network")
    segmenter = operations.segmenter(settings.model, settings.device)
    yield Progress(0, 0, "Preparing the recording")
    segmenter.set_image(micrograph.image, pixel_size)
    if refused:  # the layers need not be looked for together again
        table = yield from segmenter.steps(prior, trust=settings.trust, together=False)
    else:
        table = yield from segmenter.steps(prior, trust=settings.trust, pose=pose)
    table.provenance["inverted"] = micrograph.is_inverted
    # where a stack does not fit, the segmenter may have placed one layer alone: no place of the stack
    found = pose if isinstance(prior, Stack) else segmenter.pose
    return Segmentation(table, found, prior, segmenter.prepared)
