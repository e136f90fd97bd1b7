"""The artefacts of the recordings benchmark: how strong they are, and a specimen recorded with them."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from benchmarks.recording import detector, files
from benchmarks.recording import scan as scanning
from benchmarks.recording.files import Floats, Recording, Setting
from benchmarks.validation.scans import load
from benchmarks.validation.specimens import Columns
from benchmarks.validation.validation_set import Item, noisy, on_image
from napari_stemprior.atoms import AtomTable

CLEAN, TOGETHER = "clean", "all together"
WEAK, STRONG = "weak", "strong"
STRENGTHS = (WEAK, STRONG)
#: They cannot be in one file with the rest: a frame is turned afterwards, and whole digits hold no NaN.
ALONE_ONLY = ("rotated frame", "NaN border")

Scan = Callable[[np.random.Generator, tuple[int, int], float, Setting], scanning.Displacement]
Shine = Callable[[Floats, np.random.Generator, Setting], Floats]
Change = Callable[[Recording, np.random.Generator, Setting], Recording]


@dataclass(frozen=True)
class Artefact:
    """Something that a recording suffers, at two strengths.

    Parameters
    ----------
    name : str
    weak, strong : tuple of float
        What the function that makes it is given.
    meaning : str
        With ``{0:g}`` and so on for those numbers.
    scan, shine, change : callable, optional
        What makes it: a displacement of the beam, other electrons before they are counted, or another
        recording afterwards.
    strong_meaning : str
        If the strong setting is of another kind.
    """

    name: str
    weak: Setting
    strong: Setting
    meaning: str
    scan: Scan | None = None
    shine: Shine | None = None
    change: Change | None = None
    strong_meaning: str = ""

    def setting(self, strength: str) -> Setting:
        """Return the numbers of a strength."""
        return {WEAK: self.weak, STRONG: self.strong}[strength]

    def means(self, strength: str) -> str:
        """Say in words what a strength is."""
        text = self.strong_meaning if strength == STRONG and self.strong_meaning else self.meaning
        return text.format(*self.setting(strength))

    def rng(self, seed: int, item: str) -> np.random.Generator:
        """Return the random numbers of this artefact on a view: alone and with others the same."""
        return np.random.default_rng([seed, zlib.crc32(self.name.encode()), zlib.crc32(item.encode())])


#: In the order in which they happen.
ARTEFACTS = (
    Artefact(
        "row jitter",
        (0.05,),
        (0.15,),
        "rows shifted by {0:g} Å rms, half of the variance white, half over 20 rows",
        scan=scanning.row_jitter,
    ),
    Artefact(
        "flyback",
        (0.5, 2.0),
        (1.5, 4.0),
        "beam {0:g} Å off where a row starts, decaying over {1:g} Å",
        scan=scanning.flyback,
    ),
    Artefact(
        "drift and shear",
        (1.0,),
        (3.0,),
        "rows {0:g} % too near or far and sheared by {0:g} %",
        scan=scanning.drift_and_shear,
    ),
    Artefact(
        "hum in position",
        (0.05,),
        (0.15,),
        "mains deflects the beam along the row, amplitude {0:g} Å",
        scan=scanning.hum_in_position,
    ),
    Artefact("gain", (10.0,), (30.0,), "sensitivity varies smoothly by {0:g} % rms", shine=detector.gain),
    Artefact(
        "background",
        (20.0,),
        (60.0,),
        "smooth film from 0 to {0:g} % of the mean signal",
        shine=detector.background,
    ),
    Artefact(
        "afterglow",
        (1.0,),
        (3.0,),
        "light decays over {0:g} px along the row",
        change=detector.afterglow,
    ),
    Artefact(
        "row offsets",
        (10.0,),
        (30.0,),
        "white offset of each row, {0:g} % of the mean signal rms",
        change=detector.row_offsets,
    ),
    Artefact(
        "hum in brightness",
        (5.0,),
        (20.0,),
        "mains adds to the signal, amplitude {0:g} % of its mean",
        change=detector.hum_in_brightness,
    ),
    Artefact(
        "flashes",
        (3, 2.0),
        (15, 6.0),
        "{0:g} streaks of up to {1:g} mean signals in single rows",
        change=detector.flashes,
    ),
    Artefact(
        "readout and pedestal",
        (5.0, 1.0),
        (20.0, 5.0),
        "white noise of {0:g} % and a pedestal of {1:g} mean signals, in whole digits",
        change=detector.readout,
    ),
    Artefact(
        "hot and dead pixels",
        (0.05,),
        (0.5,),
        "{0:g} % of the pixels, half at 4 × the bright end, half at 0",
        change=files.hot_and_dead_pixels,
    ),
    Artefact(
        "lost rows",
        (3, 1),
        (5, 0),
        "{0:g} scattered rows saturated at 4 × the bright end",
        change=files.lost_rows,
        strong_meaning="{0:g} scattered rows dead (0)",
    ),
    Artefact(
        "rotated frame",
        (4.0,),
        (15.0,),
        "turned by {0:g}° on a larger frame with corners of 0",
        change=files.rotated_frame,
    ),
    Artefact(
        "8-bit digits",
        (256,),
        (32,),
        "whole digits, {0:g} grey levels in use, 0.5 % of the pixels clip at either end",
        change=files.eight_bits,
    ),
    Artefact("zero border", (2,), (20,), "{0:g} px of 0 on every side", change=files.zero_border),
    Artefact("NaN border", (2,), (20,), "{0:g} px of NaN on every side", change=files.nan_border),
    Artefact(
        "scale bar",
        (15.0, 3, 0),
        (40.0, 12, 24),
        "burned in: {0:g} % of the width, {1:g} px high, label of {2:g} px",
        change=files.scale_bar,
    ),
    Artefact(
        "caption strip",
        (24, 10, 1.0),
        (60, 24, 4.0),
        "{0:g} px appended below, letters of {1:g} px and a bar at {2:g} × the bright end",
        change=files.caption_strip,
    ),
    Artefact("JPEG", (90,), (60,), "quality {0:g}", change=files.jpeg),
    Artefact(
        "pixel size", (6.0,), (12.0,), "in the file {0:g} % too large or small", change=files.pixel_size
    ),
)
NAMES = tuple(artefact.name for artefact in ARTEFACTS)


@dataclass(frozen=True, eq=False)
class Known:
    """A recording whose atoms are known.

    Parameters
    ----------
    recording : Recording
    truth : AtomTable
        Pixels of the recording; also what lies on its bad pixels.
    vacancies : (V, 2) array
        Pixels of the recording.
    """

    recording: Recording
    truth: AtomTable
    vacancies: Floats


def chosen(name: str) -> tuple[Artefact, ...]:
    """Return the artefacts that a recording of this name has."""
    if name == CLEAN:
        return ()
    if name == TOGETHER:
        return tuple(a for a in ARTEFACTS if a.name not in ALONE_ONLY)
    return tuple(a for a in ARTEFACTS if a.name == name)


def recorded(item: Item, dose: float, name: str, strength: str = WEAK, seed: int = 0) -> Known:
    """Record a view of the validation set with an artefact, with all of them, or clean.

    The electrons are counted as `Item.micrograph` does it, with the same random numbers for all artefacts.

    Parameters
    ----------
    item : Item
        Of a scene that is multislice as it is.
    dose : float
        e/Å².
    name : str
        One of `NAMES`, `CLEAN` or `TOGETHER`.
    strength : str
        One of `STRENGTHS`.
    seed : int
    """
    shape = item.view.shape
    used = [(a, a.setting(strength), a.rng(seed, item.name)) for a in chosen(name)]
    displaced = [a.scan(rng, shape, item.pixel_size, setting) for a, setting, rng in used if a.scan]
    scan = reduce(scanning.both, displaced, scanning.still(shape))
    known = load(item.specimen)
    image = item.image.astype(float)
    if displaced:
        grid = np.stack(np.indices(shape), -1).astype(float)
        beam = grid + scan.steady(grid)
        beam[..., 1] += scan.erratic
        image = np.clip(known.scan.at(item.view.to_specimen(beam)), 0, None)
    for artefact, setting, rng in used:
        if artefact.shine:
            image = artefact.shine(image, rng, setting)
    counting = np.random.default_rng([seed, int(dose), *item.name.encode()])
    counts = noisy(image.astype(np.float32), item.pixel_size, dose, counting)
    recording = Recording.of(counts, item.pixel_size)
    for artefact, setting, rng in used:
        if artefact.change:
            recording = artefact.change(recording, rng, setting)

    def on_recording(columns: Columns | None) -> tuple[Floats, NDArray[np.int64]]:
        if columns is None:
            return np.empty((0, 2)), np.empty(0, np.int64)
        # a distorted scan may show what lies some percent of the field beyond the undistorted one
        margin = 4.0 + 0.06 * max(shape) * item.pixel_size
        yx, index = item.view.columns(columns, margin)
        yx = recording.move(scanning.settled(scan, yx))
        inside = on_image(yx, (recording.image.shape[0], recording.image.shape[1]))
        return yx[inside], index[inside]

    yx, index = on_recording(known.columns)
    truth = AtomTable.from_positions(
        yx,
        item.pixel_size,
        element=known.columns.element[index].astype(object),
        site=known.columns.site[index].astype(object),
        layer=known.columns.layer[index],
    )
    return Known(recording, truth, on_recording(known.vacancies)[0])
