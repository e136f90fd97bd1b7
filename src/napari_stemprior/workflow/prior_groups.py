"""The library in groups, as a person looks for a crystal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ase.formula import Formula

from napari_stemprior.structure.library import entries

LAYERS, METALS, OXIDES, OTHERS = "Layers", "Metals", "Oxides", "Other crystals"
#: Lattices of the elements that `ase.build.bulk` knows as metals' ones.
_METALLIC = ("fcc", "bcc", "hcp")


def prior_groups() -> dict[str, list[str]]:
    """Return the names of the library's entries by group, each in the order of the library."""
    groups: dict[str, list[str]] = {LAYERS: [], METALS: [], OXIDES: [], OTHERS: []}
    for name, entry in entries().items():
        groups[group_of(entry)].append(name)
    return {group: names for group, names in groups.items() if names}


def group_of(entry: Mapping[str, Any]) -> str:
    """Return the group of an entry of the library."""
    if entry["kind"] in ("mx2", "hexagonal") or "layer" in entry:
        return LAYERS
    if entry.get("crystal") in _METALLIC:
        return METALS
    symbols = {*entry.get("symbols", ()), *(str(site[0]) for site in entry.get("sites", ()))}
    if not symbols and "formula" in entry:
        symbols = set(Formula(entry["formula"]).count())
    return OXIDES if "O" in symbols else OTHERS
