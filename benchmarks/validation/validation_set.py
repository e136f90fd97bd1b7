"""The validation set: multislice micrographs with known atoms, of crystals held out from training.

``python -m benchmarks.validation.validation_set`` prints what is in it; ``--pictures FOLDER`` draws it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, map_coordinates
from scipy.spatial import cKDTree

from benchmarks.validation.scans import SPECIMENS, KnownScan, load
from benchmarks.validation.specimens import Columns
from napari_stemprior.atoms import AtomTable
from napari_stemprior.structure import StructurePrior

DOSES = (3e2, 1e3, 3e3, 1e4, 3e4)
Map = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Item:
    """A noise-free micrograph and its truth.

    Parameters
    ----------
    name, specimen, scene : str
    image : (H, W) array of float32
        Fraction of the beam.
    pixel_size : float
        Å/px.
    truth : AtomTable
    vacancies : (V, 2) array
        Pixels (y, x) of sites that are empty.
    prior, wrong_prior : StructurePrior
    view : View
        Where the image lies on the specimen.
    vacancy_layers : (V,) array of int
        The layer of each vacancy; 0 is the entrance layer.
    """

    name: str
    specimen: str
    scene: str
    image: NDArray[np.float32]
    pixel_size: float
    truth: AtomTable
    vacancies: NDArray[np.float64]
    prior: StructurePrior
    wrong_prior: StructurePrior
    view: View
    vacancy_layers: NDArray[np.int64]

    def micrograph(self, dose: float, seed: int = 0) -> NDArray[np.float32]:
        """Return the counts at a dose in e/Å², with a little scan jitter and contamination."""
        rng = np.random.default_rng([seed, int(dose), *self.name.encode()])
        return noisy(self.image, self.pixel_size, dose, rng)


@dataclass(frozen=True)
class View:
    """A pixel grid laid on a specimen, possibly through a smooth displacement.

    Parameters
    ----------
    pixel_size : float
        Å/px.
    shape : (int, int)
    angle : float
        Degrees.
    offset : (float, float)
        Å, the specimen position at the middle of the image.
    strain : float
        Amplitude of the displacement in Å.
    phase : float
        Radians, of the displacement.
    """

    pixel_size: float
    shape: tuple[int, int]
    angle: float
    offset: tuple[float, float]
    strain: float = 0.0
    phase: float = 0.0

    def _turn(self) -> NDArray[np.float64]:
        t = np.deg2rad(self.angle)
        return np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])

    def _displacement(self, lab: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the displacement at laboratory positions; wavelengths of some 30 Å."""
        if not self.strain:
            return np.zeros_like(lab)
        x, y = lab[..., 0], lab[..., 1]
        return self.strain * np.stack(
            [
                np.sin(2 * np.pi * (0.55 * x + 0.84 * y) / 33 + self.phase),
                np.sin(2 * np.pi * (0.92 * x - 0.39 * y) / 29 + 1.7 * self.phase),
            ],
            axis=-1,
        )

    def to_specimen(self, yx: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry pixels (y, x) to positions in the undisturbed specimen in Å."""
        lab = (np.asarray(yx, float) - (np.array(self.shape) - 1) / 2)[..., ::-1] * self.pixel_size
        return (lab - self._displacement(lab)) @ self._turn() + self.offset

    def to_pixels(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry specimen positions in Å to pixels (y, x): the inverse of `to_specimen`."""
        rest = (np.asarray(xy, float) - self.offset) @ self._turn().T
        lab = rest.copy()
        for _ in range(60):  # contracts: the strain stays near a tenth
            lab = rest + self._displacement(lab)
        return lab[..., ::-1] / self.pixel_size + (np.array(self.shape) - 1) / 2

    def columns(self, columns: Columns, margin: float = 3.0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """List the columns on the image and `margin` Å around it.

        Returns
        -------
        yx : (M, 2) array
            Pixels.
        index : (M,) array
            Into the columns of the cell.
        """
        reach = np.hypot(*self.shape) * self.pixel_size / 2 + 2 * self.strain + margin
        low = np.floor((np.array(self.offset) - reach) / columns.cell).astype(int)
        high = np.ceil((np.array(self.offset) + reach) / columns.cell).astype(int)
        cells = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), -1).reshape(-1, 1, 2)
        xy = (columns.xy[None] + cells * np.array(columns.cell)).reshape(-1, 2)
        index = np.tile(np.arange(len(columns.xy)), len(cells))
        yx = self.to_pixels(xy)
        pad = margin / self.pixel_size
        inside = ((yx > -pad) & (yx < np.array(self.shape) + pad)).all(axis=1)
        return yx[inside], index[inside]

    def draw(self, known: KnownScan) -> NDArray[np.float64]:
        """Return the image of the specimen on this grid."""
        grid = np.stack(np.indices(self.shape), -1).astype(float)
        return known.scan.at(self.to_specimen(grid))


def noisy(
    image: NDArray[np.float32], pixel_size: float, dose: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Turn an ideal image into detected electrons.

    A chain of its own, so that a change of the training noise does not move the yardstick: rows
    jitter by 0.05 Å, a film adds up to 15 % of the mean signal, and the electrons are counted.
    """
    height, width = image.shape
    walk = gaussian_filter1d(rng.normal(size=height), 3.0)
    shift = 0.05 / pixel_size * (0.7 * rng.normal(size=height) + 0.7 * walk / walk.std())
    columns = np.arange(width) + shift[:, None]
    rows = np.broadcast_to(np.arange(height)[:, None], columns.shape)
    scanned = map_coordinates(image, [rows, columns], order=3, mode="nearest")
    y, x = np.indices(image.shape) / np.array([height, width]).reshape(2, 1, 1)
    place, spread = rng.uniform(0, 1, 2), rng.uniform(0.3, 0.8)
    film = np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * spread**2))
    signal = np.clip(scanned, 0, None) + 0.15 * image.mean() * film
    return rng.poisson(signal * dose * pixel_size**2).astype(np.float32)


def on_image(yx: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Tell which positions lie on the pixels of an image."""
    return np.asarray(((yx >= -0.5) & (yx < np.array(shape) - 0.5)).all(axis=1))


def table(yx: NDArray[np.float64], columns: Columns, index: NDArray[np.int64], view: View) -> AtomTable:
    """Make a truth of the columns that lie on the image."""
    inside = on_image(yx, view.shape)
    kept = index[inside]
    return AtomTable.from_positions(
        yx[inside],
        view.pixel_size,
        element=columns.element[kept].astype(object),
        site=columns.site[kept].astype(object),
        layer=columns.layer[kept],
    )


def share(yx: NDArray[np.float64], keep: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return at each pixel the part of the image that belongs to the columns kept.

    The image of a crystal is divided among its columns by normalised Gaussians, so that taking
    columns away leaves the others and their tails.
    """
    spacing = np.median(cKDTree(yx).query(yx, k=[2])[0])
    pixels = np.stack(np.indices(shape), -1).reshape(-1, 2)
    near = min(12, len(yx))
    distance, index = cKDTree(yx).query(pixels, k=near)
    weight = np.exp(-0.5 * ((distance**2 - distance[:, :1] ** 2) / (0.3 * spacing) ** 2))
    part: NDArray[np.float64] = (weight * keep[index]).sum(1) / weight.sum(1)
    return part.reshape(shape)


def vacant(known: KnownScan, view: View) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """List the sites on the image that are empty in the simulated cell: pixels (y, x) and layers."""
    if known.vacancies is None:
        return np.empty((0, 2)), np.empty(0, np.int64)
    yx, index = view.columns(known.vacancies)
    inside = on_image(yx, view.shape)
    return yx[inside], known.vacancies.layer[index[inside]]


def as_it_is(known: KnownScan, view: View) -> tuple[NDArray[np.float64], AtomTable, NDArray[np.float64]]:
    """Perfect crystal, strained crystal, bilayer, or a simulated cell with vacancies."""
    yx, index = view.columns(known.columns)
    return view.draw(known), table(yx, known.columns, index, view), vacant(known, view)[0]


def hole(known: KnownScan, view: View) -> tuple[NDArray[np.float64], AtomTable, NDArray[np.float64]]:
    """Crystal with an irregular hole."""
    yx, index = view.columns(known.columns)
    centre = np.array(view.shape) * (0.45, 0.56)
    away = (yx - centre) * view.pixel_size
    bearing = np.arctan2(away[:, 0], away[:, 1])
    edge = 8.0 + 2.0 * np.sin(2 * bearing + 1) + 1.2 * np.sin(5 * bearing)
    keep = np.hypot(*away.T) > edge
    image = view.draw(known) * share(yx, keep, view.shape)
    truth = table(yx[keep], known.columns, index[keep], view)
    return image, truth, np.empty((0, 2))


def grains(known: KnownScan, view: View) -> tuple[NDArray[np.float64], AtomTable, NDArray[np.float64]]:
    """Two grains, the second turned by 17 degrees, that meet along a line."""
    other = View(view.pixel_size, view.shape, view.angle + 17.0, (view.offset[0] + 0.9, view.offset[1] + 1.3))
    normal = np.array([np.cos(0.5), np.sin(0.5)])
    image = np.zeros(view.shape)
    parts = []
    for side, grain in ((1, view), (-1, other)):
        yx, index = grain.columns(known.columns)
        keep = side * ((yx - np.array(view.shape) / 2) @ normal) > 0
        if parts:  # no two atoms on one another at the boundary
            spacing = np.median(cKDTree(yx).query(yx, k=[2])[0])
            keep &= cKDTree(parts[0][0]).query(yx)[0] > 0.8 * spacing
        image += grain.draw(known) * share(yx, keep, view.shape)
        parts.append((yx[keep], index[keep]))
    yx = np.concatenate([p[0] for p in parts])
    index = np.concatenate([p[1] for p in parts])
    return image, table(yx, known.columns, index, view), np.empty((0, 2))


#: Specimen, scene, pixel size, pixels, strain amplitude (Å), wrong prior. The number of a view seeds its
#: place and is in its name, which seeds its noise: add views at the end alone.
_PLAN = (
    ("wse2", "perfect", 0.16, 320, 0.0, "SrTiO3 [001]"),
    ("wse2", "strain", 0.14, 384, 0.5, "Au [100]"),
    ("wse2", "hole", 0.20, 256, 0.0, "MoTe2"),
    ("wse2", "grains", 0.12, 384, 0.0, "Si [110]"),
    ("wse2_vacancies", "vacancies", 0.15, 320, 0.0, "TiO2 rutile [001]"),
    ("wse2_vacancies", "vacancies", 0.10, 384, 0.0, "h-BN"),
    ("gaas_110", "perfect", 0.10, 448, 0.0, "MoS2"),
    ("gaas_110", "strain", 0.12, 384, 0.5, "WS2"),
    ("gaas_110", "grains", 0.14, 352, 0.0, "NaCl [001]"),
    ("gaas_110", "hole", 0.18, 288, 0.0, "Fe [100]"),
    ("srtio3_110", "perfect", 0.13, 384, 0.0, "Ge [110]"),
    ("srtio3_110", "strain", 0.10, 448, 0.5, "MoSe2"),
    ("srtio3_110", "grains", 0.16, 320, 0.0, "Pt [110]"),
    ("graphene", "perfect", 0.10, 384, 0.0, "Al [100]"),
    ("graphene", "hole", 0.12, 384, 0.0, "WS2"),
    ("graphene_vacancies", "vacancies", 0.11, 384, 0.0, "MoS2"),
    ("wse2_twisted", "bilayer", 0.12, 384, 0.0, "GaN [11-20]"),
    ("wse2_twisted", "bilayer", 0.16, 288, 0.0, "graphene"),
    ("mose2_on_ws2", "bilayer", 0.10, 448, 0.0, "Si [110]"),
    ("mose2_on_ws2", "bilayer", 0.14, 352, 0.3, "BaTiO3 [001]"),
    ("wte2", "perfect", 0.14, 320, 0.0, "Cu [110]"),
    ("wte2", "strain", 0.11, 384, 0.5, "MgO [110]"),
    ("wte2_vacancies", "vacancies", 0.12, 384, 0.0, "NbSe2"),
    ("res2", "perfect", 0.12, 384, 0.0, "CeO2 [110]"),
    ("res2", "grains", 0.15, 320, 0.0, "TaS2"),
    ("res2", "hole", 0.17, 288, 0.0, "PbTe [001]"),
    ("tio2_001", "perfect", 0.09, 384, 0.0, "WSe2"),
    ("tio2_001", "strain", 0.12, 352, 0.5, "SrTiO3 [001]"),
    ("tio2_001", "grains", 0.11, 352, 0.0, "Fe [110]"),
    ("licoo2_1120", "perfect", 0.10, 384, 0.0, "graphene"),
    ("licoo2_1120", "hole", 0.12, 352, 0.0, "Si [110]"),
    ("wse2_twisted_vacancies", "bilayer", 0.11, 400, 0.0, "MoTe2"),
    ("wse2_twisted_vacancies", "bilayer", 0.15, 320, 0.0, "PbTe [001]"),
)
_DRAW = {"hole": hole, "grains": grains}


@cache
def items(chosen: str = "") -> tuple[Item, ...]:
    """Draw the set without noise, the same every time; `chosen` is part of the names wanted."""
    from napari_stemprior.structure import built_in

    drawn = []
    for number, (specimen, scene, pixel_size, pixels, strain, wrong) in enumerate(_PLAN):
        name = f"{number:02d} {specimen} {scene}"
        if chosen not in name:
            continue
        rng = np.random.default_rng([7, number])
        known = load(specimen)
        offset = rng.uniform(0, 1, 2) * known.columns.cell
        view = View(
            pixel_size,
            (pixels, pixels),
            float(rng.uniform(0, 360)),
            (float(offset[0]), float(offset[1])),
            strain,
            float(rng.uniform(0, 6)),
        )
        image, truth, empty = _DRAW.get(scene, as_it_is)(known, view)
        drawn.append(
            Item(
                name,
                specimen,
                scene,
                np.clip(image, 0, None).astype(np.float32),
                pixel_size,
                truth,
                empty,
                SPECIMENS[specimen].prior_object,
                built_in(wrong),
                view,
                vacant(known, view)[1],
            )
        )
    return tuple(drawn)


def main() -> None:
    """Print the set and draw it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, help="folder for one PNG an item")
    parser.add_argument("--dose", type=float, default=1e4, help="e/Å² of the pictures")
    options = parser.parse_args()
    for item in items():
        hidden = int((item.truth.rows["layer"] > 0).sum())
        print(
            f"{item.name:32s} {item.image.shape[0]:4d} px of {item.pixel_size:.2f} Å  "
            f"{len(item.truth):5d} atoms, {hidden:4d} hidden, {len(item.vacancies):3d} vacancies, "
            f"{item.image.min():.4f} to {item.image.max():.4f} of the beam"
        )
        if options.pictures:
            draw(item, options.dose, options.pictures / f"{item.name.replace(' ', '_')}.png")


def draw(item: Item, dose: float, path: Path) -> None:
    """Draw clean image, noisy image and truth side by side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(18, 6.2), layout="constrained")
    axes[0].imshow(item.image, cmap="gray")
    axes[1].imshow(item.micrograph(dose), cmap="gray")
    axes[2].imshow(item.image, cmap="gray")
    rows = item.truth.rows
    for (element, layer), part in rows.groupby(["element", "layer"]):
        axes[2].plot(part["x_px"], part["y_px"], ".", ms=4, label=f"{element} layer {layer}")
    axes[2].plot(*item.vacancies.T[::-1], "rx", label="vacancy")
    axes[2].legend(loc="upper right")
    figure.suptitle(f"{item.name}, {dose:g} e/Å²")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=60)
    plt.close(figure)


if __name__ == "__main__":
    main()
