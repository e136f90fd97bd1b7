"""Where the lattice lies on the image."""

from napari_stemprior.registration.pixel_size import fit_pixel_size
from napari_stemprior.registration.placement import register
from napari_stemprior.registration.pose import Pose

__all__ = ["Pose", "fit_pixel_size", "register"]
