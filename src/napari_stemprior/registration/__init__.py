"""Where the lattice lies on the image."""

from napari_stemprior.registration.fit import diagnose, register
from napari_stemprior.registration.fit_lattice import fit_lattice, follow_lattice
from napari_stemprior.registration.gpa.pose_field import PoseField, fit_pose_field
from napari_stemprior.registration.lattice_fit import LatticeFit
from napari_stemprior.registration.pixel_size import fit_pixel_size
from napari_stemprior.registration.pose import Pose
from napari_stemprior.registration.ranking import Suggestion, rank_priors

__all__ = [
    "LatticeFit",
    "Pose",
    "PoseField",
    "Suggestion",
    "diagnose",
    "fit_lattice",
    "fit_pixel_size",
    "fit_pose_field",
    "follow_lattice",
    "rank_priors",
    "register",
]
