"""How the network answers."""

from napari_stemprior.inference.models import available_models
from napari_stemprior.inference.segmenter import Segmenter

__all__ = ["Segmenter", "available_models"]
