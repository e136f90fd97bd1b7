"""The lattice that the network is told: that of the prior where it fits, and none where it does not."""

from __future__ import annotations

from collections.abc import Generator

from napari_stemprior.errors import RegistrationError
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.recording.prepared_strips import PreparedStrips
from napari_stemprior.registration import LatticeFit
from napari_stemprior.registration.fit_lattice import fit_lattice_steps, follow_lattice_steps
from napari_stemprior.structure import Prior


def prompt_lattice(
    image: PreparedImage | PreparedStrips, pixel_size: float, prior: Prior, known: LatticeFit | None = None
) -> Generator[Progress, None, LatticeFit | None]:
    """Fit a prior, or follow a fit that is known through strain, step by step.

    It is the same for answering and for fine-tuning.

    Parameters
    ----------
    image : PreparedImage or PreparedStrips
    pixel_size : float
        Å per pixel.
    prior : StructurePrior or Stack
    known : LatticeFit, optional
        One that a person has set is believed whatever its score.

    Returns
    -------
    LatticeFit or None
        With its sites; None where the prior does not fit, so that it does no harm.

    Raises
    ------
    MicrographError
        If the image is constant.
    PixelSizeError
        If the pixel size does not suit the prior and the image.
    """
    if known is not None:
        if not (known.is_fit or known.by_hand):
            return None
        if known.sites is not None:
            return known
        return (yield from follow_lattice_steps(image, pixel_size, known))
    try:
        found = yield from fit_lattice_steps(image, pixel_size, prior)
    except RegistrationError:
        return None
    return found if found.is_fit else None
