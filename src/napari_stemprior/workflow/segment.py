"""From a micrograph and a prior to the table of its atoms."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from napari_stemprior.atoms import AtomTable
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.recording.mask_text import mask_to_dict
from napari_stemprior.recording.prepared_strips import PreparedStrips
from napari_stemprior.registration import LatticeFit
from napari_stemprior.registration.fourier.normalized_image import check_pixel_size
from napari_stemprior.structure import Prior, StructurePrior
from napari_stemprior.workflow.count_doubts import DOUBTS, count_doubts
from napari_stemprior.workflow.fit_lattice import known_pixel_size
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
    precision : str
        ``auto``, ``float32`` or ``bfloat16``: number format of the network's coarse layers.
    strict : bool
        Without a lattice, of an image that shows no order tell those atoms alone that stand out of it.
    image_lattice : bool
        Where no prior is given or it does not fit, use the lattice that the image itself shows.
    """

    model: str = "small"
    device: str = "auto"
    trust: float = 1.0
    with_prior: bool = True
    precision: str = "auto"
    strict: bool = True
    image_lattice: bool = True


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The atoms of a micrograph, and what they were found with.

    Parameters
    ----------
    table : AtomTable
    prior : StructurePrior or Stack, optional
    fit : LatticeFit, optional
        Where the lattice lies; None where no prior was used or it does not fit.
    prepared : PreparedImage or PreparedStrips, optional
        The recording as it was analysed.
    """

    table: AtomTable
    prior: Prior | None = None
    fit: LatticeFit | None = None
    prepared: PreparedImage | PreparedStrips | None = None

    @property
    def only_layer(self) -> StructurePrior | None:
        """The layer that was seen alone, where a stack does not fit but one layer of it does."""
        if self.fit is None or self.fit.only_layer is None:
            return None
        return self.fit.layers[0]


def list_models(operations: Operations) -> Generator[Progress, None, dict[str, str]]:
    """List the networks, each with a line about it; this loads torch, which takes a second."""
    yield Progress(0, 0, "Listing the networks")
    names = operations.models()
    from napari_stemprior.inference.models import model_label

    return {name: model_label(name) for name in names}


def segment(
    operations: Operations,
    micrograph: Micrograph,
    prior: Prior | None,
    fit: LatticeFit | None,
    settings: SegmentSettings,
) -> Generator[Progress, None, Segmentation]:
    """Find the atom columns of a micrograph, with or without a prior.

    The one path from an image to its atoms: the recording is made fit for analysis, the lattice is fitted
    where it is not known, the network predicts without and with the prior, columns are decoded and their
    places refined.

    Parameters
    ----------
    operations : Operations
    micrograph : Micrograph
        Of known pixel size, in the contrast in which it is analysed.
    prior : StructurePrior, Stack or None
    fit : LatticeFit, optional
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
        for layer in prior.layers:
            check_pixel_size(micrograph.image.shape, pixel_size, layer)
    yield Progress(0, 0, "Loading the network")
    segmenter = operations.segmenter(settings.model, settings.device, settings.precision)
    segmenter.strict, segmenter.image_lattice = settings.strict, settings.image_lattice
    yield Progress(0, 0, "Preparing the recording")
    segmenter.set_image(micrograph.analysed, pixel_size)
    table = yield from segmenter.steps(prior, trust=settings.trust, fit=fit)
    table.provenance["inverted"] = micrograph.is_inverted
    if micrograph.excluded is not None:
        table.provenance["excluded"] = mask_to_dict(micrograph.excluded)
    yield Progress(0, 0, "Counting the doubts")
    table.provenance[DOUBTS] = count_doubts(table, micrograph.image, segmenter.fit, micrograph.excluded)
    return Segmentation(table, prior, segmenter.fit, segmenter.prepared)
