"""Clean images that nothing may be masked in, and spoiled ones of which the bad pixels are known.

Written for ``masks.py``. Both kinds come from multislice views; what spoils them is that of the
recordings benchmark and more of the same kinds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from benchmarks.recording import files
from benchmarks.recording.artefacts import ARTEFACTS, STRENGTHS
from benchmarks.recording.files import Recording
from benchmarks.validation.scans import load
from benchmarks.validation.validation_set import View, noisy

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Specimen and factor of its doses.
SPECIMENS = {
    "wse2_vacancies": 1,
    "wte2_vacancies": 1,
    "srtio3_110": 1,
    "tio2_001": 1,
    "res2": 1,
    "graphene_vacancies": 10,
}
DOSES = (3e2, 3e3, 3e4)
PIXEL_SIZES = (0.04, 0.09, 0.14, 0.25)
_SIDE = 320
#: Å along a digitised scale, cut into so many digits.
_BYTE, _WORD = 255, 65535


@dataclass(frozen=True, eq=False)
class Case:
    """An image and what of it is bad.

    Parameters
    ----------
    kind, name : str
        What it is an example of, and which.
    image : (H, W) array of float32
    bad : (H, W) array of bool
        To be masked.
    spoiled : (H, W) array of bool
        To be mended.
    """

    kind: str
    name: str
    image: NDArray[np.float32]
    bad: Mask
    spoiled: Mask


def clean(kind: str, name: str, image: NDArray[np.floating]) -> Case:
    """Return an image of which every pixel is good."""
    none = np.zeros(image.shape, bool)
    return Case(kind, name, np.asarray(image, np.float32), none, none)


def ideal(specimen: str, pixel_size: float, angle: float = 17.0, side: int = _SIDE) -> Floats:
    """Draw a specimen without noise, as a fraction of the beam; at angle 0 its rows lie along the scan."""
    known = load(specimen)
    view = View(pixel_size, (side, side), angle, (1.3, 2.1))
    return np.clip(view.draw(known), 0, None)


def digits(image: NDArray[np.floating], most: int, ends: float = 0.0) -> NDArray[np.float32]:
    """Return an image in whole digits; so many % of the pixels clip at either end."""
    low, high = np.percentile(image, [ends, 100 - ends])
    return np.rint(np.clip((image - low) / max(high - low, 1e-30), 0, 1) * most).astype(np.float32)


def clean_cases(specimens: dict[str, int] = SPECIMENS) -> Iterator[Case]:
    """Yield clean images: specimens, doses, pixel sizes and number formats, and what looks like a fault."""
    for specimen, factor in specimens.items():
        for pixel_size in PIXEL_SIZES:
            for angle in (17.0, 0.0):
                image = ideal(specimen, pixel_size, angle)
                text = f"{specimen} {pixel_size:g} Å {angle:g}°"
                yield clean("without noise", text, image)
                yield clean("without noise, 8 bits", text, digits(image, _BYTE, 0.5))
                for dose in DOSES:
                    rng = np.random.default_rng([int(dose), int(1000 * pixel_size), *specimen.encode()])
                    counts = noisy(image.astype(np.float32), pixel_size, dose * factor, rng)
                    named = f"{text} {dose:g}"
                    yield clean("counts", named, counts)
                    if angle:
                        yield clean(
                            "floats", named, gaussian_filter(counts.astype(float), 0.6) * 1.7e-3 + 0.2
                        )
                        yield clean("8 bits", named, digits(counts, _BYTE, 0.5))
                        yield clean("16 bits", named, digits(counts, _WORD))
                    smooth = gaussian_filter(counts.astype(float), 1.0)
                    yield clean("blacks clipped", named, np.maximum(smooth, np.percentile(smooth, 30)))
                    yield clean("whites clipped", named, np.minimum(smooth, np.percentile(smooth, 92)))
                    if angle:
                        yield clean("both clipped, 8 bits", named, digits(smooth, _BYTE, 20))
        yield from _scenes(specimen, factor)
        for rate in (0.05, 0.15):
            image = ideal(specimen, 0.1)
            rng = np.random.default_rng([3, *specimen.encode()])
            counts = rng.poisson(image * rate / image.mean())
            yield clean(f"{rate:g} counts a pixel", specimen, counts)


def _scenes(specimen: str, factor: int) -> Iterator[Case]:
    """Yield images with a hole, a step, an interface along the rows and vacuum beside the specimen."""
    pixel_size, dose = 0.1, 3e3 * factor
    image = ideal(specimen, pixel_size)
    y, x = np.indices(image.shape) / _SIDE
    hole = np.hypot(y - 0.45, x - 0.55) < 0.17 + 0.03 * np.sin(5 * np.arctan2(y - 0.45, x - 0.55))
    factors = {
        "hole": np.where(hole, 0.0, 1.0),
        "step along the rows": np.where(y > 0.55, 1.6, 1.0),
        "step across": np.where(x + 0.4 * y > 0.7, 1.6, 1.0),
        "vacuum above": np.where(y < 0.3, 0.02, 1.0),
        "vacuum beside": np.where(x + 0.2 * y < 0.3, 0.02, 1.0),
        "terraces along the rows": 1 + 0.25 * np.floor(6 * y),
        "bright layer along the rows": np.where(np.abs(y - 0.5) < 0.02, 2.0, 1.0),
        "thickness ramp": 0.5 + y,
    }
    for number, (name, part) in enumerate(factors.items()):
        rng = np.random.default_rng([5, number, *specimen.encode()])
        scene = image * part
        counts = rng.poisson(scene * dose * pixel_size**2)
        yield clean(name, specimen, counts)
        yield clean(
            name, f"{specimen} 8 bits", digits(gaussian_filter(counts.astype(float), 0.7), _BYTE, 0.5)
        )
        if name == "hole":
            yield clean("hole without noise", specimen, scene)
            yield clean("hole without noise", f"{specimen} 8 bits", digits(scene, _BYTE))


# ---- spoiled
# ---------------------------------------------------------------------------------------------------

Change = Callable[[Recording, np.random.Generator], Recording]


def _sides(width: int, value: str, sides: str) -> Change:
    """Write over some sides of the image."""

    def change(recording: Recording, rng: np.random.Generator) -> Recording:
        where = np.zeros(recording.image.shape, bool)
        for side in sides:
            part = {"n": np.s_[:width], "s": np.s_[-width:], "w": np.s_[:, :width], "e": np.s_[:, -width:]}[
                side
            ]
            where[part] = True
        image = recording.image
        paint = {
            "mean": float(image.mean()),
            "zero": 0.0,
            "one": 1.0,
            "max": float(image.max()),
            "min": float(image.min()),
            "NaN": np.nan,
        }[value]
        return recording.painted(where, paint)

    return change


def shifted(by: tuple[float, float]) -> Change:
    """Move the picture by parts of a pixel and more, as drift correction does; what is left empty is 0."""

    def change(recording: Recording, rng: np.random.Generator) -> Recording:
        grid = np.indices(recording.image.shape) - np.reshape(by, (2, 1, 1))
        most = np.reshape(recording.image.shape, (2, 1, 1)) - 1
        outside = ((grid < 0) | (grid > most)).any(axis=0)
        image = map_coordinates(recording.image, grid, order=1, cval=0.0).astype(np.float32)
        return replace(recording, image=image, bad=outside, outside=outside)

    return change


def turned(degrees: float, order: int, value: float = 0.0, same_frame: bool = False) -> Change:
    """Turn the picture on a larger frame or its own; interpolation mixes it with the fill."""

    def change(recording: Recording, rng: np.random.Generator) -> Recording:
        from scipy.ndimage import rotate

        image = rotate(
            recording.image.astype(float),
            degrees,
            reshape=not same_frame,
            order=order,
            mode="constant",
            cval=value,
        )
        ones = rotate(
            np.ones(recording.image.shape),
            degrees,
            reshape=not same_frame,
            order=1,
            mode="constant",
            cval=0.0,
        )
        bad = ones < 1 - 1e-6
        return replace(recording, image=image.astype(np.float32), bad=bad, outside=bad)

    return change


def strip(height: int, size: int, ground: float, ink: float, top: bool, quality: int = 0) -> Change:
    """Add a caption strip, ground and ink as shares of the bright end; JPEG quality 0 keeps it as it is."""

    def change(recording: Recording, rng: np.random.Generator) -> Recording:
        width = recording.image.shape[1]
        letters = files._lettering(
            (height, width), ((height - size) // 3, width // 8), "HAADF 200 kV  5 nm", size
        )
        letters[height // 2 : height // 2 + max(2, height // 10), -width // 4 : -16] = True
        band = np.where(letters, ink, ground) * recording.bright_end
        image = np.clip(recording.image, 0, recording.bright_end) if quality else recording.image
        parts = [band.astype(np.float32), image] if top else [image, band.astype(np.float32)]
        below, none = np.ones((height, width), bool), np.zeros(recording.image.shape, bool)
        bad = np.vstack([below, none] if top else [none, below])
        made = replace(recording, image=np.vstack(parts), bad=bad, outside=bad)
        if quality:
            whole = digits(made.image, _BYTE)
            made = replace(made, image=whole)
            plain = np.zeros(bad.shape, bool)
            kept = files.jpeg(replace(made, bad=plain, outside=plain), rng, (quality,))
            made = replace(made, image=kept.image)
        return made

    return change


def rows(count: int, value: str, part: float = 1.0, noise: float = 0.0) -> Change:
    """Lose scattered rows or a part of each: zero, the end of the range, or the bright end of the image."""

    def change(recording: Recording, rng: np.random.Generator) -> Recording:
        height, width = recording.image.shape
        chosen = rng.permutation(np.arange(10, height - 10))[:count]
        image, bad = recording.image.copy(), np.zeros(recording.image.shape, bool)
        length = round(part * width)
        for row in chosen:
            start = int(rng.integers(0, width - length + 1))
            piece = np.s_[row, start : start + length]
            level = {"zero": 0.0, "saturated": 4 * recording.bright_end, "bright": recording.bright_end}[
                value
            ]
            image[piece] = level * (1 - noise * rng.random(length))
            bad[piece] = True
        return replace(recording, image=image.astype(np.float32), bad=bad)

    return change


def bar(
    share: float, thick: int, size: int, bright: bool, where: tuple[float, float] = (0.9, 0.08)
) -> Change:
    """Burn in a scale bar with its label."""

    def change(recording: Recording, rng: np.random.Generator) -> Recording:
        height, width = recording.image.shape
        y, x, length = int(where[0] * height) - thick, int(where[1] * width), round(share * width)
        mark = np.zeros((height, width), bool)
        mark[y : y + thick, x : x + length] = True
        if size:
            mark |= files._lettering((height, width), (y - size - 6, x), "2 nm", size)
        return recording.painted(mark, recording.bright_end if bright else float(np.min(recording.image)))

    return change


SPOILING: dict[str, dict[str, Change]] = {
    "border": {
        "zero 1 px": _sides(1, "zero", "nswe"),
        "zero 2 px": _sides(2, "zero", "nswe"),
        "zero 20 px": _sides(20, "zero", "nswe"),
        "mean 2 px": _sides(2, "mean", "nswe"),
        "mean 20 px": _sides(20, "mean", "nswe"),
        "max 5 px": _sides(5, "max", "nswe"),
        "NaN 20 px": _sides(20, "NaN", "nswe"),
        "zero, two sides": _sides(13, "zero", "nw"),
        "mean, one side": _sides(9, "mean", "e"),
    },
    "shifted or turned frame": {
        "shifted 7.4, 11.7 px": shifted((7.4, 11.7)),
        "shifted -3.2, 0.5 px": shifted((-3.2, 0.5)),
        "turned 3°": turned(3.0, 1),
        "turned 30°": turned(30.0, 1),
        "turned 8°, cubic": turned(8.0, 3),
        "turned 8°, own frame": turned(8.0, 1, same_frame=True),
        "turned 5°, filled with 1": turned(5.0, 1, 1.0),
    },
    "caption strip": {
        "dark, below": strip(24, 10, 0.0, 1.0, False),
        "dark, above": strip(56, 24, 0.0, 1.0, True),
        "bright, below": strip(40, 18, 1.0, 0.0, False),
        "grey, above": strip(40, 18, 0.4, 1.2, True),
        "dark, JPEG 90": strip(40, 18, 0.0, 1.0, False, 90),
        "bright, JPEG 75": strip(48, 20, 1.0, 0.0, False, 75),
    },
    "rows": {
        "1 dead": rows(1, "zero"),
        "10 dead": rows(10, "zero"),
        "5 saturated": rows(5, "saturated"),
        "3 at the bright end": rows(3, "bright"),
        "3 saturated over 60 %": rows(3, "saturated", 0.6),
        "3 dead over 70 %": rows(3, "zero", 0.7),
        "3 below the maximum, noisy": rows(3, "saturated", 1.0, 0.03),
    },
    "scale bar": {
        "white, label": bar(0.25, 6, 16, True),
        "white, thin": bar(0.15, 3, 0, True),
        "black, label": bar(0.3, 8, 20, False),
        "white, right, label": bar(0.2, 5, 14, True, (0.95, 0.75)),
    },
}


def recording(specimen: str, dose: float, pixel_size: float = 0.12, side: int = _SIDE) -> Recording:
    """Record a specimen without faults."""
    rng = np.random.default_rng([9, int(dose), *specimen.encode()])
    image = ideal(specimen, pixel_size, side=side).astype(np.float32)
    return Recording.of(noisy(image, pixel_size, dose, rng), pixel_size)


#: Artefacts of the recordings benchmark whose bad pixels are known.
_OF_BENCHMARK = {
    "lost rows": "rows",
    "rotated frame": "shifted or turned frame",
    "zero border": "border",
    "NaN border": "border",
    "scale bar": "scale bar",
    "caption strip": "caption strip",
}
_LONE = "hot and dead pixels"


def spoiled_cases(
    specimens: dict[str, int] = SPECIMENS, doses: tuple[float, ...] = DOSES[1:]
) -> Iterator[Case]:
    """Yield images with one fault each."""
    for specimen, factor in specimens.items():
        for dose in doses:
            plain = recording(specimen, dose * factor)
            for made in (plain, replace(plain, image=digits(plain.image, _BYTE, 0.5))):
                form = "8 bits" if made is not plain else "counts"
                yield from _of_one(made, f"{specimen} {dose:g} {form}")


def _of_one(plain: Recording, text: str) -> Iterator[Case]:
    none = np.zeros(plain.image.shape, bool)
    for kind, changes in SPOILING.items():
        for name, change in changes.items():
            made = change(plain, np.random.default_rng(1))
            yield Case(kind, f"{name}: {text}", made.image, made.bad, np.zeros(made.bad.shape, bool))
    for artefact in ARTEFACTS:
        for strength in STRENGTHS:
            if artefact.change is None or artefact.name not in (*_OF_BENCHMARK, _LONE, "flashes"):
                continue
            made = artefact.change(plain, np.random.default_rng(2), artefact.setting(strength))
            name = f"{artefact.name}, {strength}: {text}"
            if artefact.name in _OF_BENCHMARK:
                yield Case(
                    _OF_BENCHMARK[artefact.name], name, made.image, made.bad, np.zeros(made.bad.shape, bool)
                )
            else:
                yield Case(artefact.name, name, made.image, none, made.image != plain.image)
