"""What the columns of the tables of a series mean."""

from __future__ import annotations

from collections.abc import Iterable

_MEANINGS = {
    "image": "Name of the file or of the layer.",
    "frame": "Of the file, counted from 0.",
    "status": "Measured, or failed.",
    "reason": "Why it could not be measured.",
    "atoms": "Atom columns.",
    "atoms_on_sites": "Those that occupy a site of the lattice.",
    "pixel_size_angstrom": "Å per pixel.",
    "position_error_angstrom": "Median standard error of a position along an axis, Å.",
    "displacement_rms_angstrom": "Root mean square distance from the mean lattice along an axis, Å.",
    "polarisation_x_angstrom": "Mean off-centring along x, Å.",
    "polarisation_y_angstrom": "Mean off-centring along y, Å.",
    "polarisation_error_angstrom": "Standard error of the mean off-centring along an axis, Å.",
    "cell_a_angstrom": "Length of the first vector of the mean lattice, Å.",
    "cell_b_angstrom": "Length of the second vector of the mean lattice, Å.",
    "cell_angle_degrees": "Angle between these vectors, degrees.",
    "lattice_strain_xx": "Strain of the mean lattice along x against the first measured frame.",
    "lattice_strain_yy": "Strain of the mean lattice along y against the first measured frame.",
    "lattice_strain_xy": "Shear of the mean lattice against the first measured frame.",
    "lattice_rotation_degrees": "Rotation of the mean lattice against the first measured frame, degrees from "
    "x towards y.",
    "lattice_rotation_error_degrees": "Standard error of that rotation, degrees.",
    "drift_x_angstrom": "Drift along x against the first measured frame, Å.",
    "drift_y_angstrom": "Drift along y against the first measured frame, Å.",
    "series_row": "Row of the frame in the table of the series, counted from 0.",
    "track": "The same number is the same atom in every frame.",
    "atom_id": "Number of the atom in its frame.",
    "x_angstrom": "Place along x, Å.",
    "y_angstrom": "Place along y, Å.",
    "dx_angstrom": "Move along x since the atom was seen first, drift taken off, Å.",
    "dy_angstrom": "Move along y since the atom was seen first, drift taken off, Å.",
}


def series_meanings(columns: Iterable[str]) -> dict[str, str]:
    """Return what columns of `FrameSeries.table` and `FrameSeries.atoms` mean, with their units.

    Parameters
    ----------
    columns : iterable of str
        Also those that are named by a site or a kind of defect.

    Returns
    -------
    dict of str
    """
    return {name: _meaning(name) for name in columns}


def _meaning(name: str) -> str:
    if name in _MEANINGS:
        return _MEANINGS[name]
    bare = name.removesuffix("_error")
    if bare != name:
        return f"Standard error of {bare.replace('_', ' ')}."
    if name.startswith("intensity_"):
        return f"Mean integrated intensity of {name.removeprefix('intensity_')}, units of the image times Å²."
    if name.startswith("defects_"):
        return f"Number of defects: {name.removeprefix('defects_').replace('_', ' ')}."
    return ""
