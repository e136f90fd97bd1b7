"""Figures of a paper: maps with scale bar and colour bar, arrows, histograms. Drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import MissingPackageError
from napari_stemprior.measurement.arrow_gain import spread_arrows
from napari_stemprior.measurement.filled_map import HOLE, about_zero, range_about_zero, well_seen
from napari_stemprior.measurement.measurements import Measurements

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

#: Inches: width of one panel.
_PANEL = 3.6
#: Arrows that are drawn at most; of more, every second, third and so on.
_ARROWS = 2500
_DEFECT_MARKS = {
    "vacancy": ("o", "#e6550d"), "partial vacancy": ("s", "#fdae6b"), "substitution": ("D", "#31a354"),
    "antisite": ("^", "#756bb1"), "interstitial": ("x", "#de2d26"),
}  # fmt: skip


def check_matplotlib() -> None:
    """Look whether matplotlib is installed, without importing it.

    Raises
    ------
    MissingPackageError
        If it is not.
    """
    if find_spec("matplotlib") is None:
        raise MissingPackageError(
            "Figures need matplotlib; install it with pip install 'napari-stemprior[figures]', or leave "
            "them out."
        )


def draw_figures(found: Measurements, image: NDArray[np.floating]) -> dict[str, tuple[Figure, str]]:
    """Draw what was measured.

    Parameters
    ----------
    found : Measurements
    image : (H, W) array
        The micrograph, for the background.

    Returns
    -------
    dict
        By file name without ending: the figure and its caption.

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.
    """
    check_matplotlib()
    makers: list[tuple[str, bool, Callable[..., tuple[Figure, str]]]] = [
        ("strain", found.strain is not None, _strain),
        ("displacements", True, _displacements),
        ("polarisation", found.polarisation is not None, _polarisation),
        ("defects", found.defects is not None, _defects),
        ("pair_correlation", found.pair_correlation is not None, _pairs),
        ("intensities", bool(found.mixtures), _intensities),
        ("scan_errors", found.scan_errors is not None, _scan),
    ]
    from napari_stemprior.measurement.figures_of_questions import question_figures

    wanted_makers = [(name, make) for name, wanted, make in makers if wanted] + question_figures(found)
    return {name: make(found, image) for name, make in wanted_makers}


def panels(
    columns: int, rows: int = 1, width: float = _PANEL, height: float = _PANEL
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels, of so many inches each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


def show_image(axes: Axes, image: NDArray[np.floating], size: float) -> None:
    """Draw the micrograph in grey, in Å, with a scale bar."""
    low, high = np.nanpercentile(image, [1, 99.5])
    height, width = image.shape
    extent = (-0.5 * size, (width - 0.5) * size, (height - 0.5) * size, -0.5 * size)
    step = max(1, int(max(image.shape) / 1500))
    axes.imshow(
        image[::step, ::step], cmap="gray", vmin=low, vmax=high, extent=extent, interpolation="nearest"
    )
    _frame(axes, image.shape, size)


def _frame(axes: Axes, shape: tuple[int, ...], size: float) -> None:
    from matplotlib.patches import Rectangle

    height, width = shape[0] * size, shape[1] * size
    axes.set_xlim(-0.5 * size, width)
    axes.set_ylim(height, -0.5 * size)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    length = scale_bar_length(width)
    text = f"{length / 10:g} nm" if length >= 10 else f"{length:g} Å"
    x, y = 0.04 * width, height - 0.05 * height
    axes.add_patch(
        Rectangle(
            (x - 0.02 * width, y - 0.085 * height),
            length + 0.04 * width,
            0.115 * height,
            color="black",
            alpha=0.55,
            lw=0,
        )
    )
    axes.add_patch(Rectangle((x, y), length, 0.015 * height, color="white", lw=0))
    axes.text(x + length / 2, y - 0.015 * height, text, color="white", ha="center", va="bottom", fontsize=8)


def scale_bar_length(width: float) -> float:
    """Return a length of 1, 2 or 5 times a power of ten, about a quarter of `width`."""
    raw = width / 4
    power = 10.0 ** np.floor(np.log10(raw))
    return float(power * max(step for step in (1, 2, 5) if step * power <= raw * 1.0001))


def _map(axes: Axes, xy: Floats, values: Floats, limit: tuple[float, float], cmap: str) -> Any:
    """Fill the plane between places by linear interpolation, leaving holes open."""
    from matplotlib.tri import Triangulation

    known = np.isfinite(values) & np.isfinite(xy).all(1)
    if np.count_nonzero(known) < 4:
        axes.text(0.5, 0.5, "too few values", ha="center", transform=axes.transAxes)
        return None
    triangles = Triangulation(*xy[known].T)
    corners = xy[known][triangles.triangles]
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1).max(1)
    triangles.set_mask(sides > HOLE * np.median(sides))
    return axes.tripcolor(
        triangles, values[known], shading="gouraud", cmap=cmap, vmin=limit[0], vmax=limit[1]
    )


def _strain(found: Measurements, image: NDArray[np.floating]) -> tuple[Figure, str]:
    strain, field = found.strain, found.field_strain
    assert strain is not None
    size, shape = found.atoms.pixel_size, image.shape
    figure, axes = panels(4, 1 if field is None else 2)
    xy = found.atoms.yx_angstrom[:, ::-1]
    shown = well_seen(found.indices.sublattice, strain.xx_error)
    names = (
        ("xx", "εxx (%)", 100.0),
        ("yy", "εyy (%)", 100.0),
        ("xy", "εxy (%)", 100.0),
        ("rotation", "rotation (°)", 1.0),
    )
    for number, (name, label, scale) in enumerate(names):
        values = np.where(shown, getattr(strain, name) * scale, np.nan)
        other = np.zeros(0) if field is None else about_zero(getattr(field, name) * scale)
        error = _usual(getattr(strain, f"{name}_error")[shown]) * scale
        limit = range_about_zero(2 * error, values, other)
        drawn = _map(axes[number], xy, values, limit, "RdBu_r")
        axes[number].set_title(f"{label}, error {error:.2g}", fontsize=9)
        _frame(axes[number], shape, size)
        both = [axes[number]]
        if field is not None:
            assert found.fit.field is not None
            rows, columns = found.fit.field.rows * size, found.fit.field.columns_ * size
            drawn = axes[4 + number].pcolormesh(
                columns,
                rows,
                other,
                cmap="RdBu_r",
                vmin=limit[0],
                vmax=limit[1],
                shading="gouraud" if np.isfinite(other).all() else "nearest",
            )
            axes[4 + number].set_title(f"{label}, of the fringes", fontsize=9)
            _frame(axes[4 + number], shape, size)
            both.append(axes[4 + number])
        if drawn is not None:
            figure.colorbar(drawn, ax=both, shrink=0.75, aspect=25 if field is None else 40)
    caption = (
        f"Strain and rotation against the {found.reference.description}, first axis at {found.axis:g}° "
        "from x towards y (down). From the atoms: affine fits over each atom and its eight nearest "
        "neighbours of the same site, of the sublattices that are seen well."
    )
    if field is not None:
        caption += (
            " Of the fringes: geometric phase analysis with the prior as template, its median taken off."
        )
    return figure, caption


def _usual(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _backdrop(axes: Axes) -> None:
    """Darken the corner in which the scale of the arrows stands."""
    from matplotlib.patches import Rectangle

    axes.add_patch(
        Rectangle((0.6, 0.01), 0.39, 0.06, transform=axes.transAxes, color="black", alpha=0.7, lw=0, zorder=4)
    )


def _arrows(axes: Axes, xy: Floats, arrow: Floats, error: float, colour: Any, **more: Any) -> float:
    """Draw arrows, the larger ones as long as atoms are apart, noise no longer; return the gain."""
    known = np.isfinite(arrow).all(1)
    xy, arrow = xy[known], arrow[known]
    if not isinstance(colour, str):
        colour = np.asarray(colour)[known]
    if len(xy) < 2:
        return 1.0
    step, gain, large = spread_arrows(xy, arrow, error, _ARROWS)
    some = slice(None, None, step)
    options = {"angles": "xy", "scale_units": "xy", "scale": 1 / gain, "width": 0.004, **more}
    if isinstance(colour, str):
        quiver = axes.quiver(*xy[some].T, *arrow[some].T, color=colour, **options)
    else:
        quiver = axes.quiver(*xy[some].T, *arrow[some].T, colour[some], **options)
    key = float(f"{large:.1g}")
    axes.quiverkey(
        quiver, 0.72, 0.04, key, f"{key:g} Å (× {gain:g})", labelpos="E", labelcolor="white",
        color="white", fontproperties={"size": 8}, zorder=5,
    )  # fmt: skip
    _backdrop(axes)
    return gain


def _displacements(found: Measurements, image: NDArray[np.floating]) -> tuple[Figure, str]:
    figure, axes = panels(1, width=5.4, height=5.0)
    size = found.atoms.pixel_size
    show_image(axes[0], image, size)
    error = float(np.nanmedian(found.displacements.error))
    gain = _arrows(axes[0], found.displacements.ideal, found.displacements.xy, error, "#ffd92f")
    return figure, (
        f"Displacements from the {found.reference.description}, drawn {gain:g} times as long; standard "
        "error of a "
        f"component {error:.3f} Å (median)."
    )


def _polarisation(found: Measurements, image: NDArray[np.floating]) -> tuple[Figure, str]:
    polar = found.polarisation
    assert polar is not None
    figure, axes = panels(2, width=4.8, height=4.4)
    size = found.atoms.pixel_size
    show_image(axes[0], image, size)
    place = found.atoms.yx_angstrom[polar.atom, ::-1]
    gain = _arrows(
        axes[0], place, polar.xy, float(np.median(polar.error)), polar.angle, cmap="hsv", clim=(0, 360)
    )
    edges, counts = polar.histogram()
    axes[1].remove()
    rose = figure.add_subplot(1, 2, 2, projection="polar")
    from matplotlib import colormaps

    middle = np.deg2rad((edges[:-1] + edges[1:]) / 2)
    rose.bar(middle, counts, width=np.deg2rad(np.diff(edges)), color=colormaps["hsv"](middle / (2 * np.pi)))
    rose.set_theta_direction(-1)  # type: ignore[attr-defined]
    rose.set_title(f"directions of {len(polar.atom)} arrows", fontsize=9)
    caption = (
        f"Off-centring of {polar.centre} in the cage of {polar.cage}, drawn {gain:g} times as long, "
        "coloured by "
        f"direction; standard error of a component {np.median(polar.error):.3f} Å (median). The field is "
        f"{polar.state}: "
        f"χ² per degree of freedom {polar.excess:.3g}, agreement of neighbours {polar.agreement:.2f} "
        f"(chance {polar.chance_of_agreement:.2g}).{polar.about_rows}"
    )
    return figure, caption


def _defects(found: Measurements, image: NDArray[np.floating]) -> tuple[Figure, str]:
    assert found.defects is not None
    figure, axes = panels(1, width=5.4, height=5.0)
    show_image(axes[0], image, found.atoms.pixel_size)
    for kind, (marker, colour) in _DEFECT_MARKS.items():
        rows = found.defects.of(kind)
        if len(rows):
            face: Any = colour if marker == "x" else "none"
            axes[0].scatter(
                rows["x_angstrom"], rows["y_angstrom"], s=36, marker=marker, facecolors=face,
                edgecolors=None if marker == "x" else colour, linewidths=1.3, label=f"{kind} ({len(rows)})",
            )  # fmt: skip
    if len(found.defects.table):
        axes[0].legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=3)
    return figure, f"Point defects among {len(found.defects.examined)} sites on {found.defects.area:.1f} nm²."


def _pairs(found: Measurements, image: NDArray[np.floating]) -> tuple[Figure, str]:
    del image
    pairs = found.pair_correlation
    assert pairs is not None
    figure, axes = panels(1, width=4.8, height=3.2)
    middle = (pairs.edges[:-1] + pairs.edges[1:]) / 2
    axes[0].fill_between(
        middle, pairs.low, pairs.high, color="#cccccc", label="95 % of random arrangements", step="mid"
    )
    axes[0].step(middle, pairs.ratio, where="mid", color="#08519c", label="observed")
    axes[0].axhline(1, color="black", lw=0.6)
    axes[0].set_xlabel("distance (Å)")
    axes[0].set_ylabel("pairs / random pairs")
    axes[0].legend(fontsize=8)
    return figure, (
        f"Pair correlation of the vacancies: {pairs.verdict} (chance {pairs.chance:.2g}; next vacancy at "
        f"{pairs.nearest:.2f} Å on average, {pairs.nearest_random:.2f} Å at random)."
    )


def _intensities(found: Measurements, image: NDArray[np.floating]) -> tuple[Figure, str]:
    del image
    assert found.cells is not None
    figure, axes = panels(len(found.mixtures), width=3.4, height=2.8)
    for panel, (site, mixture) in zip(axes, found.mixtures.items(), strict=True):
        values = found.cells.value[found.indices.site == site]
        values = values[np.isfinite(values)]
        counts, edges, _ = panel.hist(values, bins=min(60, max(10, len(values) // 20)), color="#9ecae1")
        grid = np.linspace(edges[0], edges[-1], 400)
        scale = len(values) * (edges[1] - edges[0])
        for share, mean, deviation in zip(mixture.share, mixture.mean, mixture.deviation, strict=True):
            bell = np.exp(-0.5 * ((grid - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi))
            panel.plot(grid, scale * share * bell, color="#08306b", lw=1)
        panel.set_ylim(0, 1.15 * max(float(np.max(counts)), 1))
        panel.set_title(f"{site}: {len(values)} columns, {len(mixture)} by BIC", fontsize=9)
        panel.set_xlabel("integrated intensity (image × Å²)", fontsize=8)
    axes[0].set_ylabel("columns", fontsize=8)
    return figure, (
        "Integrated intensities of the Voronoi cells by site, background off, with the Gaussian mixture "
        "of the "
        "smallest Bayesian information criterion."
    )


def _scan(found: Measurements, image: NDArray[np.floating]) -> tuple[Figure, str]:
    del image
    scan = found.scan_errors
    assert scan is not None
    figure, axes = panels(1, width=6.4, height=2.8)
    for axis, (name, colour) in enumerate((("x", "#08519c"), ("y", "#e6550d"))):
        axes[0].errorbar(
            scan.position, 100 * scan.shift[:, axis], 100 * scan.error, color=colour, lw=0.8, elinewidth=0.4,
            label=f"along {name}: {100 * scan.jitter[axis]:.2g} pm rms, chance {scan.chance[axis]:.2g}",
        )  # fmt: skip
    axes[0].axhline(0, color="black", lw=0.6)
    axes[0].set_xlabel("slow axis of the scan (Å)")
    axes[0].set_ylabel("shift (pm)")
    axes[0].legend(fontsize=8)
    removed = (
        "They were taken out of displacements and strain."
        if found.scan_errors_removed
        else ("They were left in displacements and strain.")
    )
    return figure, f"Shifts that the atoms of a {scan.by} of the scan have in common. {removed}"
