"""The doors: micrograph readers, atom exporters, the training-pair dataset."""

from napari_stemprior.io.exporters import export_atoms, read_atoms, write_mask, write_napari_points
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.io.readers import SUFFIXES, read_micrograph, read_micrographs
from napari_stemprior.io.training_pairs import ManifestEntry, TrainingPair, TrainingPairDataset

__all__ = [
    "SUFFIXES",
    "ManifestEntry",
    "Micrograph",
    "TrainingPair",
    "TrainingPairDataset",
    "export_atoms",
    "read_atoms",
    "read_micrograph",
    "read_micrographs",
    "write_mask",
    "write_napari_points",
]
