"""All images of a desk to their atoms, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from napari_stemprior.errors import StempriorError, telling_out_of_memory
from napari_stemprior.io import Micrograph
from napari_stemprior.progress import Progress, told_of
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.pixel_sizes import PixelSizes
from napari_stemprior.workflow.segment import SegmentSettings
from napari_stemprior.workflow.segment_frame import FrameJob, FrameResult, named, segment_frame


@dataclass(frozen=True, eq=False)
class WaitingImage:
    """An image, or a frame of a stack, that is to be segmented.

    Parameters
    ----------
    number : int
        Tells images apart.
    name : str
        What sentences call it.
    load : callable
        Returns the image as it was recorded, when its turn comes.
    prior : StructurePrior, Stack or None
    pixel_size : float, optional
        Å/px that a person gave; None believes the image, and the lattice where the image says nothing.
    inverted : bool
        Exchange bright and dark first.
    fit : LatticeFit, optional
        Where the lattice of the prior lies, if a person has locked a part of it; else it is fitted.
    """

    number: int
    name: str
    load: Callable[[], Micrograph]
    prior: Prior | None
    pixel_size: float | None = None
    inverted: bool = False
    fit: LatticeFit | None = None

    def read(self) -> Micrograph:
        """Return the image as it was recorded, with its name here and the pixel size that was given.

        Raises
        ------
        StempriorError
            If it cannot be read.
        """
        recorded = replace(self.load(), name=self.name)
        return recorded if self.pixel_size is None else replace(recorded, pixel_size=self.pixel_size)


def segment_all(
    operations: Operations,
    images: Sequence[WaitingImage],
    settings: SegmentSettings,
    finished: Callable[[FrameResult], None],
) -> Generator[Progress, None, int]:
    """Segment images one after the other, each as the command line does it (`segment_frame`).

    Close the generator to cancel: what was handed to `finished` stays.

    Parameters
    ----------
    operations : Operations
        Keeps the network between the images.
    images : sequence of WaitingImage
    settings : SegmentSettings
    finished : callable
        Gets what came of each image as soon as it is there; one that fails stops no other.

    Returns
    -------
    int
        How many images have their atoms.

    Raises
    ------
    ModelError, DeviceError
        If no image can be segmented at all.
    """
    done = 0
    for count, image in enumerate(images):
        yield Progress(count, len(images), f"{image.name}: reading")
        try:
            with telling_out_of_memory():
                recorded = image.read()
            sizes = PixelSizes(image.pixel_size, image.prior if settings.with_prior else None)
        except StempriorError as error:
            finished(FrameResult(image.number, None, error=named(error, image.name)))
            continue
        job = FrameJob(
            image.number, recorded, sizes, settings, image.inverted, subject=image.name, fit=image.fit
        )
        result = yield from told_of(image.name, count, len(images), segment_frame(operations, job))
        finished(result)
        done += result.table is not None
    return done
