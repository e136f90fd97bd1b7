"""Readers and writers: micrograph readers, atom exporters, the training-pair dataset."""

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.io.readers.read_micrograph import SUFFIXES, read_micrograph, read_micrographs
from napari_stemprior.io.training_pair import TrainingPair, pair_provenance
from napari_stemprior.io.training_pairs import ManifestEntry, TrainingPairDataset
from napari_stemprior.io.writers.exporters import (
    FORMATS,
    ExportFormat,
    export_atoms,
    find_format,
    read_atoms,
    write_mask,
    write_napari_points,
)

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "ExportFormat",
    "ManifestEntry",
    "Micrograph",
    "TrainingPair",
    "TrainingPairDataset",
    "export_atoms",
    "find_format",
    "pair_provenance",
    "read_atoms",
    "read_micrograph",
    "read_micrographs",
    "write_mask",
    "write_napari_points",
]
