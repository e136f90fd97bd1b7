"""Figures of single questions: tilts, counted atoms, stacking, boundaries, planes and profiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.measurement.figures import panels, show_image
from napari_stemprior.measurement.measurements import Measurements

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Drawn = tuple["Figure", str]
_STACKING_COLOURS = {"AA": "#e6550d", "AB": "#3182bd", "BA": "#31a354", "SP": "#bdbdbd"}
_BOUNDARY_COLOURS = {"grain boundary": "#ffd92f", "antiphase boundary": "#e78ac3", "gap": "#bdbdbd"}


def question_figures(found: Measurements) -> list[tuple[str, Callable[..., Drawn]]]:
    """Return the names and makers of the figures for what was asked and measured.

    Parameters
    ----------
    found : Measurements
    """
    makers: list[tuple[str, bool, Callable[..., Drawn]]] = [
        ("octahedral_tilts", found.tilts is not None, _tilts),
        ("bond_angles", found.bonds is not None, _bonds),
        ("atom_counts", any(np.isfinite(c.count).any() for c in found.counts.values()), _counts),
        ("stacking", found.stacking is not None, _stacking),
        ("boundaries", bool(found.boundaries), _boundaries),
        ("planes", found.planes is not None, _planes),
        ("profiles", bool(found.profiles), _profiles),
    ]
    return [(name, make) for name, wanted, make in makers if wanted]


def _dots(axes: Axes, xy: NDArray[np.float64], values: Any, **more: Any) -> Any:
    """Draw atoms as dots as large as half of the distance between them."""
    from scipy.spatial import cKDTree

    spacing = float(np.median(np.asarray(cKDTree(xy).query(xy, k=2)[0])[:, 1])) if len(xy) > 1 else 1.0
    extent = abs(axes.get_xlim()[1] - axes.get_xlim()[0])
    points = axes.figure.get_figwidth() * 0.7 * 72 / max(len(axes.figure.axes), 1)  # type: ignore[union-attr]
    return axes.scatter(
        xy[:, 0],
        xy[:, 1],
        c=values,
        s=max(2.0, (0.55 * spacing / extent * points) ** 2),
        lw=0,
        zorder=0.5,
        **more,
    )


def _tilts(found: Measurements, image: NDArray[np.floating]) -> Drawn:
    tilts = found.tilts
    assert tilts is not None
    figure, axes = panels(2, width=4.8, height=4.2)
    show_image(axes[0], image, found.atoms.pixel_size)
    reach = max(float(np.quantile(np.abs(tilts.angle), 0.98)), 2 * float(np.median(tilts.error)))
    place = found.atoms.yx_angstrom[tilts.atom, ::-1]
    drawn = _dots(axes[0], place, tilts.angle, cmap="RdBu_r", vmin=-reach, vmax=reach)
    figure.colorbar(drawn, ax=axes[0], shrink=0.75, label="tilt (°)")
    axes[1].hist(tilts.angle, bins=40, color="#9ecae1")
    axes[1].set_xlabel("tilt (°)")
    axes[1].set_ylabel("octahedra")
    return figure, (
        f"Rotation of the {tilts.corner} octahedra about {tilts.centre} against the lattice of "
        f"{tilts.centre}, "
        f"standard error {np.median(tilts.error):.2g}° (median). Alternating amplitude "
        f"{abs(tilts.amplitude):.3g} ± {tilts.amplitude_error:.2g}°: {tilts.state}."
    )


def _bonds(found: Measurements, image: NDArray[np.floating]) -> Drawn:
    bonds = found.bonds
    assert bonds is not None
    figure, axes = panels(2, width=4.8, height=4.2)
    show_image(axes[0], image, found.atoms.pixel_size)
    reach = max(float(np.quantile(np.abs(bonds.angle - 180), 0.98)), 2 * float(np.median(bonds.error)))
    place = found.atoms.yx_angstrom[bonds.atom, ::-1]
    drawn = _dots(axes[0], place, bonds.angle, cmap="PuOr_r", vmin=180 - reach, vmax=180 + reach)
    figure.colorbar(drawn, ax=axes[0], shrink=0.75, label="angle (°)")
    axes[1].hist(bonds.angle, bins=40, color="#9ecae1")
    axes[1].axvline(180, color="black", lw=0.6)
    axes[1].set_xlabel("angle (°)")
    axes[1].set_ylabel("bonds")
    return figure, (
        f"Projected angles {bonds.end}–{bonds.middle}–{bonds.end}, standard error "
        f"{np.median(bonds.error):.2g}° (median); they bend by {bonds.bend:.3g} ± {bonds.bend_error:.2g}° "
        "(root mean square, the errors taken off)."
    )


def _counts(found: Measurements, image: NDArray[np.floating]) -> Drawn:
    figure, axes = panels(2, len(found.counts), width=4.8, height=4.2)
    texts = []
    assert found.cells is not None
    for row, (site, counted) in enumerate(found.counts.items()):
        own = (found.indices.site == site) & np.isfinite(found.cells.value)
        values = found.cells.value[own]
        number = counted.count[np.isfinite(found.cells.value[found.indices.site == site])]
        left, right = axes[2 * row : 2 * row + 2]
        show_image(left, image, found.atoms.pixel_size)
        drawn = _dots(left, found.atoms.yx_angstrom[own, ::-1], number, cmap="viridis")
        figure.colorbar(drawn, ax=left, shrink=0.75, label=f"{site} atoms")
        _, edges, _ = right.hist(values, bins=min(80, max(15, len(values) // 10)), color="#9ecae1")
        grid = np.linspace(edges[0], edges[-1], 600)
        scale = len(values) * (edges[1] - edges[0]) / (counted.deviation * np.sqrt(2 * np.pi))
        bells = [s * scale * np.exp(-0.5 * ((grid - m) / counted.deviation) ** 2)
                 for s, m in zip(counted.share, counted.mean, strict=True)]  # fmt: skip
        for bell in bells:
            right.plot(grid, bell, color="#08306b", lw=0.8)
        right.plot(grid, np.sum(bells, axis=0), color="#e6550d", lw=1)
        right.set_xlabel("scattering cross-section (image × Å²)")
        right.set_ylabel("columns")
        texts.append(
            f"{site}: {len(counted.mean)} components by ICL, {counted.first} to "
            f"{counted.first + len(counted.mean) - 1} atoms, "
            f"mean chance of another number {np.nanmean(counted.chance_of_error):.2g}. "
            + " ".join(counted.reservations)
        )
    return figure, "Atoms in each column, from the steps of its scattering cross-section. " + " ".join(texts)


def _stacking(found: Measurements, image: NDArray[np.floating]) -> Drawn:
    stacking = found.stacking
    assert stacking is not None
    figure, axes = panels(2, width=4.8, height=4.2)
    show_image(axes[0], image, found.atoms.pixel_size)
    place = found.atoms.yx_angstrom[stacking.atom, ::-1]
    named = (stacking.stacking != "").any()
    if named:
        for name, colour in _STACKING_COLOURS.items():
            own = stacking.stacking == name
            if own.any():
                _dots(axes[0], place[own], colour)
                axes[1].scatter(
                    stacking.shift[own, 0], stacking.shift[own, 1], s=8, color=colour, lw=0, label=name
                )
        axes[1].legend(fontsize=8, loc="upper right")
    else:
        _dots(axes[0], place, np.linalg.norm(stacking.shift, axis=1), cmap="viridis")
        axes[1].scatter(stacking.shift[:, 0], stacking.shift[:, 1], s=8, color="#3182bd", lw=0)
    axes[1].set_aspect("equal")
    axes[1].invert_yaxis()
    axes[1].set_xlabel("shift along x (Å)")
    axes[1].set_ylabel("shift along y (Å)")
    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in stacking.share.items())
    return figure, (
        "Local stacking of the second layer on the first, by the nearest named shift "
        f"({shares or stacking.reason}); standard error of a shift "
        f"{np.median(stacking.error):.3f} Å (median)."
    )


def _boundaries(found: Measurements, image: NDArray[np.floating]) -> Drawn:
    figure, axes = panels(1, width=5.4, height=5.0)
    show_image(axes[0], image, found.atoms.pixel_size)
    texts = []
    for number, one in enumerate(found.boundaries):
        colour = _BOUNDARY_COLOURS[one.kind]
        axes[0].scatter(one.points[:, 0], one.points[:, 1], s=14, color=colour, lw=0)
        middle = one.points[len(one.points) // 2]
        axes[0].text(
            float(middle[0]),
            float(middle[1]),
            str(number + 1),
            color="white",
            fontsize=9,
            bbox={"color": "black", "alpha": 0.6, "pad": 1},
        )
        text = f"{number + 1}: {one.kind}, {one.misorientation:.2f} ± {one.misorientation_error:.2f}°"
        if np.isfinite(one.shift).all():
            text += f", shift {one.shift[0]:.2f}, {one.shift[1]:.2f} ± {one.shift_error:.2f} Å"
        texts.append(text)
    return figure, "Boundaries between crystals. " + "; ".join(texts) + "."


def _planes(found: Measurements, image: NDArray[np.floating]) -> Drawn:
    del image
    planes = found.planes
    assert planes is not None
    figure, axes = panels(1, width=6.4, height=2.8)
    middle = (planes.position[:-1] + planes.position[1:]) / 2
    axes[0].errorbar(middle, planes.spacing, planes.spacing_error, fmt="o", ms=3, lw=0.8, color="#08519c")
    axes[0].axhline(planes.ideal, color="black", lw=0.6, ls="--", label=f"reference {planes.ideal:.4f} Å")
    axes[0].set_xlabel("along the normal (Å)")
    axes[0].set_ylabel("spacing (Å)")
    axes[0].legend(fontsize=8)
    angle = np.rad2deg(np.arctan2(planes.normal[1], planes.normal[0]))
    return figure, (
        f"Spacings of planes of {planes.site}, normal at {angle:.1f}° from x towards y; "
        "bars are standard errors."
    )


def _profiles(found: Measurements, image: NDArray[np.floating]) -> Drawn:
    figure, axes = panels(2, width=4.8, height=3.6)
    size = found.atoms.pixel_size
    show_image(axes[0], image, size)
    for number, line in enumerate(found.profiles):
        colour = f"C{number % 10}"
        axes[0].plot(*(np.array([line.start, line.end])[:, ::-1].T * size), color=colour, lw=1.2)
        axes[1].plot(line.position, line.value, color=colour, lw=1, label=str(number + 1))
        axes[1].fill_between(
            line.position, line.value - line.error, line.value + line.error, color=colour, alpha=0.3, lw=0
        )
    axes[1].set_xlabel("along the line (Å)")
    axes[1].set_ylabel("intensity (image)")
    if len(found.profiles) > 1:
        axes[1].legend(fontsize=8)
    width = found.profiles[0].width
    return figure, f"Intensity along lines, averaged over {width:g} Å across; the band is the standard error."
