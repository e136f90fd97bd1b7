"""How the network answers.

The segmenter is imported when it is first used: the names of the networks need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_stemprior.inference.models import available_models

if TYPE_CHECKING:
    from napari_stemprior.inference.segmenter import Segmenter

__all__ = ["Segmenter", "available_models"]


def __getattr__(name: str) -> Any:
    if name != "Segmenter":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = import_module(f"{__name__}.segmenter").Segmenter
    globals()[name] = value
    return value
