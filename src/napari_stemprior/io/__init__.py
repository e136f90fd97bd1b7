"""The doors: micrograph readers, atom exporters, the training-pair dataset."""

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.io.readers import SUFFIXES, read_micrograph, read_micrographs

__all__ = ["SUFFIXES", "Micrograph", "read_micrograph", "read_micrographs"]
