"""What of the measurements is shown on the image: filled maps, arrows, and marks at places."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from napari_stemprior.measurement.arrow_gain import spread_arrows
from napari_stemprior.measurement.filled_map import FilledMap, about_zero, range_about_zero, well_seen
from napari_stemprior.measurement.measurements import Measurements
from napari_stemprior.measurement.strain import Strain
from napari_stemprior.measurement.view import ArrowView, MapView, PlaceView, View

Floats = NDArray[np.float64]

#: A map has at most so many pixels along a side: atoms are farther apart than those of a larger image.
_MAP_SIDE = 600
#: Arrows that are shown at most; of more, every second, third and so on.
_ARROWS = 10_000
_STRAINS = (
    ("xx", "εxx", "%", 100.0),
    ("yy", "εyy", "%", 100.0),
    ("xy", "εxy", "%", 100.0),
    ("rotation", "rotation", "°", 1.0),
)


def views(found: Measurements, shape: tuple[int, int]) -> Iterator[View]:
    """Give what can be shown of the measurements, one after the other.

    Parameters
    ----------
    found : Measurements
    shape : (int, int)
        Rows and columns of the image.

    Yields
    ------
    MapView, ArrowView or PlaceView
    """
    if found.strain is not None:
        yield from _strain_maps(found, found.strain, shape)
    yield _displacements(found)
    yield from _off_centring(found)
    if found.defects is not None and len(found.defects.table):
        rows = found.defects.table
        yield PlaceView(
            "defects", "", rows[["y_angstrom", "x_angstrom"]].to_numpy(float) / found.atoms.pixel_size,
            rows["kind"].to_numpy(object), None, "Sites that are not as the crystal has them.",
        )  # fmt: skip
    yield from _answers(found)


def _strain_maps(found: Measurements, strain: Strain, shape: tuple[int, int]) -> Iterator[MapView]:
    step = max(1, -(-max(shape) // _MAP_SIDE))
    shown = well_seen(found.indices.sublattice, strain.xx_error)
    triangles = FilledMap(np.where(shown[:, None], found.atoms.yx, np.nan), shape, step)
    field, place = found.field_strain, found.fit.field
    for name, label, unit, scale in _STRAINS:
        values = np.where(shown, getattr(strain, name) * scale, np.nan)
        fringes = np.zeros(0) if field is None else about_zero(getattr(field, name) * scale)
        errors = getattr(strain, f"{name}_error")[shown] * scale
        error = float(np.nanmedian(errors)) if np.isfinite(errors).any() else float("nan")
        limits = range_about_zero(2 * error, values, fringes)
        yield MapView(
            label, unit, triangles.fill(values), step, limits,
            f"From the atoms, against the {found.reference.description}; standard error {error:.2g} {unit}.",
        )  # fmt: skip
        if field is not None and place is not None:
            yield MapView(
                f"{label} of the fringes", unit, _on_grid(fringes, place.rows, place.columns_, shape, step),
                step, limits, "Geometric phase analysis with the prior as template, its median taken off.",
            )  # fmt: skip


def _on_grid(
    values: Floats, rows: Floats, columns: Floats, shape: tuple[int, int], step: int
) -> NDArray[np.float32]:
    """Return values of a coarse grid on the pixels of a map; NaN beyond it."""
    middle = (step - 1) / 2
    at = [
        np.interp(np.arange(-(-n // step)) * step + middle, own, np.arange(len(own)), np.nan, np.nan)
        for n, own in zip(shape, (rows, columns), strict=True)
    ]
    grid = np.stack(np.meshgrid(*at, indexing="ij"))
    known = np.isfinite(grid).all(0)
    seen = np.isfinite(values)
    out = map_coordinates(np.where(seen, values, 0.0), np.nan_to_num(grid), order=1)
    share = map_coordinates(seen.astype(float), np.nan_to_num(grid), order=1)
    return np.where(known & (share > 0.999), out, np.nan).astype(np.float32)


def _arrows(
    found: Measurements, name: str, yx: Floats, xy: Floats, error: float, angled: bool, about: str
) -> ArrowView:
    known = np.isfinite(yx).all(1) & np.isfinite(xy).all(1)
    yx, xy = yx[known], xy[known]
    size = found.atoms.pixel_size
    step, gain, large = spread_arrows(yx * size, xy, error if np.isfinite(error) else 0.0, _ARROWS)
    yx, xy = yx[::step], xy[::step]
    angle = np.rad2deg(np.arctan2(xy[:, 1], xy[:, 0])) % 360 if angled else None
    return ArrowView(name, yx, xy[:, ::-1] / size, angle, gain, large, about)


def _displacements(found: Measurements) -> ArrowView:
    errors = found.displacements.error
    error = float(np.nanmedian(errors)) if np.isfinite(errors).any() else float("nan")
    yx = found.displacements.ideal[:, ::-1] / found.atoms.pixel_size
    return _arrows(
        found, "displacements", yx, found.displacements.xy, error, False,
        f"From the {found.reference.description}; standard error of a component {error:.3f} Å.",
    )  # fmt: skip


def _off_centring(found: Measurements) -> Iterator[View]:
    polar = found.polarisation
    if polar is None:
        return
    yx = found.atoms.yx[polar.atom]
    error = float(np.median(polar.error))
    yield _arrows(
        found, f"off-centring of {polar.centre}", yx, polar.xy, error, True,
        f"In the cage of {polar.cage}, coloured by direction; standard error of a component {error:.3f} Å. "
        f"The field is {polar.state}.{polar.about_rows}",
    )  # fmt: skip
    if (polar.domain >= 0).any():
        names = np.array([f"domain {one}" if one >= 0 else "none" for one in polar.domain], object)
        yield PlaceView("domains", "", yx, names, None, "Where neighbouring arrows turn by less than 45°.")


def _answers(found: Measurements) -> Iterator[PlaceView]:
    """Give the marks of single questions."""
    yx = found.atoms.yx
    if (t := found.tilts) is not None:
        yield PlaceView(
            "octahedral tilts", "°", yx[t.atom], t.angle,
            range_about_zero(2 * float(np.median(t.error)), t.angle),
            f"Rotation of the {t.corner} octahedra about {t.centre}: {t.state}.",
        )  # fmt: skip
    if (b := found.bonds) is not None:
        low, high = range_about_zero(2 * float(np.median(b.error)), b.angle - 180)
        yield PlaceView(
            "bond angles", "°", yx[b.atom], b.angle, (180 + low, 180 + high),
            f"Projected angles {b.end}–{b.middle}–{b.end}.",
        )  # fmt: skip
    for site, counts in found.counts.items():
        own = np.flatnonzero(found.indices.site == site)
        known = np.isfinite(counts.count)
        if known.any():
            numbers = counts.count[known].astype(float)
            yield PlaceView(
                f"atoms in {site}", "", yx[own[known]], numbers,
                (float(numbers.min()), float(max(numbers.max(), numbers.min() + 1))),
                "By the steps of the intensity. " + " ".join(counts.reservations),
            )  # fmt: skip
    if (s := found.stacking) is not None:
        if (s.stacking != "").any():
            yield PlaceView("stacking", "", yx[s.atom], s.stacking, None, "Of the second layer on the first.")
        else:
            length = np.linalg.norm(s.shift, axis=1)
            yield PlaceView(
                "stacking", "Å", yx[s.atom], length, (0.0, float(np.nanmax(length, initial=1e-3))),
                "Shortest shift of the second layer from the first.",
            )  # fmt: skip
    if found.boundaries:
        points = np.concatenate([one.points[:, ::-1] for one in found.boundaries]) / found.atoms.pixel_size
        names = np.concatenate([np.full(len(one.points), one.kind, object) for one in found.boundaries])
        yield PlaceView("boundaries", "", points, names, None, "Where two crystals meet.")
