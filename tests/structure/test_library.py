"""Every entry of the library against what its source says."""

from __future__ import annotations

import numpy as np
import pytest
from ase.data import covalent_radii
from ase.formula import Formula
from ase.neighborlist import neighbor_list
from ase.spacegroup import crystal

from napari_stemprior.structure import built_in, names
from napari_stemprior.structure.library import build_atoms, entries
from napari_stemprior.structure.prior import MERGE_DISTANCE

#: The closest bond in the library, Ti-O of lead titanate, is 0.78 of the covalent radii's sum.
CLOSEST = 0.75


@pytest.mark.parametrize("name", names())
def test_an_entry_agrees_with_its_source(name: str) -> None:
    entry = entries()[name]
    atoms, prior = build_atoms(entry), built_in(name)
    first, second, length = neighbor_list("ijd", atoms, 4.0)
    numbers, symbols = atoms.numbers, np.array(atoms.get_chemical_symbols())

    # no two atoms too close
    reach = covalent_radii[numbers[first]] + covalent_radii[numbers[second]]
    assert (length / reach).min() > CLOSEST
    # stoichiometry
    counted = Formula("".join(symbols)).reduce()[0].count()
    assert counted == Formula(entry["formula"]).reduce()[0].count()
    # a bond that is known from elsewhere
    one, other, bond = entry["bond"]
    of_pair = (symbols[first] == one) & (symbols[second] == other)
    assert length[of_pair].min() == pytest.approx(bond, abs=0.04)
    # columns
    apart = prior.nearest_distances.min()
    assert apart >= MERGE_DISTANCE
    assert apart == pytest.approx(entry["spacing"], abs=2e-3)
    assert entry["source"]


@pytest.mark.parametrize("name", [n for n in names() if entries()[n]["kind"] == "crystal"])
def test_the_space_group_is_that_of_another_library(name: str) -> None:
    entry = entries()[name]
    sites = entry["sites"]
    known = crystal(
        [site[0] for site in sites],
        [tuple(site[1:]) for site in sites],
        spacegroup=entry["spacegroup"],
        setting=entry.get("setting", 1),
        cellpar=entry["cellpar"],
    )
    whole = build_atoms({key: value for key, value in entry.items() if key != "layer"})
    assert len(whole) == len(known)
    apart = whole.get_scaled_positions()[:, None] - known.get_scaled_positions()
    distance = np.abs(apart - np.round(apart)).max(axis=-1)
    assert distance.min(axis=1).max() < 1e-5
    assert (known.numbers[distance.argmin(axis=1)] == whole.numbers).all()


def test_the_library_is_broad_and_keeps_some_for_tests() -> None:
    assert len(names()) >= 45
    held_out = {name for name, entry in entries().items() if entry.get("held_out")}
    assert held_out == {
        "graphene",
        "WSe2",
        "1T'-WTe2",
        "ReS2",
        "black phosphorus",
        "SrTiO3 [110]",
        "GaAs [110]",
        "TiO2 rutile [001]",
        "LiCoO2 [11-20]",
    }


def test_no_held_out_projection_is_trained_under_another_name() -> None:
    """The same columns of the same elements in the same cell."""

    def looks(name: str) -> tuple[object, ...]:
        prior = built_in(name)
        lengths = np.sort(np.linalg.norm(prior.cell, axis=1)).round(2)
        return (*lengths, *sorted(column.composition for column in prior.columns))

    held_out = {looks(name) for name, entry in entries().items() if entry.get("held_out")}
    trained = {looks(name) for name, entry in entries().items() if not entry.get("held_out")}
    assert held_out.isdisjoint(trained)


def test_a_layer_of_a_crystal_has_its_height() -> None:
    """Black phosphorus: a puckered layer of two planes, 2 * 0.10168 * 10.478 apart."""
    prior = built_in("black phosphorus")
    assert prior.period == 0
    assert prior.heights.max() == pytest.approx(2.131 - 1.0655, abs=2e-3)  # columns of one up and one down
