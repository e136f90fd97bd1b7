"""The one table: everything that is measured of each column, in a row."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.measurement.atom_counting import AtomCounts
from napari_stemprior.measurement.column_fit import ColumnFit
from napari_stemprior.measurement.displacements import Displacements
from napari_stemprior.measurement.intensities import CellIntensities
from napari_stemprior.measurement.lattice_indices import LatticeIndices
from napari_stemprior.measurement.neighbours import NeighbourDistances
from napari_stemprior.measurement.octahedra import BondAngles, OctahedralTilts
from napari_stemprior.measurement.polarisation import Polarisation
from napari_stemprior.measurement.stacking import StackingMap
from napari_stemprior.measurement.strain import Strain

Floats = NDArray[np.float64]

#: What each column of the table means. x runs to the right and y down; errors are standard errors.
MEANINGS: dict[str, str] = {
    "atom_id": "number of the atom in the table of atoms",
    "x_px": "pixels along the row; pixel centres lie on integers",
    "y_px": "pixels down the column",
    "x_angstrom": "Å",
    "y_angstrom": "Å",
    "element": "of the table of atoms",
    "layer": "0 is the entrance side",
    "lattice_site": "site of the lattice on which the atom lies",
    "h": "cell along the first vector of the prior",
    "k": "cell along the second vector",
    "grain": "which lattice, and of a stack which layer, the atom belongs to",
    "part": "connected part of that lattice, 0 the largest",
    "position_error_angstrom": "along one axis",
    "intensity_cell": "Voronoi cell, background off; units of the image times Å²",
    "intensity_cell_error": "from the noise of the pixels",
    "cell_area_angstrom2": "Å²",
    "intensity_fit": "volume of the Gaussian; units of the image times Å²",
    "intensity_fit_error": "",
    "width_angstrom": "geometric mean of the two standard deviations of the Gaussian",
    "width_error_angstrom": "",
    "ellipticity": "longer over shorter standard deviation; noise raises it",
    "ellipticity_error": "",
    "ellipse_direction_degrees": "of the longer axis, from x towards y, 0 to 180",
    "ellipse_direction_error_degrees": "",
    "x_ideal_angstrom": "site of the reference lattice",
    "y_ideal_angstrom": "",
    "dx_angstrom": "displacement from the ideal site",
    "dy_angstrom": "",
    "displacement_error_angstrom": "of a component; that of the reference is in it",
    "strain_xx": "relative elongation along the first axis",
    "strain_xx_error": "",
    "strain_yy": "along the second axis",
    "strain_yy_error": "",
    "strain_xy": "half of the change of the angle between the axes",
    "strain_xy_error": "",
    "rotation_degrees": "of the lattice, from x towards y",
    "rotation_error_degrees": "",
    "neighbours": "of the first shell, found",
    "neighbours_expected": "that the crystal has",
    "neighbour_mean_angstrom": "distance to those that are there",
    "neighbour_mean_error_angstrom": "",
    "neighbour_nearest_angstrom": "",
    "neighbour_nearest_error_angstrom": "",
    "off_centre_x_angstrom": "from the middle of the cage",
    "off_centre_y_angstrom": "",
    "off_centre_error_angstrom": "of a component",
    "domain": "0 the largest",
    "octahedral_tilt_degrees": "of the octahedron around this centre, from x towards y",
    "octahedral_tilt_error_degrees": "",
    "bond_angle_degrees": "at this atom between its two ends, from x towards y; 180 is straight",
    "bond_angle_error_degrees": "",
    "atom_count": "atoms in the column, by the steps of the intensity",
    "atom_count_chance_of_error": "that it is another number",
    "stacking": "AA, AB, BA or SP, whichever shift of the second layer is nearest",
    "stacking_shift_x_angstrom": "of the second layer from the first, the shortest",
    "stacking_shift_y_angstrom": "",
    "stacking_shift_error_angstrom": "of a component",
    "reason": "why a number is missing",
}


def column_table(
    atoms: AtomTable,
    indices: LatticeIndices,
    moved: Displacements,
    *,
    strain: Strain | None = None,
    fit: ColumnFit | None = None,
    cells: CellIntensities | None = None,
    distances: NeighbourDistances | None = None,
    polar: Polarisation | None = None,
    tilts: OctahedralTilts | None = None,
    bonds: BondAngles | None = None,
    counts: dict[str, AtomCounts] | None = None,
    stacking: StackingMap | None = None,
) -> pd.DataFrame:
    """Put what was measured into one table.

    Parameters
    ----------
    atoms : AtomTable
    indices : LatticeIndices
    moved : Displacements
    strain, fit, cells, distances, polar, tilts, bonds, stacking : optional
    counts : dict of AtomCounts, optional
        By site; of all atoms of that site, in their order.
        What was measured; columns of the rest are left out.

    Returns
    -------
    pandas.DataFrame
        One row an atom, with columns of `MEANINGS` in that order. What could not be measured is NaN or NA,
        and ``reason`` says why.
    """
    n = len(atoms)
    known = indices.known

    def whole(values: NDArray[np.int64]) -> pd.Series:
        return pd.Series(values).astype("Int64").where(known)

    data: dict[str, object] = {
        name: atoms.rows[name].to_numpy() for name in ("atom_id", "x_px", "y_px", "element", "layer")
    }
    data["x_angstrom"], data["y_angstrom"] = atoms.yx_angstrom[:, ::-1].T
    data["lattice_site"] = indices.site
    for name, values in (
        ("h", indices.h),
        ("k", indices.k),
        ("grain", indices.lattice),
        ("part", indices.part),
    ):
        data[name] = whole(values)
    data["position_error_angstrom"] = moved.position_error
    data["x_ideal_angstrom"], data["y_ideal_angstrom"] = moved.ideal.T
    data["dx_angstrom"], data["dy_angstrom"] = moved.xy.T
    data["displacement_error_angstrom"] = moved.error
    reasons = [_said(indices.reason, "no lattice")]
    if cells is not None:
        data["intensity_cell"], data["intensity_cell_error"] = cells.value, cells.error
        data["cell_area_angstrom2"] = cells.area
        reasons.append(_said(cells.reason, "no cell intensity"))
    if fit is not None:
        data["intensity_fit"], data["intensity_fit_error"] = fit.volume, fit.volume_error
        data["width_angstrom"], data["width_error_angstrom"] = fit.width, fit.width_error
        data["ellipticity"], data["ellipticity_error"] = fit.ellipticity, fit.ellipticity_error
        data["ellipse_direction_degrees"] = fit.direction
        data["ellipse_direction_error_degrees"] = fit.direction_error
        reasons.append(_said(fit.reason, "no fit"))
    if strain is not None:
        for name in ("xx", "yy", "xy"):
            data[f"strain_{name}"] = getattr(strain, name)
            data[f"strain_{name}_error"] = getattr(strain, f"{name}_error")
        data["rotation_degrees"], data["rotation_error_degrees"] = strain.rotation, strain.rotation_error
        missing = known & ~np.isfinite(strain.xx)
        reasons.append(_said(np.where(missing, "too few neighbours of its kind", ""), "no strain"))
    if distances is not None:
        data["neighbours"], data["neighbours_expected"] = whole(distances.count), whole(distances.expected)
        data["neighbour_mean_angstrom"] = distances.mean
        data["neighbour_mean_error_angstrom"] = distances.mean_error
        data["neighbour_nearest_angstrom"] = distances.nearest
        data["neighbour_nearest_error_angstrom"] = distances.nearest_error
    if polar is not None:
        arrows, error = np.full((n, 2), np.nan), np.full(n, np.nan)
        arrows[polar.atom], error[polar.atom] = polar.xy, polar.error
        domain = np.full(n, -1)
        domain[polar.atom] = polar.domain
        data["off_centre_x_angstrom"], data["off_centre_y_angstrom"] = arrows.T
        data["off_centre_error_angstrom"] = error
        data["domain"] = pd.Series(domain).astype("Int64").where(domain >= 0)
    _further(data, n, indices, tilts, bonds, counts or {}, stacking)
    data["reason"] = ["; ".join(filter(None, row)) for row in zip(*reasons, strict=True)]
    return pd.DataFrame({name: data[name] for name in MEANINGS if name in data})


def _further(
    data: dict[str, object],
    n: int,
    indices: LatticeIndices,
    tilts: OctahedralTilts | None,
    bonds: BondAngles | None,
    counts: dict[str, AtomCounts],
    stacking: StackingMap | None,
) -> None:
    """Add what only some of the atoms have."""

    def spread(atom: NDArray[np.int64], values: Floats) -> Floats:
        out = np.full(n, np.nan)
        out[atom] = values
        return out

    if tilts is not None:
        data["octahedral_tilt_degrees"] = spread(tilts.atom, tilts.angle)
        data["octahedral_tilt_error_degrees"] = spread(tilts.atom, tilts.error)
    if bonds is not None:
        data["bond_angle_degrees"] = spread(bonds.atom, bonds.angle)
        data["bond_angle_error_degrees"] = spread(bonds.atom, bonds.error)
    if counts:
        number, chance = np.full(n, np.nan), np.full(n, np.nan)
        for site, one in counts.items():
            own = indices.site == site
            number[own], chance[own] = one.count, one.chance_of_error
        data["atom_count"] = pd.Series(number).astype("Int64")
        data["atom_count_chance_of_error"] = chance
    if stacking is not None:
        named = np.full(n, "", object)
        named[stacking.atom] = stacking.stacking
        data["stacking"] = named
        for axis, name in enumerate("xy"):
            data[f"stacking_shift_{name}_angstrom"] = spread(stacking.atom, stacking.shift[:, axis])
        data["stacking_shift_error_angstrom"] = spread(stacking.atom, stacking.error)


def _said(reason: NDArray[np.object_], what: str) -> list[str]:
    return [f"{what}: {text}" if text else "" for text in reason]
