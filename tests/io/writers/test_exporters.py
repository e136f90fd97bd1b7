"""What goes out can be read back, by us and by others, the right way round."""

import json
from pathlib import Path

import ase.io
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from napari_stemprior.atomic_write import replaced
from napari_stemprior.atoms import SOURCES, STATUSES, AtomTable
from napari_stemprior.errors import ExportError
from napari_stemprior.io import export_atoms, read_atoms, read_micrograph, write_mask, write_napari_points
from napari_stemprior.io.writers.exporters import FILE_COLUMNS, label_mask

SHAPE = (30, 50)


@pytest.fixture
def table() -> AtomTable:
    """Three atoms that no exchange of x and y and no turning over leaves as they are."""
    return AtomTable.from_positions(
        [(2.25, 40.5), (7.0, 11.125), (20.0, 31.0)],
        0.2,
        provenance={"prior": "MoS2", "trust": 1.0, "angle": np.float64(12.5)},
        atom_id=[5, 0, 9],
        element=["Mo", "S", "X"],
        site=["Mo1", "", "a b"],
        layer=[0, 1, 0],
        confidence=[0.9, np.nan, 0.5],
        status=["ok", "accepted", "review"],
    )


floats = st.floats(-1e9, 1e9)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6)


@st.composite
def tables(draw: st.DrawFn) -> AtomTable:
    n = draw(st.integers(0, 5))

    def each(values: st.SearchStrategy, **kwargs) -> list:
        return draw(st.lists(values, min_size=n, max_size=n, **kwargs))

    return AtomTable.from_positions(
        np.array(each(st.tuples(floats, floats)), float).reshape(-1, 2),
        draw(st.floats(1e-3, 10)),
        provenance=draw(
            st.dictionaries(texts, st.one_of(st.integers(), floats, texts, st.none()), max_size=2)
        ),
        atom_id=each(st.integers(-(2**63), 2**63 - 1), unique=True),
        element=each(st.sampled_from(["Mo", "S", "NA", "nan", "X"])),
        site=each(texts),
        layer=each(st.integers(0, 3)),
        confidence=each(st.floats(0, 1) | st.just(np.nan)),
        evidence=each(floats),
        source=each(st.sampled_from(SOURCES)),
        status=each(st.sampled_from(STATUSES)),
    )


@given(table=tables())
def test_parquet_round_trip(tmp_path_factory, table):
    path = export_atoms(table, tmp_path_factory.mktemp("t") / "a.parquet")
    back = read_atoms(path)
    assert_frame_equal(back.rows, table.rows, check_exact=True)
    assert back.pixel_size == table.pixel_size
    assert back.provenance == table.provenance


@given(table=tables())
def test_csv_round_trip(tmp_path_factory, table):
    path = export_atoms(table, tmp_path_factory.mktemp("t") / "a.csv")
    back = read_atoms(path, pixel_size=table.pixel_size if len(table) == 0 else None)
    assert_frame_equal(back.rows, table.rows, check_exact=True)
    assert back.pixel_size == table.pixel_size


def test_csv_as_others_read_it(tmp_path, table):
    frame = pd.read_csv(export_atoms(table, tmp_path / "a.csv"))
    assert tuple(frame.columns) == FILE_COLUMNS
    assert list(frame["x_px"]) == [40.5, 11.125, 31.0]
    assert list(frame["y_px"]) == [2.25, 7.0, 20.0]
    np.testing.assert_allclose(frame["x_angstrom"], [8.1, 2.225, 6.2])
    np.testing.assert_allclose(frame["y_angstrom"], [0.45, 1.4, 4.0])
    assert list(frame["element"]) == ["Mo", "S", "X"]
    assert frame["confidence"].isna().tolist() == [False, True, False]


def test_parquet_as_others_read_it(tmp_path, table):
    path = export_atoms(table, tmp_path / "a.parquet")
    assert tuple(pd.read_parquet(path).columns) == FILE_COLUMNS
    about = json.loads(pq.read_schema(path).metadata[b"napari_stemprior"])
    assert about == {
        "version": 1,
        "pixel_size_angstrom": 0.2,
        "provenance": {"prior": "MoS2", "trust": 1.0, "angle": 12.5},
    }


@pytest.mark.parametrize("suffix", [".xyz", ".extxyz", ".XYZ"])
def test_extxyz_looks_like_the_micrograph(tmp_path, table, suffix):
    atoms = ase.io.read(export_atoms(table, tmp_path / f"a{suffix}", shape=SHAPE), format="extxyz")
    assert atoms.get_chemical_symbols() == ["Mo", "S", "X"]
    x, y, z = atoms.positions.T
    np.testing.assert_allclose(x, [8.1, 2.225, 6.2], atol=1e-6)
    np.testing.assert_allclose(y, 29 * 0.2 - np.array([0.45, 1.4, 4.0]), atol=1e-6)
    assert y.argmax() == 0  # the atom nearest the top of the image is the highest
    np.testing.assert_allclose(z, [6.5, 0, 6.5])  # layer 0 lies towards the electron source
    np.testing.assert_allclose(atoms.cell.lengths()[:2], [10, 6])
    assert list(atoms.arrays["atom_id"]) == [5, 0, 9]
    assert list(atoms.arrays["site"]) == ["Mo1", "-", "a_b"]
    np.testing.assert_allclose(atoms.arrays["y_px"], [2.25, 7, 20])
    np.testing.assert_allclose(atoms.arrays["confidence"], [0.9, np.nan, 0.5])


def test_extxyz_without_shape_turns_y_about_the_first_row(tmp_path, table):
    atoms = ase.io.read(export_atoms(table, tmp_path / "a.xyz"), format="extxyz")
    np.testing.assert_allclose(atoms.positions[:, 1], [-0.45, -1.4, -4.0], atol=1e-6)


def test_extxyz_of_an_odd_element_and_of_nothing(tmp_path):
    odd = AtomTable.from_positions([(1, 2)], 0.1, element="Unobtainium", status="ok")
    assert ase.io.read(export_atoms(odd, tmp_path / "a.xyz"), format="extxyz").get_chemical_symbols() == ["X"]
    rejected = AtomTable.from_positions([(1, 2)], 0.1, status="rejected")
    with pytest.raises(ExportError, match="no atom"):
        export_atoms(rejected, tmp_path / "b.xyz")
    assert [p.name for p in tmp_path.iterdir()] == ["a.xyz"]


def test_napari_opens_the_points(tmp_path, table):
    from napari_builtins.io import napari_get_reader

    path = str(write_napari_points(table, tmp_path / "points.csv"))
    assert Path(path).read_text(encoding="utf-8").startswith("index,axis-0,axis-1,atom_id,element,")
    ((data, meta, kind),) = napari_get_reader(path)(path)
    assert kind == "points"
    np.testing.assert_array_equal(data, table.yx)
    assert list(meta["properties"]["element"]) == ["Mo", "S", "X"]
    assert list(meta["properties"]["atom_id"]) == [5, 0, 9]
    np.testing.assert_array_equal(meta["properties"]["confidence"], [0.9, np.nan, 0.5])


# --- masks -------------------------------------------------------------------------------------------


def test_mask_file(tmp_path, table):
    path = write_mask(table, SHAPE, tmp_path / "mask.tif", radius=0.5)
    labels = tifffile.imread(path)
    assert labels.dtype == np.uint16
    assert labels.shape == SHAPE
    assert labels[7, 11] == 1  # atom 0 at (y, x) = (7, 11.125)
    assert labels[2, 40] == 6
    assert labels[20, 31] == 10
    # radius 2.5 px around a pixel centre: 21 pixels
    assert np.count_nonzero(labels == 10) == 21
    assert set(np.unique(labels)) == {0, 1, 6, 10}
    assert read_micrograph(path).pixel_size == pytest.approx(0.2)
    with tifffile.TiffFile(path) as tiff:
        pixels, units = tiff.pages.first.tags["XResolution"].value
        assert tiff.pages.first.resolutionunit == 3
    assert pixels / units == pytest.approx(1e8 / 0.2)


def test_mask_of_very_small_pixels(tmp_path):
    atoms = AtomTable.from_positions([(10, 12)], 0.01)
    path = write_mask(atoms, (20, 24), tmp_path / "mask.tif", radius=0.03)
    assert read_micrograph(path).pixel_size == 0.01


@given(
    yx=st.lists(st.tuples(st.floats(-5, 35), st.floats(-5, 55)), max_size=12, unique=True),
    radius=st.floats(0.01, 12),
)
def test_every_pixel_goes_to_the_nearest_atom_in_reach(yx, radius):
    atoms = AtomTable.from_positions(yx, 0.5)
    labels = label_mask(atoms, SHAPE, radius)
    grid = np.stack(np.indices(SHAPE), -1)
    distance = np.linalg.norm(grid[:, :, None] - atoms.yx[None, None], axis=-1)
    on_image = (atoms.yx >= -0.5).all(1) & (atoms.yx < np.array(SHAPE) - 0.5).all(1)
    distance[..., ~on_image] = np.inf
    for atom in range(len(atoms)):
        own = labels == atom + 1
        # 0.71 px: an atom also owns the pixel under it
        assert (distance[own, atom] <= max(radius / 0.5, 0.7072) + 1e-9).all()
        assert (distance[own, atom] <= distance[own].min(-1, initial=np.inf) + 1e-9).all()
    free = labels == 0
    if len(atoms):
        assert (distance[free].min(-1) > radius / 0.5 - 1e-9).all()
    else:
        assert free.all()


def test_default_radius_leaves_gaps_between_neighbours():
    yx = np.stack(np.meshgrid(np.arange(5, 95, 10.0), np.arange(5, 45, 10.0), indexing="ij"), -1).reshape(
        -1, 2
    )
    labels = label_mask(AtomTable.from_positions(yx, 0.2), (100, 50))
    assert (labels[:, 10] == 0).all()
    assert (labels[5] > 0).sum() == 4 * 7  # 3.5 px radius


def test_mask_ids(table):
    big = AtomTable.from_positions([(5, 5)], 0.2, atom_id=[70000])
    assert label_mask(big, SHAPE).dtype == np.uint32
    assert label_mask(big, SHAPE).max() == 70001
    with pytest.raises(ExportError, match="atom_id"):
        label_mask(AtomTable.from_positions([(5, 5)], 0.2, atom_id=[-1]), SHAPE)
    with pytest.raises(ExportError, match="radius"):
        label_mask(table, SHAPE, 0.0)
    rejected = AtomTable.from_positions([(5, 5)], 0.2, status="rejected")
    assert not label_mask(rejected, SHAPE).any()
    assert not label_mask(AtomTable.empty(0.2), SHAPE).any()


# --- what cannot be written or read ------------------------------------------------------------------


def test_half_written_file_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")

    def fail() -> None:
        with replaced(path) as beside:
            beside.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]


def test_folder_is_made_and_a_bad_one_named(tmp_path, table):
    assert export_atoms(table, tmp_path / "new" / "folder" / "a.csv").is_file()
    (tmp_path / "file").write_text("")
    for write in (
        lambda p: export_atoms(table, p.with_suffix(".csv")),
        lambda p: export_atoms(table, p.with_suffix(".parquet")),
        lambda p: export_atoms(table, p.with_suffix(".xyz")),
        lambda p: write_napari_points(table, p.with_suffix(".csv")),
        lambda p: write_mask(table, SHAPE, p.with_suffix(".tif")),
    ):
        with pytest.raises(ExportError, match="this cannot be written") as caught:
            write(tmp_path / "file" / "a")
        assert "\n" not in str(caught.value)
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(ExportError, match=r"b\.csv"):
        export_atoms(table, tmp_path / "b.csv")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.csv", "file", "new"]


def test_unknown_suffixes(tmp_path, table):
    for write in (
        lambda p: export_atoms(table, p),
        lambda p: write_napari_points(table, p),
        lambda p: write_mask(table, SHAPE, p),
        read_atoms,
    ):
        with pytest.raises(ExportError, match=r"a\.doc"):
            write(tmp_path / "a.doc")
    assert not list(tmp_path.iterdir())


def test_provenance_that_cannot_be_stored(tmp_path):
    atoms = AtomTable.from_positions([(1, 2)], 0.1, provenance={"model": object()})
    with pytest.raises(ExportError, match="provenance"):
        export_atoms(atoms, tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x_px\n1\n",
        "x_px,y_px,pixel_size_angstrom\n1,2\n",
        "x_px,y_px,pixel_size_angstrom\n1,two,0.1\n",
        "x_px,y_px,pixel_size_angstrom\n1,2,0.1\n1,2,0.2\n",
        "x_px,y_px\n1,2\n",
        "x_px,y_px,atom_id,pixel_size_angstrom\n1,2,0,0.1\n1,2,0,0.1\n",
        "\udcff",
    ],
)
def test_damaged_csv(tmp_path, text):
    (tmp_path / "a.csv").write_text(text, errors="surrogateescape")
    with pytest.raises(ExportError, match=r"a\.csv: this is no atom table") as caught:
        read_atoms(tmp_path / "a.csv")
    assert "\n" not in str(caught.value)


def test_damaged_parquet(tmp_path, table):
    path = export_atoms(table, tmp_path / "a.parquet")
    whole = path.read_bytes()
    for content in (b"", whole[:100], b"PAR1" * 30):
        path.write_bytes(content)
        with pytest.raises(ExportError, match=r"a\.parquet: this is no atom table"):
            read_atoms(path)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(ExportError, match=r"a\.parquet: this is no atom table"):
        read_atoms(path)
    with pytest.raises(ExportError, match="no such file"):
        read_atoms(tmp_path / "none.csv")


def test_csv_of_another_program(tmp_path):
    (tmp_path / "a.csv").write_text("x_px,y_px,element\n3,4,Mo\n")
    found = read_atoms(tmp_path / "a.csv", pixel_size=0.1)
    np.testing.assert_array_equal(found.yx, [(4, 3)])
    assert list(found.rows["element"]) == ["Mo"]
