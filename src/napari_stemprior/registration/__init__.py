"""Where the lattice lies on the image."""

from napari_stemprior.registration.pose import Pose

__all__ = ["Pose"]
