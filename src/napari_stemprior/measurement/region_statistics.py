"""Statistics of every number of the table of columns inside a drawn region."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.reference_lattice import in_polygon, polygon

#: Columns of the table that are names or places and have no statistics.
_NAMES = ("atom_id", "x_px", "y_px", "x_angstrom", "y_angstrom", "layer", "h", "k", "grain", "part", "domain",
          "x_ideal_angstrom", "y_ideal_angstrom")  # fmt: skip
#: Directions in degrees, and after how many they repeat.
_CIRCULAR = {"ellipse_direction_degrees": 180.0}


def region_statistics(columns: pd.DataFrame, region: ArrayLike, by_site: bool = True) -> pd.DataFrame:
    """Summarise the table of columns inside a polygon.

    Parameters
    ----------
    columns : pandas.DataFrame
        Of `column_table`.
    region : (V, 2) array-like
        Corners in pixels (y, x); two are those of a rectangle.
    by_site : bool
        Each site of the lattice by itself.

    Returns
    -------
    pandas.DataFrame
        One row a site and quantity: ``lattice_site, quantity, count, mean, error_of_mean, deviation,
        median, low, high``. The error of the mean is the deviation over the root of the count; `low` and
        `high` hold the middle 95 %. Directions are averaged on the circle. NaN where there are too few
        values.

    Raises
    ------
    MeasurementError
        If the region is no polygon, or no atom lies in it.
    """
    corners = polygon(region)
    inside = in_polygon(columns[["y_px", "x_px"]].to_numpy(float), corners)
    if not inside.any():
        raise MeasurementError("No atom lies in the region; draw it on the atoms.")
    rows = columns[inside]
    groups = [("", rows)]
    if by_site and "lattice_site" in rows:
        groups = [(str(site), part) for site, part in rows.groupby("lattice_site", sort=True) if site]
        groups = groups or [("", rows)]
    out = []
    for site, part in groups:
        for name in part.columns:
            if name in _NAMES or name.endswith(("_error", "_error_angstrom", "_error_degrees")):
                continue
            if not pd.api.types.is_numeric_dtype(part[name]):
                continue
            values = part[name].to_numpy(float, na_value=np.nan)
            out.append({"lattice_site": site, "quantity": name, **_summary(values, _CIRCULAR.get(name))})
    return pd.DataFrame(out)


def _summary(values: NDArray[np.float64], period: float | None) -> dict[str, float | int]:
    known = values[np.isfinite(values)]
    n = len(known)
    if period is not None and n:
        # unfold about the circular mean, so that 179 and 1 are neighbours
        phase = np.exp(2j * np.pi * known / period).mean()
        middle = float(np.angle(phase)) / (2 * np.pi) * period
        known = (known - middle + period / 2) % period - period / 2 + middle
    nan = float("nan")
    deviation = float(known.std(ddof=1)) if n > 1 else nan
    low, high = (float(q) for q in np.quantile(known, [0.025, 0.975])) if n else (nan, nan)
    mean = float(known.mean()) if n else nan
    return {
        "count": n, "mean": mean % period if period is not None else mean,
        "error_of_mean": deviation / np.sqrt(n) if n > 1 else nan, "deviation": deviation,
        "median": float(np.median(known)) if n else nan, "low": low, "high": high,
    }  # fmt: skip
