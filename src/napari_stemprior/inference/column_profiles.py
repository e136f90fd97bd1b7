"""What the columns of each kind look like on average, learned from the micrograph."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.progress import Progress

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Å: widths of the Gaussians that a column's profile is made of.
WIDTHS = (0.32, 0.55, 0.95)
#: Å around a column to which its profile reaches.
REACH = 1.6
#: Sites that are worked on together, so that memory does not grow with their pixels.
BLOCK = 4096
#: Pixels whose share of the normal equations is summed up together.
_STRIP = 2**18
#: More kinds than this share too few sites for a profile of three widths each.
_MANY_KINDS = 12
#: What the progress says.
HERE = Progress(0, 1, "asking the sites")


@dataclass(frozen=True, eq=False)
class SitePatches:
    """The pixels around every site.

    Parameters
    ----------
    pixels : Tensor (N, P) of int64
        Into the flat image.
    distance2 : Tensor (N, P) of float32
        Å² from the site; infinite where a pixel does not count.
    size : int
        Pixels of the image.
    """

    pixels: Tensor
    distance2: Tensor
    size: int

    def __len__(self) -> int:
        return len(self.pixels)

    def blocks(self) -> list[slice]:
        """Return which sites are worked on together."""
        return [slice(first, first + BLOCK) for first in range(0, len(self), BLOCK)]

    def of(self, image: Tensor, here: slice) -> Tensor:
        """Return the (B, P) values of a flat image around some sites."""
        pixels = self.pixels[here]
        return image.index_select(0, pixels.ravel()).view(
            pixels.shape
        )  # several times as fast as image[pixels]

    def drawn(self, profile: Tensor, heights: Tensor | None = None) -> Generator[Progress, None, Tensor]:
        """Draw the columns, step by step.

        Parameters
        ----------
        profile : Tensor (N, P)
        heights : Tensor (N,), optional
            1 without it.

        Returns
        -------
        Tensor (size,)
            The flat image.
        """
        image = torch.zeros(self.size, dtype=profile.dtype, device=profile.device)
        for here in self.blocks():
            yield HERE
            values = profile[here] if heights is None else heights[here, None] * profile[here]
            image.scatter_add_(0, self.pixels[here].ravel(), values.ravel())
        return image


def site_patches(
    yx: Floats,
    shape: tuple[int, ...],
    valid: NDArray[np.bool_] | None,
    device: torch.device | str = "cpu",
) -> Generator[Progress, None, SitePatches]:
    """Find the pixels around every site, step by step.

    Parameters
    ----------
    yx : (N, 2) array
        Sites, canonical pixels.
    shape : (int, int)
        Of the image.
    valid : (H, W) array of bool, or None
        Pixels that count; None where all do.
    device : torch.device or str
        Of what is returned.
    """
    window = torch.from_numpy(patch_window()).to(device)
    radius = int(window.max())
    counts = None if valid is None else torch.from_numpy(np.ascontiguousarray(valid)).to(device).ravel()
    pixels = torch.empty(len(yx), len(window), dtype=torch.int64, device=device)
    distance2 = torch.empty(len(yx), len(window), dtype=torch.float32, device=device)
    for first in range(0, len(yx), BLOCK):
        yield HERE
        here = slice(first, first + BLOCK)
        nearest = np.floor(yx[here] + 0.5).astype(np.int64)
        off = torch.from_numpy((yx[here] - nearest).astype(np.float32)).to(device)
        squared, mine = distance2[here], pixels[here]
        torch.sub(window[:, 0], off[:, :1], out=squared).square_()
        squared += (window[:, 1] - off[:, 1:]).square_()
        squared *= CANONICAL_PIXEL_SIZE**2
        whole = (nearest >= radius).all() and (nearest < np.array(shape) - radius).all()
        centre = torch.from_numpy(nearest).to(device)
        if whole:
            offset = window[:, 0] * shape[1] + window[:, 1]
            torch.add((centre[:, 0] * shape[1] + centre[:, 1])[:, None], offset, out=mine)
        else:
            row, column = (centre[:, axis, None] + window[:, axis] for axis in (0, 1))
            squared[(row < 0) | (row >= shape[0]) | (column < 0) | (column >= shape[1])] = torch.inf
            row.clamp_(0, shape[0] - 1)
            torch.add(row.mul_(shape[1]), column.clamp_(0, shape[1] - 1), out=mine)
        if counts is not None:
            squared[~counts[mine]] = torch.inf
    return SitePatches(pixels, distance2, shape[0] * shape[1])


def patch_window() -> Integers:
    """Return the (P, 2) offsets (y, x) in pixels around a site that its profile reaches."""
    radius = int(np.ceil(REACH / CANONICAL_PIXEL_SIZE))
    step = np.arange(-radius, radius + 1)
    window = np.stack(np.meshgrid(step, step, indexing="ij"), -1).reshape(-1, 2)
    return np.asarray(window[(window**2).sum(1) <= radius**2])


def mean_profiles(
    data: Tensor, patches: SitePatches, index: Integers, kinds: int
) -> Generator[Progress, None, tuple[Tensor, float]]:
    """Learn the mean profile of each kind, step by step.

    A sum of Gaussians of `WIDTHS` for each kind and a level, by least squares over the whole image.

    Parameters
    ----------
    data : Tensor (H * W,)
        The flat canonical image, in the precision that is wanted.
    patches : SitePatches
    index : (N,) array of int
        Kind of each site, counted from 0.
    kinds : int

    Returns
    -------
    profile : Tensor (N, P)
        At the patches.
    level : float
        Between the columns.
    """
    widths = WIDTHS if kinds <= _MANY_KINDS else WIDTHS[1:2]
    size = kinds * len(widths) + 1
    normal, right = np.zeros((size, size)), np.zeros(size)
    own = torch.from_numpy(index).to(data.device)
    first, last = patches.pixels.amin(dim=1), patches.pixels.amax(dim=1)
    for low in range(0, len(data), _STRIP):
        yield HERE
        strip = data[low : low + _STRIP]
        near = torch.nonzero((first < low + len(strip)) & (last >= low)).ravel()
        place, square = patches.pixels[near] - low, patches.distance2[near]
        place[(place < 0) | (place >= len(strip))] = len(strip)  # into a column that does not count
        number_of = place.add_(own[near, None] * (len(strip) + 1)).ravel()
        basis = torch.ones(size, len(strip), dtype=data.dtype, device=data.device)
        for number, w in enumerate(widths):
            drawn = torch.zeros(kinds * (len(strip) + 1), dtype=data.dtype, device=data.device)
            drawn.scatter_add_(0, number_of, _bell(square, w).ravel().to(data.dtype))
            basis[number : size - 1 : len(widths)] = drawn.reshape(kinds, -1)[:, :-1]
        normal += (basis @ basis.T).cpu().numpy()
        right += (basis @ strip).cpu().numpy()
    normal[np.diag_indices_from(normal)] *= 1 + 1e-4  # the widths overlap
    weights = np.linalg.solve(normal, right)
    parts = torch.from_numpy(weights[:-1].reshape(kinds, len(widths))).to(data.dtype).to(data.device)
    profile = torch.zeros(patches.distance2.shape, dtype=data.dtype, device=data.device)
    for mine in patches.blocks():
        yield HERE
        for number, w in enumerate(widths):
            profile[mine].addcmul_(parts[own[mine], number][:, None], _bell(patches.distance2[mine], w))
        profile[mine].clamp_(min=0.0)
    return profile, float(weights[-1])


def _bell(distance2: Tensor, width: float) -> Tensor:
    """Return a Gaussian of height 1 at squared distances; 0 at infinite ones."""
    return (distance2 * (-0.5 / width**2)).exp_()
