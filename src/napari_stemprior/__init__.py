"""Interactive segmentation of atomic-resolution STEM micrographs with a structural prior."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("napari-stemprior")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
