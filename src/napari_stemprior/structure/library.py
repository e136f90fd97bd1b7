"""The built-in crystals, read from ``library.toml``."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import gemmi
import numpy as np
from ase import Atoms
from ase.cell import Cell

from napari_stemprior.errors import UnknownPriorError
from napari_stemprior.structure.common_crystals import cubic_crystal, mx2_layer
from napari_stemprior.structure.layer_normal import project_along
from napari_stemprior.structure.prior import StructurePrior
from napari_stemprior.structure.zone_axis import Direction, PlaneNormal, format_zone_axis

#: Vacuum in Å on each side of a layer.
_VACUUM = 8.0
#: Fraction of the cell within which two images of a site are one.
_SAME = 1e-3


@cache
def entries() -> Mapping[str, dict[str, Any]]:
    """Return every entry of ``library.toml`` by name."""
    text = files("napari_stemprior.structure").joinpath("library.toml").read_text(encoding="utf-8")
    return MappingProxyType({entry["name"]: entry for entry in tomllib.loads(text)["prior"]})


def names() -> list[str]:
    """List the names of the built-in priors, in the order of the file."""
    return list(entries())


def is_built_in(name: str) -> bool:
    """Tell whether there is a built-in prior of exactly that name; case and spaces do not matter."""
    return _folded(name) in {_folded(known) for known in entries()}


@cache
def built_in(name: str, zone_axis: Direction | None = None) -> StructurePrior:
    """Return a built-in prior.

    Parameters
    ----------
    name : str
        As `names` lists it; case and spaces do not matter.
    zone_axis : tuple of int or PlaneNormal, optional
        See the same crystal along another direction [uvw] or the normal of a plane; the axis in the name may
        then be left out.

    Raises
    ------
    UnknownPriorError
        If there is none of that name; the message suggests the nearest.
    """
    entry = _entry(name, zone_axis is not None)
    own = tuple(entry.get("zone_axis", (0, 0, 1)))
    title = entry["name"]
    if isinstance(zone_axis, PlaneNormal):
        title = f"{_crystal_name(title)} {zone_axis}"
    elif zone_axis is not None and tuple(zone_axis) != own:
        title = f"{_crystal_name(title)} {format_zone_axis(zone_axis)}"
    return project_along(build_atoms(entry), zone_axis or own, name=title, source=entry["source"])


def _crystal_name(name: str) -> str:
    return name.split(" [")[0]


def _entry(name: str, any_axis: bool) -> Mapping[str, Any]:
    folded = {_folded(n): n for n in entries()}
    if any_axis:  # the first entry of a crystal answers to its bare name
        folded = {_folded(_crystal_name(n)): n for n in reversed(names())} | folded
    wanted = _folded(name)
    if wanted in folded:
        return entries()[folded[wanted]]
    close = difflib.get_close_matches(wanted, folded, n=3, cutoff=0.4)
    if not close:
        close = [f for f in folded if wanted and f.startswith(wanted)][:3]
    likely = dict.fromkeys(folded[c] for c in close)
    hint = f"did you mean {' or '.join(likely)}?" if likely else "see 'stemprior priors'."
    raise UnknownPriorError(f"There is no built-in prior and no file named {name!r}; {hint}")


def _folded(name: str) -> str:
    return "".join(name.casefold().split())


def build_atoms(entry: Mapping[str, Any]) -> Atoms:
    """Build the three-dimensional structure of a library entry.

    Parameters
    ----------
    entry : mapping
        One table of ``library.toml``.
    """
    symbols = entry.get("symbols", [])
    match entry["kind"]:
        case "hexagonal":
            a = entry["a"]
            cell = [[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, 2 * _VACUUM]]
            places = [(1 / 3, 2 / 3, 0.5), (2 / 3, 1 / 3, 0.5)]
            return Atoms(symbols, scaled_positions=places, cell=cell, pbc=True)
        case "mx2":
            phase, a, thickness = (entry[name] for name in ("phase", "a", "thickness"))
            return mx2_layer(symbols[0], symbols[1], phase, a, thickness, _VACUUM)
        case "bulk":
            return cubic_crystal(symbols, entry["crystal"], entry["a"])
        case "crystal":
            atoms = _filled_cell(entry)
            return _one_layer(atoms, *entry["layer"]) if "layer" in entry else atoms
        case other:
            raise ValueError(f"library.toml: {entry['name']} has the unknown kind {other!r}")


def _filled_cell(entry: Mapping[str, Any]) -> Atoms:
    """Carry the sites of an entry through its space group."""
    number, setting = entry["spacegroup"], str(entry.get("setting", ""))
    groups = [group for group in gemmi.spacegroup_table() if group.number == number]
    group = next(one for one in groups if one.ext == setting) if setting else groups[0]
    symbols, places = [], []
    for symbol, *place in entry["sites"]:
        orbit = np.mod([operation.apply_to_xyz(place) for operation in group.operations()], 1.0)
        apart = np.abs((orbit[:, None] - orbit + 0.5) % 1 - 0.5).max(axis=-1)
        new = ~np.tril(apart < _SAME, -1).any(axis=1)
        symbols += [symbol] * int(new.sum())
        places.append(orbit[new])
    return Atoms(symbols, scaled_positions=np.concatenate(places), cell=entry["cellpar"], pbc=True)


def _one_layer(atoms: Atoms, axis: str, low: float, high: float) -> Atoms:
    """Cut the layer between two fractional coordinates along an axis out of a crystal.

    The axis need not be normal to the layer, which lies in the plane of the other two.
    """
    index = "abc".index(axis)
    order = [(index + 1) % 3, (index + 2) % 3, index]
    fractional = atoms.get_scaled_positions(wrap=False)[:, order]
    fractional[:, 2] = np.mod(fractional[:, 2] - low, 1.0) + low
    inside = fractional[:, 2] < high
    positions = fractional[inside] @ atoms.cell.array[order]
    first, second, _ = atoms.cell.array[order]
    normal = np.cross(first, second) / np.linalg.norm(np.cross(first, second))
    upright = Cell([first, second, normal * (np.ptp(positions @ normal) + 2 * _VACUUM)])
    symbols = np.array(atoms.get_chemical_symbols())[inside]
    layer = Atoms(symbols, cell=Cell.fromcellpar(upright.cellpar()), pbc=True)
    layer.set_scaled_positions(upright.scaled_positions(positions))
    layer.center(axis=2)
    return layer
