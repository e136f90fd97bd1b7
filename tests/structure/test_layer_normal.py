"""Layers seen along their normal, which is no lattice vector in a triclinic crystal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, mx2
from ase.io import write
from cell_contents import cif_text

from napari_stemprior.errors import StructureError
from napari_stemprior.structure import (
    PlaneNormal,
    StructurePrior,
    built_in,
    parse_direction,
    parse_plane,
    project_along,
    read_structure,
)
from napari_stemprior.structure.library import entries

#: ReS2 as published: layers lie across a, whose direction no lattice vector has.
RHENIUM = entries()["ReS2"]


def _rhenium_sulphide(folder: Path) -> Path:
    rows = "\n".join(" ".join(map(str, site)) for site in RHENIUM["sites"])
    rows = "\n".join(f"{row.split()[0]}{i} {row}" for i, row in enumerate(rows.splitlines()))
    text = cif_text(
        " ".join(map(str, RHENIUM["cellpar"])),
        "_space_group_IT_number 2",
        rows,
        "label type_symbol fract_x fract_y fract_z",
    )
    path = folder / "ReS2.cif"
    path.write_text(text)
    return path


def _same_layer(one: StructurePrior, other: StructurePrior) -> None:
    assert sorted(c.formula for c in one.columns) == sorted(c.formula for c in other.columns)
    assert one.area == pytest.approx(other.area, abs=1e-3)
    np.testing.assert_allclose(sorted(one.nearest_distances), sorted(other.nearest_distances), atol=1e-3)
    np.testing.assert_allclose(
        np.sort(np.linalg.norm(one.cell, axis=1)), np.sort(np.linalg.norm(other.cell, axis=1)), atol=1e-3
    )


@pytest.mark.parametrize("text", ["normal", "normal 100", "Normal (-100)"])
def test_published_rhenium_sulphide_along_its_normal(text: str, tmp_path: Path) -> None:
    prior = read_structure(_rhenium_sulphide(tmp_path), parse_direction(text))
    _same_layer(prior, built_in("ReS2"))
    assert prior.zone_axis.startswith("normal of (")
    assert prior.period == 0
    assert prior.layer_numbers.max() == 0


def test_a_leaning_layered_crystal_without_an_axis_is_seen_along_the_normal(tmp_path: Path) -> None:
    prior = read_structure(_rhenium_sulphide(tmp_path))
    _same_layer(prior, built_in("ReS2"))
    assert "along the normal of its layers" in prior.remarks[0]


def test_a_lone_layer_is_seen_along_its_normal_wherever_that_points(tmp_path: Path) -> None:
    layer = mx2("MoS2", a=3.16, vacuum=8)
    layer.pbc = True
    upright = Atoms(layer.symbols, positions=layer.positions[:, [2, 0, 1]], pbc=True)
    upright.set_cell(layer.cell.array[[2, 0, 1]][:, [2, 0, 1]])
    turned = layer.copy()
    turned.rotate(40, (1, 2, 0.5), rotate_cell=True)
    for number, atoms in enumerate((upright, turned)):
        path = tmp_path / f"{number}.extxyz"
        write(path, atoms)
        prior = read_structure(path)
        assert sorted(c.formula for c in prior.columns) == ["Mo", "S2"]
        assert prior.area == pytest.approx(3.16**2 * 3**0.5 / 2, abs=1e-3)
        assert "seen along its normal" in prior.remarks[0]
    flat = tmp_path / "flat.extxyz"
    write(flat, layer)
    assert read_structure(flat).zone_axis == "as is"
    assert not read_structure(flat).remarks


def test_a_leaning_third_axis_of_a_layer_in_vacuum_does_not_matter(tmp_path: Path) -> None:
    layer = mx2("MoS2", a=3.16, vacuum=8)
    cell = layer.cell.array.copy()
    cell[2, :2] = (1.3, 0.7)
    layer = Atoms(layer.symbols, positions=layer.positions, cell=cell, pbc=True)
    for direction in (None, PlaneNormal(), PlaneNormal((0, 0, 1))):
        prior = project_along(layer, direction, name="layer")
        assert sorted(c.formula for c in prior.columns) == ["Mo", "S2"]


def test_a_thick_slab_is_seen_from_where_its_file_says() -> None:
    slab = bulk("Au", cubic=True) * (4, 1, 1)
    slab.cell[0, 0] += 12
    assert project_along(slab, None, name="slab").zone_axis == "as is"


def test_a_normal_that_is_a_lattice_vector_is_a_zone_axis() -> None:
    crystal = bulk("Ti", "hcp", a=2.95, c=4.68)
    for normal, axis in (((0, 0, 1), "[001]"), ((1, 0, 0), "[210]"), ((1, 1, 0), "[110]")):
        prior = project_along(crystal, PlaneNormal(normal), name="Ti")
        assert prior.zone_axis == axis
        assert prior == project_along(crystal, parse_direction(axis), name="Ti")
    assert built_in("MoS2", PlaneNormal()).columns == built_in("MoS2").columns


def test_what_has_no_layers_along_the_normal() -> None:
    with pytest.raises(StructureError, match=r"NaCl.*no gap between layers"):
        project_along(bulk("NaCl", "rocksalt", 5.64), PlaneNormal(), name="NaCl")
    leaning = Atoms("Au", cell=[[2.9, 0, 0], [0.3, 2.9, 0], [0.7, 0.5, 2.8]], pbc=True)
    with pytest.raises(StructureError, match=r"normal of \(001\) and no gap"):
        project_along(leaning, PlaneNormal((0, 0, 1)), name="Au")


def test_planes_as_people_write_them() -> None:
    assert parse_plane("001") == PlaneNormal((0, 0, 1))
    assert parse_plane("(2 -2 0)") == PlaneNormal((1, -1, 0))
    assert parse_plane("(11-20)") == PlaneNormal((1, 1, 0))
    assert parse_direction("1-10") == (1, -1, 0)
    assert str(PlaneNormal((1, -1, 0))) == "normal (1-10)"
    for text in ("000", "1", "11-10", "x", "100 000 1"):
        with pytest.raises(StructureError, match="plane"):
            parse_plane(text)


@pytest.mark.parametrize("text", ["1 0 5000", "9" * 5000, "1 2 " + "9" * 30])
def test_indices_that_no_crystal_is_seen_along(text: str) -> None:
    with pytest.raises(StructureError, match="zone axis"):
        parse_direction(text)
