"""Micrographs without a crystal: what a segmentation should find there is nothing, or isolated atoms.

Films and atoms are multislice (`amorphous`); the rest is drawn here, by other code than the training's.
``python -m benchmarks.validation.no_crystal PICTURE.png`` draws them all.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter

from benchmarks.validation.amorphous import FILMS, SIDE, load_film
from benchmarks.validation.validation_set import View, noisy, on_image
from napari_stemprior.atoms import AtomTable
from napari_stemprior.optics.multislice.periodic_scan import PeriodicScan

Floats = NDArray[np.float64]
#: Å/px and pixels of a view: 51 Å on a side.
PIXEL_SIZE, PIXELS = 0.16, 320
#: e/Å² at which what is no crystal is recorded.
DOSES = (3e2, 1e3, 3e3, 1e4, 3e4)
#: Fraction of the beam that an empty field brings to the detector.
_EMPTY = 1e-3
#: Part of the square of the distance of patches of a film over which one takes over from the next.
_SEAM = 0.03
#: Å: the light of one atom is taken within the first radius, the ground between the other two.
_ATOM, _GROUND = 1.6, (2.0, 2.8)
#: Å that another atom keeps from one whose light is measured.
_ALONE = 4.2
#: Detectability at which an observer who knows the image of an atom and the ground finds 90 % of the atoms
#: with one false one in 10 nm²: of some thousand places in 10 nm² one is wrong (3.09), one atom of ten is
#: missed (1.28).
DETECTABLE = 3.09 + 1.28


@dataclass(frozen=True, eq=False)
class Field:
    """A noise-free field without a crystal.

    Parameters
    ----------
    name : str
    image : (H, W) array
        Fraction of the beam.
    yx : (N, 2) array
        Pixels of the atoms that should be found.
    spoil : callable, optional
        What the recording does to the counts, with a generator of its own.
    ideal_dose : float
        e/Å² at which an ideal observer finds the atoms (`DETECTABLE`); 0 without atoms.
    ideal_counts : float
        Electrons that an atom adds at that dose.
    """

    name: str
    image: Floats
    yx: Floats = field(default_factory=lambda: np.empty((0, 2)))
    spoil: Callable[[Floats, np.random.Generator], Floats] | None = None
    ideal_dose: float = 0.0
    ideal_counts: float = 0.0

    @property
    def truth(self) -> AtomTable:
        """The atoms that should be found."""
        return AtomTable.from_positions(
            self.yx, PIXEL_SIZE, element=["X"] * len(self.yx), site=[""] * len(self.yx)
        )

    def micrograph(self, dose: float, seed: int = 0) -> NDArray[np.float32]:
        """Return the counts at a dose in e/Å²."""
        rng = np.random.default_rng([seed, int(dose), *self.name.encode()])
        counts = noisy(self.image.astype(np.float32), PIXEL_SIZE, dose, rng).astype(float)
        return (counts if self.spoil is None else self.spoil(counts, rng)).astype(np.float32)


def _view(number: int) -> View:
    rng = np.random.default_rng([41, number])
    return View(
        PIXEL_SIZE, (PIXELS, PIXELS), float(rng.uniform(0, 360)), (rng.uniform(0, SIDE), rng.uniform(0, SIDE))
    )


def _drawn(scan: PeriodicScan, view: View) -> Floats:
    grid = np.stack(np.indices(view.shape), -1).astype(float)
    return np.clip(scan.at(view.to_specimen(grid)), 0, None)


def _with_atoms(name: str, number: int) -> Field:
    """Draw heavy atoms on a film, and measure what an ideal observer needs to find them."""
    (scan, xy), view = load_film(name), _view(number)
    image = _drawn(scan, view)
    cells = np.stack(np.meshgrid(range(-4, 5), range(-4, 5), indexing="ij"), -1).reshape(-1, 1, 2)
    yx = view.to_pixels((xy[None] + cells * np.array(scan.cell)).reshape(-1, 2))
    image_of, ground = _one_atom(scan, xy)
    detectability = float((image_of**2 / np.maximum(ground + image_of / 2, 1e-9)).sum())  # per e/Å²
    dose = DETECTABLE**2 / detectability
    inside = on_image(yx, view.shape)
    return Field(f"{name} {number}", image, yx[inside], None, dose, dose * float(image_of.sum()))


def _one_atom(scan: PeriodicScan, xy: Floats) -> tuple[Floats, float]:
    """Return the mean light of a single atom times the area of a sample (Å²), and the ground per Å²."""
    delta = xy[:, None] - xy[None]
    delta -= np.array(scan.cell) * np.round(delta / np.array(scan.cell))
    single = (np.linalg.norm(delta, axis=-1) + 99 * np.eye(len(xy))).min(1) > _ALONE
    step = 0.1
    axis = np.arange(-_GROUND[1], _GROUND[1] + step / 2, step)
    offset = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1)
    radius = np.linalg.norm(offset, axis=-1)
    patches = np.stack([scan.at(place + offset) for place in xy[single]])
    around = (radius > _GROUND[0]) & (radius < _GROUND[1])
    ground = patches[:, around].mean(axis=1)
    light = np.clip((patches - ground[:, None, None]).mean(axis=0), 0, None)[radius < _ATOM]
    return light * step**2, float(ground.mean()) * step**2


def _film(name: str, number: int, keep: Floats | None = None, thickness: int = 2) -> Field:
    """Draw a film of some 10 Å sheets on one another: what they scatter to high angles adds up."""
    scan = load_film(name)[0]
    image = np.sum([_sheet(scan, 10 * number + sheet) for sheet in range(thickness)], axis=0)
    cut = "" if keep is None else " with an edge"
    return Field(f"{name}{cut} {number}", image if keep is None else image * keep + _EMPTY)


def _sheet(scan: PeriodicScan, number: int) -> Floats:
    """Join patches of differently turned views, since the simulated cell repeats and a film has no order.

    Each patch has the field to itself around its centre; the ways from one to the next are smooth.
    """
    rng = np.random.default_rng([45, number])
    centres = np.stack(np.meshgrid(*[np.arange(4)] * 2, indexing="ij"), -1).reshape(-1, 2) + rng.uniform(
        -0.3, 0.3, (16, 2)
    )
    pixels = np.stack(np.indices((PIXELS, PIXELS)), -1) / (PIXELS / 3)
    distance2 = ((pixels[:, :, None] - centres) ** 2).sum(-1)
    weight = np.exp(-(distance2 - distance2.min(-1, keepdims=True)) / _SEAM)
    weight /= np.sqrt((weight**2).sum(-1, keepdims=True))  # the contrast of what is independent stays
    views = np.stack([_drawn(scan, _view(1000 * number + patch)) for patch in range(len(centres))], -1)
    mean = float(views.mean())
    return np.clip(mean + ((views - mean) * weight).sum(-1), 0, None)


def _bodies(seed: int, radius: tuple[float, float], count: int) -> Floats:
    """Draw round bodies as a low magnification shows them."""
    rng = np.random.default_rng([43, seed])
    y, x = np.indices((PIXELS, PIXELS))
    image = np.full((PIXELS, PIXELS), 5 * _EMPTY)
    for _ in range(count):
        r = rng.uniform(*radius) / PIXEL_SIZE
        centre = rng.uniform(0, PIXELS, 2)
        height = np.clip(1 - ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / r**2, 0, None)
        image += 0.05 * np.sqrt(height)
    return gaussian_filter(image, 3)


def _edge(hole: bool) -> Floats:
    y, x = np.indices((PIXELS, PIXELS))
    inside = np.hypot(y - 150, x - 170) < 90 if hole else 0.8 * y + 0.6 * x < 200
    return gaussian_filter((~inside).astype(float), 3)


def _rows(counts: Floats, rng: np.random.Generator) -> Floats:
    return counts + 0.3 * counts.std() * rng.normal(size=(len(counts), 1)).cumsum(axis=0) * 0.3


def _smoothed(counts: Floats, rng: np.random.Generator) -> Floats:
    return gaussian_filter(counts, 0.35 / PIXEL_SIZE)


def _afterglow(counts: Floats, rng: np.random.Generator) -> Floats:
    return np.asarray(lfilter([0.4], [1, -0.6], counts, axis=1))


def _jpeg(counts: Floats, rng: np.random.Generator) -> Floats:
    low, high = np.percentile(counts, [0.5, 99.5])
    digits = np.clip(255 * (counts - low) / max(high - low, 1e-9), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(digits).save(file, "JPEG", quality=70)
    return np.asarray(Image.open(file), float)


def _readout(counts: Floats, rng: np.random.Generator) -> Floats:
    return counts + rng.normal(0, 2.0, counts.shape)


@cache
def empty_fields() -> tuple[Field, ...]:
    """Return the fields in which nothing should be found."""
    flat = np.full((PIXELS, PIXELS), 2e-2)
    film = _film("carbon_film", 5).image
    return (
        _film("carbon_film", 0, thickness=5),
        _film("carbon_film", 1, _edge(False)),
        _film("carbon_film", 2, _edge(True)),
        _film("silica_film", 3),
        _film("silica_film", 4, _edge(True)),
        Field("vacuum", np.full((PIXELS, PIXELS), _EMPTY)),
        Field("even ground", flat),
        Field("large particles", _bodies(0, (8, 25), 5)),
        Field("small particles", _bodies(1, (3, 6), 30)),
        Field("contamination", flat + 0.1 * gaussian_filter(_bodies(2, (10, 20), 3), 25)),
        Field("noise, row offsets", flat, spoil=_rows),
        Field("noise, smoothed", flat, spoil=_smoothed),
        Field("noise, afterglow", flat, spoil=_afterglow),
        Field("noise, JPEG", flat, spoil=_jpeg),
        Field("noise, readout", np.full((PIXELS, PIXELS), _EMPTY), spoil=_readout),
        Field("carbon film, smoothed", film, spoil=_smoothed),
        Field("carbon film, JPEG", film, spoil=_jpeg),
    )


@cache
def atom_fields() -> tuple[Field, ...]:
    """Return the fields with isolated atoms and a cluster."""
    named = [name for name, (_, element) in FILMS.items() if element]
    return tuple(_with_atoms(name, number) for name in named for number in (11, 12))


def main() -> None:
    """Draw all fields."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture")
    path = parser.parse_args().picture
    fields = empty_fields() + atom_fields()
    figure, axes = plt.subplots(3, 7, figsize=(28, 12.5), layout="constrained")
    for known, axis in zip(fields, axes.flat, strict=True):
        dose = 10 * known.ideal_dose or 3e3
        axis.imshow(known.micrograph(dose), cmap="gray")
        axis.plot(*known.yx.T[::-1], "ro", mfc="none", ms=9)
        counts = f", {known.ideal_counts:.1f} e" if known.ideal_dose else ""
        axis.set_title(f"{known.name}, {dose:.0f} e/Å²{counts}")
        axis.axis("off")
    figure.savefig(path, dpi=50)


if __name__ == "__main__":
    main()
