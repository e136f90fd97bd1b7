"""The image that the Gaussians of all columns make.

A Gaussian is the product of one along y and one along x, so what many of them make of a square of pixels is
one product of matrices: their profiles along y, times their heights, times their profiles along x.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Å: how far a column is drawn at least, three standard deviations of the widest one.
_DRAWN = 2.4
#: Pixels on a side of the squares at least, and squares that are drawn at once on a CPU.
_SIDE, _TOGETHER_ON_CPU = 64, 16
#: Exponents below this are as good as none; smaller numbers would make a CPU slow.
_LEAST = -40.0


class DrawnColumns:
    """Draws the columns of an image again and again.

    Parameters
    ----------
    centre : (N, 2) array of int
        The pixels that the columns are on.
    shape : (int, int)
        Of the image.
    pad : int
        Pixels around the image that are drawn, too.
    pixel_size : float
        Å per pixel.
    device : torch.device

    Attributes
    ----------
    shape : (int, int)
        Of what is drawn: `pad` pixels before the image, and at least as many after it.
    """

    def __init__(
        self,
        centre: NDArray[np.int64],
        shape: tuple[int, ...],
        pad: int,
        pixel_size: float,
        device: torch.device,
    ) -> None:
        reach = int(np.ceil(_DRAWN / pixel_size)) + 1
        self._side = side = max(_SIDE, 2 * reach)
        self._squares = -(-(shape[0] + 2 * pad) // side), -(-(shape[1] + 2 * pad) // side)
        self.shape = self._squares[0] * side, self._squares[1] * side
        place = centre + pad
        low, high = (
            (place - reach) // side,
            (place + reach) // side,
        )  # a column is on two along an axis at most
        last = np.array(self._squares) - 1
        squares, columns = [], []
        for down in (0, 1):
            for across in (0, 1):
                square = low + np.array([down, across])
                on = ((square <= high) & (square >= 0) & (square <= last)).all(axis=1)
                squares.append(square[on] @ np.array([self._squares[1], 1]))
                columns.append(np.flatnonzero(on))
        square, column = np.concatenate(squares), np.concatenate(columns)
        order = np.argsort(square, kind="stable")
        square, column = square[order], column[order]
        self._count = np.bincount(square, minlength=int(np.prod(self._squares)))
        first = np.cumsum(self._count) - self._count
        #: For each square its columns; one more than there are stands for none.
        self._table = np.full((len(self._count), int(self._count.max(initial=0))), len(centre))
        self._table[square, np.arange(len(square)) - first[square]] = column
        self._corner = np.stack(np.divmod(np.arange(len(self._count)), self._squares[1]), 1) * side - pad
        self._centre = torch.from_numpy(np.concatenate([centre, np.zeros((1, 2), np.int64)])).to(device)
        self._together = _TOGETHER_ON_CPU if device.type == "cpu" else len(self._count)
        self._pixels = torch.arange(side, device=device, dtype=torch.float32)

    def image(self, place: Tensor, amplitude: Tensor, width: float) -> Tensor:
        """Draw the columns.

        Parameters
        ----------
        place : Tensor (N, 2)
            Relative to the pixels that they are on.
        amplitude : Tensor (N,)
            Heights.
        width : float
            Standard deviation of the Gaussians, pixels.

        Returns
        -------
        Tensor of float32
            Of `shape`, flat.
        """
        (down, across), side = self._squares, self._side
        drawn = place.new_zeros(down * across, side, side, dtype=torch.float32)
        nothing = place.new_zeros(1, 2)
        at, height = torch.cat([place, nothing]), torch.cat([amplitude, nothing[0, :1]]).float()
        scale = -0.5 / width**2
        for part, table in self._parts():
            corner = torch.from_numpy(self._corner[part]).to(place.device)[:, None]
            whole = (self._centre[table] - corner).float()  # (squares, columns, 2)
            # whole pixels first: far from the corner of a square the remainder would lose its digits
            profiles = (self._pixels - whole[..., None]).sub_(at[table].float()[..., None])
            profiles = profiles.square_().mul_(scale).clamp_(min=_LEAST).exp_()
            along_y, along_x = profiles.unbind(2)
            torch.bmm((along_y * height[table][..., None]).transpose(1, 2), along_x, out=drawn[part])
        return drawn.reshape(down, across, side, side).transpose(1, 2).reshape(-1)

    def _parts(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield some squares at a time and the (squares, columns) numbers of their columns."""
        for first in range(0, len(self._count), self._together):
            part = slice(first, first + self._together)
            most = int(self._count[part].max())
            if most:
                yield part, torch.from_numpy(self._table[part, :most]).to(self._centre.device)
