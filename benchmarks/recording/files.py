"""What happens to a recording between the detector and the file: lost pixels, borders, captions, digits."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_dilation, map_coordinates

Floats = NDArray[np.float64]
Setting = tuple[float, ...]

#: A saturated or hot pixel has so many times the bright end of the image: the end of the detector's range.
FULL_SCALE = 4.0
#: % of the good pixels beyond each end of the image; hot and dead pixels are fewer.
ENDS = 0.5


def as_it_is(yx: Floats) -> Floats:
    """Leave positions where they are."""
    return yx


@dataclass(frozen=True, eq=False)
class Recording:
    """A micrograph as it lies in the file, and what of it shows the specimen.

    Parameters
    ----------
    image : (H, W) array of float32
        Any unit; may hold NaN.
    bad : (H, W) array of bool
        Pixels that do not show the specimen. Single hot or dead pixels are not among them: they are to be
        mended.
    outside : (H, W) array of bool
        Those of them that are no picture at all: border, empty corners, strip, scale bar.
    stated : float
        Å/px, the pixel size in the file.
    move : callable
        From (N, 2) pixels of the recording without artefacts to pixels of this one.
    """

    image: NDArray[np.float32]
    bad: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    stated: float
    move: Callable[[Floats], Floats] = as_it_is

    @classmethod
    def of(cls, image: NDArray[np.float32], pixel_size: float) -> Recording:
        """Return an image of which every pixel is good."""
        none = np.zeros(image.shape, bool)
        return cls(np.asarray(image, np.float32), none, none, pixel_size)

    @property
    def good(self) -> NDArray[np.float32]:
        """The values of the pixels that show the specimen."""
        return self.image[~self.bad]

    @property
    def bright_end(self) -> float:
        """The value that all but `ENDS` % of the pixels that show the specimen stay below."""
        return float(np.percentile(self.good, 100 - ENDS))

    def left_out(self, pixel_size: float) -> NDArray[np.bool_]:
        """Return the (H, W) pixels where atoms are not judged: bad ones, and 1 Å around no picture."""
        reach = int(np.ceil(1.0 / pixel_size))
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        disk = np.hypot(y, x) * pixel_size <= 1.0
        wide = binary_dilation(self.outside, disk) if self.outside.any() else self.outside
        return np.asarray(self.bad | wide)

    def painted(self, where: NDArray[np.bool_], value: NDArray[np.float32] | float) -> Recording:
        """Write over pixels that then show no specimen."""
        image = self.image.copy()
        image[where] = value
        return replace(self, image=image, bad=self.bad | where, outside=self.outside | where)


def at(mask: NDArray[np.bool_], yx: Floats) -> NDArray[np.bool_]:
    """Look up the pixels nearest to (N, 2) positions; those beyond the image take that at its edge."""
    nearest = np.rint(yx).astype(int)
    y, x = np.clip(nearest, 0, np.array(mask.shape) - 1).T
    return mask[y, x]


def hot_and_dead_pixels(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """Let so many % of the pixels be at the end of the range or at zero."""
    image = recording.image.copy()
    chosen = rng.permutation(image.size)[: max(2, round(setting[0] / 100 * image.size))]
    image.ravel()[chosen] = np.where(np.arange(len(chosen)) % 2, 0.0, FULL_SCALE * recording.bright_end)
    return replace(recording, image=image)


def lost_rows(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """Lose so many rows, scattered; the second number is 1 for saturated rows and 0 for dead ones."""
    height = recording.image.shape[0]
    rows = rng.permutation(np.arange(height // 20, height - height // 20))[: int(setting[0])]
    image, bad = recording.image.copy(), recording.bad.copy()
    image[rows] = setting[1] * FULL_SCALE * recording.bright_end
    bad[rows] = True
    return replace(recording, image=image, bad=bad)


def rotated_frame(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """Turn the picture by so many degrees on a larger frame whose corners stay zero."""
    angle = np.deg2rad(setting[0] * rng.choice([-1.0, 1.0]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    old = np.array(recording.image.shape)
    new = np.ceil(np.abs(turn) @ old).astype(int)
    middle, centre = (old - 1) / 2, (new - 1) / 2
    grid = (np.stack(np.indices(tuple(new)), -1) - centre) @ turn.T + middle  # where each new pixel lay
    inside = ((grid >= 0) & (grid <= old - 1)).all(axis=-1)
    image = map_coordinates(recording.image, np.moveaxis(grid, -1, 0), order=1, cval=0.0)
    image[~inside] = 0.0
    places = grid.reshape(-1, 2)
    before = recording.move
    return replace(
        recording,
        image=image.astype(np.float32),
        bad=~inside | at(recording.bad, places).reshape(inside.shape),
        outside=~inside | at(recording.outside, places).reshape(inside.shape),
        move=lambda yx: (before(yx) - middle) @ turn + centre,
    )


def border(shape: tuple[int, ...], width: int) -> NDArray[np.bool_]:
    """Return the (H, W) pixels nearer than `width` to the edge."""
    edge = np.ones(shape, bool)
    edge[width:-width, width:-width] = False
    return edge


def zero_border(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """Write zeros over a border so many pixels wide."""
    return recording.painted(border(recording.image.shape, int(setting[0])), 0.0)


def nan_border(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """Write NaN over a border so many pixels wide."""
    return recording.painted(border(recording.image.shape, int(setting[0])), np.nan)


def _lettering(shape: tuple[int, int], start: tuple[int, int], text: str, size: int) -> NDArray[np.bool_]:
    """Return the (H, W) pixels of a text whose upper left corner is `start` (y, x)."""
    canvas = Image.new("L", (shape[1], shape[0]))
    draw = ImageDraw.Draw(canvas)
    draw.text((start[1], start[0]), text, fill=255, font=ImageFont.load_default(size))
    return np.asarray(np.array(canvas) > 127)


def scale_bar(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """Burn in a bar: % of the width, height in px and height of the label in px (0: no label)."""
    height, width = recording.image.shape
    length, thick, size = round(setting[0] / 100 * width), int(setting[1]), int(setting[2])
    y, x = height - height // 12 - thick, width // 12
    mark = np.zeros((height, width), bool)
    mark[y : y + thick, x : x + length] = True
    if size:
        nanometres = length * recording.stated / 10
        mark |= _lettering((height, width), (y - size - 6, x), f"{nanometres:.1f} nm", size)
    return recording.painted(mark, recording.bright_end)


def caption_strip(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """Append a dark strip: its height in px, that of its letters in px, their brightness in bright ends."""
    tall, size, bright = int(setting[0]), int(setting[1]), setting[2] * recording.bright_end
    width = recording.image.shape[1]
    above = (tall - size) // 3
    mark = _lettering((tall, width), (above, width // 3), "200 kV  HAADF  x 10 M", size)
    mark[tall // 2 : tall // 2 + max(2, tall // 12), 8 : 8 + width // 4] = True
    strip = np.where(mark, bright, 0.0).astype(np.float32)
    below = np.ones((tall, width), bool)
    return replace(
        recording,
        image=np.vstack([recording.image, strip]),
        bad=np.vstack([recording.bad, below]),
        outside=np.vstack([recording.outside, below]),
    )


def _digits(recording: Recording, levels: int) -> NDArray[np.float32]:
    """Return the image in whole digits; `ENDS` % of the good pixels clip at either end."""
    low, high = np.percentile(recording.good, [ENDS, 100 - ENDS])
    part = np.clip((recording.image - low) / max(high - low, 1e-9), 0.0, 1.0)
    return np.rint(part * (levels - 1)).astype(np.float32)


def eight_bits(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """Store the image as so many of the 256 grey levels."""
    return replace(recording, image=_digits(recording, int(setting[0])))


def jpeg(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """Store the image as a JPEG of so much quality."""
    file = io.BytesIO()
    Image.fromarray(_digits(recording, 256).astype(np.uint8)).save(file, "JPEG", quality=int(setting[0]))
    return replace(recording, image=np.array(Image.open(file), np.float32))


def pixel_size(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """State a pixel size that is so many % too large or too small."""
    return replace(recording, stated=recording.stated * (1 + rng.choice([-1, 1]) * setting[0] / 100))
