"""Correcting atoms by hand."""
