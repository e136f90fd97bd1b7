"""Training examples from corrected images: random crops, known only where a person looked.

What is in here knows neither files nor registration: `CorrectedView` holds tensors at the canonical pixel
size, with the prior's columns already placed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE, SITE_MARGIN
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.optics.noise.smooth_fields import smooth_field
from napari_stemprior.training.examples import Example, targets

Floats = NDArray[np.float64]

#: How often the prior is given with its places, given without them, or held back.
_MATCHED, _UNREGISTERED = 0.65, 0.05
#: How often a crop is turned by any angle, beside the eight turns and mirrors of a square.
_TURNED = 0.5
#: Å by which placed columns are off, as a whole.
_JITTER = 0.05


@dataclass(eq=False)
class CorrectedView:
    """An image that a person has corrected, at `CANONICAL_PIXEL_SIZE`.

    Parameters
    ----------
    images : Tensor (K, H, W)
        The same image at K doses; the first is as it was recorded.
    known : (H, W) array of bool
        Where every column is known.
    yx : (N, 2) array
        Columns in canonical pixels; those outside `known` are not trusted.
    hidden : (N,) array of bool
        Whether they lie below the entrance layer.
    token : (N,) array of int
        Column of the prompt that each shows; -1 for none.
    prompt : StructurePrompt
        Of batch size 1, placed; absent where there is no prior.
    """

    images: Tensor
    known: NDArray[np.bool_]
    yx: Floats
    hidden: NDArray[np.bool_]
    token: NDArray[np.int64]
    prompt: StructurePrompt

    def example(self, rng: np.random.Generator, side: int) -> Example:
        """Cut out a random crop as a training example of batch size 1.

        Parameters
        ----------
        rng : numpy Generator
        side : int
            Pixels of the crop; where the image is smaller its mirror image surrounds it, unknown.
        """
        move = random_move(rng, self.known, side)
        image = self.images[int(rng.integers(len(self.images)))]
        return self.moved(move, image, side, rng)

    def moved(self, move: Move, image: Tensor, side: int, rng: np.random.Generator | None = None) -> Example:
        """Carry image, targets and prompt through one motion.

        Parameters
        ----------
        move : Move
        image : Tensor (H, W)
            One of `images`.
        side : int
        rng : numpy Generator, optional
            Draws brightness and prompt; without it they stay as they are.
        """
        crop = move.resampled(image, side)
        known = move.looked_up(self.known, side)
        yx = move.forward(self.yx)
        heat, offset = targets(yx, self.hidden.astype(np.int64), side)
        heat[:, ~known] = np.nan
        offset[:, ~known] = np.nan
        inside = ((yx >= 0) & (yx <= side - 1)).all(axis=1)
        pixel = np.clip(np.round(yx).astype(int), 0, side - 1)
        inside &= known[pixel[:, 0], pixel[:, 1]]
        prompt, named = self._prompt(move, side, rng)
        token = np.where(named, self.token[inside], -1)
        if rng is not None:
            crop = _brightened(crop, rng)
        return Example(
            crop[None, None],
            prompt,
            torch.from_numpy(heat)[None],
            torch.from_numpy(offset)[None],
            torch.from_numpy(yx[inside]).float()[None],
            torch.from_numpy(token.astype(np.int64))[None],
            # a part of an image that a person chose need not show the whole structure
            torch.tensor([False]),
        )

    def _prompt(self, move: Move, side: int, rng: np.random.Generator | None) -> tuple[StructurePrompt, bool]:
        """Return the prompt of a crop, and whether it holds the columns of the cell."""
        drawn = 0.0 if rng is None else rng.random()
        if not bool(self.prompt.present.any()) or drawn >= _MATCHED + _UNREGISTERED:
            return StructurePrompt.absent(), False
        yx = move.forward(self.prompt.sites[0].numpy().astype(float))
        if rng is not None:
            yx = yx + rng.normal(0, _JITTER / CANONICAL_PIXEL_SIZE, 2)
        near = self.prompt.site_mask[0].numpy() & ((yx > -SITE_MARGIN) & (yx < side + SITE_MARGIN)).all(
            axis=1
        )
        if drawn >= _MATCHED or not near.any():
            sites, index, valid = np.zeros((1, 2)), np.zeros(1, np.int64), np.zeros(1, bool)
        else:
            sites, index = yx[near], self.prompt.site_index[0].numpy()[near]
            valid = np.ones(len(sites), bool)
        placed = replace(
            self.prompt,
            sites=torch.from_numpy(sites).float()[None],
            site_index=torch.from_numpy(index)[None],
            site_mask=torch.from_numpy(valid)[None],
        )
        return placed, True


@dataclass(frozen=True, eq=False)
class Move:
    """A turn, with or without a mirror, that lays a place of an image on the middle of a crop.

    Parameters
    ----------
    matrix : (2, 2) array
        Orthogonal; ``crop = matrix @ (image - centre) + middle``.
    centre, middle : (2,) array
        Pixels (y, x) of the image and of the crop.
    """

    matrix: Floats
    centre: Floats
    middle: Floats

    def forward(self, yx: Floats) -> Floats:
        """Carry (N, 2) pixels of the image to the crop."""
        return np.asarray((yx - self.centre) @ self.matrix.T + self.middle)

    def backward(self, yx: Floats) -> Floats:
        """Carry (N, 2) pixels of the crop to the image."""
        return np.asarray((yx - self.middle) @ self.matrix + self.centre)

    def resampled(self, image: Tensor, side: int) -> Tensor:
        """Return the (side, side) crop of an (H, W) image by cubic interpolation, mirrored at its edges."""
        places = self._grid(side)
        size = np.array(image.shape, float)
        # grid_sample takes (x, y), -1 and 1 at the outer edges of the image
        unit = (2 * (places + 0.5) / size - 1)[:, ::-1].reshape(1, side, side, 2)
        grid = torch.from_numpy(np.ascontiguousarray(unit)).float()
        crop = F.grid_sample(
            image[None, None], grid, mode="bicubic", padding_mode="reflection", align_corners=False
        )
        return crop[0, 0]

    def looked_up(self, mask: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
        """Return the (side, side) crop of an (H, W) mask; false outside."""
        pixel = np.round(self._grid(side)).astype(int)
        inside = ((pixel >= 0) & (pixel < mask.shape)).all(axis=1)
        out = np.zeros(len(pixel), bool)
        out[inside] = mask[pixel[inside, 0], pixel[inside, 1]]
        return out.reshape(side, side)

    def _grid(self, side: int) -> Floats:
        return self.backward(np.indices((side, side)).reshape(2, -1).T.astype(float))


def random_move(rng: np.random.Generator, known: NDArray[np.bool_], side: int) -> Move:
    """Draw a motion that brings a part of what is known into the crop.

    Parameters
    ----------
    rng : numpy Generator
    known : (H, W) array of bool
        With any true pixel.
    side : int
    """
    angle = np.pi / 2 * rng.integers(4) + (rng.uniform(0, np.pi / 2) if rng.random() < _TURNED else 0.0)
    mirror = np.diag([1.0, -1.0 if rng.random() < 0.5 else 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ mirror
    turn[np.abs(turn) < 1e-12] = 0.0  # a quarter turn meets the pixels exactly
    places = np.argwhere(known)
    chosen = places[rng.integers(len(places))].astype(float)
    # not nearer to the edge than half a crop, where the image is large enough for that
    size, half = np.array(known.shape), side // 2
    low, high = np.minimum(half, size // 2), np.maximum(size - half, size // 2)
    return Move(turn, np.floor(np.clip(chosen, low, high)), np.array([half, half], float))


def _brightened(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Vary the response of the detector and the evenness of the field a little."""
    low, high = float(image.min()), float(image.max())
    if high <= low:
        return image
    shape = (image.shape[0], image.shape[1])
    level = ((image - low) / (high - low)).clamp(min=0) ** float(np.exp(rng.normal(0, 0.12)))
    if rng.random() < 0.5:
        field = smooth_field(shape, 100.0, rng)
        level = level * torch.from_numpy(1 + rng.uniform(0, 0.4) * (field - 0.5))
    return (low + (high - low) * level).float()
