"""Sizes of the network, saved beside its weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

#: Å per pixel that every image is resampled to before the network sees it.
CANONICAL_PIXEL_SIZE = 0.2
#: The coarsest level is this many canonical pixels; tiles are multiples of it.
STRIDE = 8
#: Canonical pixels around a tile or crop from which registered columns are still given to the network.
SITE_MARGIN = 8

#: Largest size of a part of the network.
_LARGEST = 4096


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of a `StructurePromptedNet`.

    Parameters
    ----------
    widths : tuple of int
        Channels at 1, 1/2, 1/4 and 1/8 of the canonical resolution.
    token_width : int
        Width of a structure token.
    embedding_width : int
        Width of the space in which image and structure are compared.
    heads : int
        Attention heads at the coarse levels.
    neighbours_fine, neighbours_coarse : int
        How many registered columns a pixel looks at, at full and at quarter resolution.
    self_attention, cell_attention, site_attention : bool
        Parts that a network may do without: among image tokens (`network.self_attention`), from these to the
        cell, and from pixels to the registered columns (`network.fusion`).
    surroundings : bool
        Whether the tokens of the structure also tell what no turn of it changes (`network.surroundings`).
    modulation : bool
        Whether the structure as a whole scales the features of the image (`network.modulation`).
    embeddings : bool
        Whether whole images and structures are embedded, for a contrast between them (`network.contrast`).
    """

    widths: tuple[int, int, int, int] = (16, 40, 64, 96)
    token_width: int = 64
    embedding_width: int = 32
    heads: int = 4
    neighbours_fine: int = 2
    neighbours_coarse: int = 6
    self_attention: bool = True
    cell_attention: bool = True
    site_attention: bool = True
    embeddings: bool = True
    surroundings: bool = False
    modulation: bool = False

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            numbers = value if isinstance(value, tuple) else (value,)
            if isinstance(value, bool) or getattr(type(self), name, None) in (True, False):
                if not isinstance(value, bool):
                    raise ValueError(f"{name} must be true or false, not {value!r}")
            elif not all(type(n) is int and 0 < n <= _LARGEST for n in numbers):
                raise ValueError(f"{name} must be whole numbers from 1 to {_LARGEST}, not {value!r}")
        if len(self.widths) != 4:
            raise ValueError(f"widths must be 4 numbers, not {len(self.widths)}")

    def to_json(self) -> str:
        """Write the sizes as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> NetworkConfig:
        """Read what `to_json` wrote."""
        data = json.loads(text)
        data["widths"] = tuple(data["widths"])
        return cls(**data)
