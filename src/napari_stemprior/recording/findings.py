"""What was found in a recording and set right, in numbers and in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_stemprior.recording.prepare import PreparedImage

_NAMES = {
    "caption strip": "A caption strip",
    "scale bar": "A burned-in scale bar",
    "corner": "Empty corners",
    "mask": "The mask",
    "pixels that are no numbers": "Pixels that are no numbers",
}


@dataclass(frozen=True, eq=False)
class Extent:
    """How much of an image the areas of one kind take.

    Parameters
    ----------
    pixels : int
    rows, columns : (H,), (W,) array of bool
        Those that have any.
    """

    pixels: int
    rows: NDArray[np.bool_]
    columns: NDArray[np.bool_]

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> Extent:
        """Take that of an (H, W) mask."""
        return cls(int(mask.sum()), np.asarray(mask.any(axis=1)), np.asarray(mask.any(axis=0)))

    @classmethod
    def joined(cls, strips: Sequence[tuple[int, Extent]], height: int) -> Extent:
        """Put the extents of strips of one image together, each with its first row."""
        rows = np.zeros(height, bool)
        for first, one in strips:
            rows[first : first + len(one.rows)] |= one.rows
        columns = np.any([one.columns for _, one in strips], axis=0)
        return cls(sum(one.pixels for _, one in strips), rows, columns)


@dataclass(frozen=True, eq=False)
class Findings:
    """What preparing a recording has found.

    Parameters
    ----------
    size : int
        Pixels of the image.
    areas : dict of str to Extent
        What is not valid, by kind.
    mended : int
        Pixels that were filled though their surroundings are valid.
    offsets : float
        Rms of the row offsets that were taken out, in units of the image.
    spread : float
        Standard deviation of the image.
    """

    size: int
    areas: dict[str, Extent]
    mended: int
    offsets: float
    spread: float

    @classmethod
    def of(cls, prepared: PreparedImage) -> Findings:
        """Count them in a recording that is in memory."""
        areas = {}
        for kind in dict.fromkeys(a.kind for a in prepared.areas):
            areas[kind] = Extent.of(np.any([a.mask for a in prepared.areas if a.kind == kind], axis=0))
        offsets = prepared.row_offsets
        spread = float(prepared.image[prepared.valid].std()) if offsets.any() else 0.0
        return cls(prepared.image.size, areas, int(prepared.mended.sum()), rms(offsets), spread)

    def summary(self) -> dict[str, object]:
        """Return them as plain values."""
        return {
            "pixels_left_out": {kind: area.pixels for kind, area in self.areas.items()},
            "pixels_mended": self.mended,
            "row_offsets_rms": self.offsets,
        }

    def sentences(self) -> list[str]:
        """Say them; empty where nothing was found."""
        said = [self._left_out(kind, area) for kind, area in self.areas.items()]
        if self.mended:
            one = self.mended == 1
            what = "spoiled pixel was filled from its" if one else "spoiled pixels were filled from their"
            said.append(f"{self.mended} {what} neighbours.")
        if self.offsets:
            said.append(
                f"Row offsets (line noise) of {100 * self.offsets / max(self.spread, 1e-30):.0f} % of the "
                "image's standard deviation were taken out."
            )
        return said

    def _left_out(self, kind: str, area: Extent) -> str:
        share = 100 * area.pixels / self.size
        if kind in ("rows", "columns"):
            lines = int((area.rows if kind == "rows" else area.columns).sum())
            return f"{lines} dead or saturated {kind if lines > 1 else kind[:-1]} left out."
        if kind == "border":
            return f"A border without signal ({share:.1f} % of the pixels) was left out."
        return f"{_NAMES[kind]} ({share:.1f} % of the pixels) left out."


def rms(offsets: NDArray[np.float32]) -> float:
    """Return the root mean square of row offsets."""
    return float(np.sqrt(np.mean(offsets.astype(np.float64) ** 2)))
