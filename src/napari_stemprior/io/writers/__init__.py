"""Atoms, labels and references to the files of other programs."""
