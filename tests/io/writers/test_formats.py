"""Every format holds the same atoms, the right way round, in its own units."""

import json
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import ase.io
import h5py
import numpy as np
import pytest
import tifffile
import zarr
from export_subject import PIXEL_SIZE, SHAPE, YX

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import ExportError
from napari_stemprior.io import FORMATS, export_atoms, find_format, read_micrograph
from napari_stemprior.io.writers.formats.rasters import heat_map
from napari_stemprior.io.writers.formats.structures import LAYER_SPACING

LEFT, RIGHT_TOP = 3, 0  # rows of YX
MO, S, UNKNOWN, VACANCY = [0, 3], [1], [2], [4]


def write(subject, path, key=None):
    return export_atoms(subject.table, path, image=subject.image, name=subject.name, key=key)


def test_extxyz(subject, tmp_path):
    atoms = ase.io.read(write(subject, tmp_path / "a.extxyz"), format="extxyz")
    assert atoms.get_chemical_symbols() == ["Mo", "S", "X", "Mo", "X"]
    y, x = YX[:5].T * PIXEL_SIZE
    np.testing.assert_allclose(atoms.positions[:, 0], x, atol=1e-6)
    np.testing.assert_allclose(atoms.positions[:, 1], 29 * PIXEL_SIZE - y, atol=1e-6)
    np.testing.assert_allclose(atoms.positions[:, 2], LAYER_SPACING * np.array([1, 0, 1, 1, 0]))
    assert list(atoms.arrays["status"])[-1] == "vacancy"
    assert list(atoms.arrays["missing"]) == ["-", "-", "-", "-", "S"]


def test_cif(subject, tmp_path):
    path = write(subject, tmp_path / "a.cif")
    atoms = ase.io.read(path)
    assert atoms.get_chemical_symbols() == ["Mo", "S", "X", "Mo"]
    np.testing.assert_allclose(atoms.cell.lengths()[:2], [50 * PIXEL_SIZE, 30 * PIXEL_SIZE])
    y, x = YX[:4].T * PIXEL_SIZE
    np.testing.assert_allclose(atoms.positions[:, 0], x + 0.5 * PIXEL_SIZE, atol=1e-5)
    np.testing.assert_allclose(atoms.positions[:, 1], 29.5 * PIXEL_SIZE - y, atol=1e-5)
    np.testing.assert_allclose(np.ptp(atoms.positions[:, 2]), LAYER_SPACING, atol=1e-5)
    assert atoms.positions[1, 2] < atoms.positions[0, 2]  # the S atom lies in the lower layer
    assert "_stemprior_vacancy_label" in path.read_text()


def test_coco(subject, tmp_path):
    coco = json.loads(write(subject, tmp_path / "a.json").read_text())
    assert coco["images"] == [{"id": 1, "file_name": "flake 7", "width": 50, "height": 30}]
    names = {c["id"]: c["name"] for c in coco["categories"]}
    found = [(names[a["category_id"]], *a["keypoints"]) for a in coco["annotations"]]
    assert found == [
        ("Mo", 40.5, 2.25, 2),
        ("Mo", 5.0, 25.5, 2),
        ("S", 11.125, 12.0, 2),
        ("X", 31.0, 20.0, 2),
        ("vacancy", 24.0, 9.0, 2),
    ]
    for annotation in coco["annotations"]:
        x, y, w, h = annotation["bbox"]
        assert (x + w / 2 - 0.5, y + h / 2 - 0.5) == pytest.approx(tuple(annotation["keypoints"][:2]))
        assert annotation["area"] == pytest.approx(w * h)
    assert coco["annotations"][-1]["element"] == "S"  # what is missing
    assert coco["info"]["pixel_size_angstrom"] == PIXEL_SIZE


def test_atomai(subject, tmp_path):
    path = write(subject, tmp_path / "a.npz")
    coordinates = {int(k): v for k, v in np.load(path).items() if k.isdigit()}
    assert list(coordinates) == [0]
    np.testing.assert_array_equal(coordinates[0][:, :2], YX[MO + S + UNKNOWN + VACANCY])
    np.testing.assert_array_equal(coordinates[0][:, 2], [0, 0, 1, 2, 3])
    with np.load(path, allow_pickle=False) as file:
        assert list(file["classes"]) == ["Mo", "S", "X", "vacancy"]
        assert file["pixel_size_angstrom"] == PIXEL_SIZE


def test_atomap(subject, tmp_path):
    with h5py.File(write(subject, tmp_path / "a.hdf5")) as file:
        np.testing.assert_allclose(file["image_data"], subject.image)
        groups = [g for g in file if g.endswith("_sublattice")]
        assert [file[g].attrs["name"] for g in groups] == ["Mo", "S", "X", "vacancy"]
        assert [file[g].attrs["sublattice_index"] for g in groups] == [0, 1, 2, 3]
        np.testing.assert_array_equal(file[groups[0]]["atom_positions"], YX[MO][:, ::-1])
        assert file[groups[0]].attrs["pixel_size"] == PIXEL_SIZE


def test_hspy(subject, tmp_path):
    from rsciio.hspy import file_reader

    (signal,) = file_reader(str(write(subject, tmp_path / "a.hspy")))
    np.testing.assert_array_equal(signal["data"], subject.image)
    axes = [(a["name"], a["size"], a["scale"], a["units"]) for a in signal["axes"]]
    assert axes == [("y", 30, PIXEL_SIZE, "Å"), ("x", 50, PIXEL_SIZE, "Å")]
    markers = signal["metadata"]["Markers"]
    assert sorted(markers) == ["Mo", "S", "X", "vacancy"]
    for name, rows in {"Mo": MO, "S": S, "X": UNKNOWN, "vacancy": VACANCY}.items():
        np.testing.assert_allclose(markers[name]["kwargs"]["offsets"], YX[rows][:, ::-1] * PIXEL_SIZE)
    back = read_micrograph(tmp_path / "a.hspy")
    np.testing.assert_array_equal(back.image, subject.image)
    assert back.pixel_size == pytest.approx(PIXEL_SIZE)


def test_ome_zarr(subject, tmp_path):
    path = write(subject, tmp_path / "a.ome.zarr")
    root = zarr.open_group(str(path), mode="r")
    assert root.metadata.zarr_format == 2
    np.testing.assert_array_equal(root["0"][:], subject.image)
    for group in (root, root["labels/atoms"], root["labels/vacancies"]):
        (scales,) = group.attrs["multiscales"]
        assert scales["version"] == "0.4"
        assert [(a["name"], a["unit"]) for a in scales["axes"]] == [("y", "angstrom"), ("x", "angstrom")]
        transform = {"type": "scale", "scale": [PIXEL_SIZE, PIXEL_SIZE]}
        assert scales["datasets"] == [{"path": "0", "coordinateTransformations": [transform]}]
    labels = root["labels/atoms/0"][:]
    assert set(np.unique(labels)) == {0, 6, 1, 10, 4}
    assert labels[12, 11] == 1
    assert root["labels/vacancies/0"][:][9, 24] == 13
    properties = root["labels/atoms"].attrs["image-label"]["properties"]
    assert [(p["label-value"], p["element"]) for p in properties] == [
        (6, "Mo"),
        (1, "S"),
        (10, "X"),
        (4, "Mo"),
    ]
    assert (path / "0" / "0" / "0").is_file()  # chunks in folders, as NGFF wants them


def test_an_ome_zarr_is_replaced_but_nothing_else_is(subject, tmp_path):
    path = write(subject, tmp_path / "a.zarr")
    again = export_atoms(AtomTable.empty(0.3), path, image=subject.image)
    assert not zarr.open_group(str(again), mode="r")["labels/atoms/0"][:].any()
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]
    (tmp_path / "thesis.zarr").mkdir()
    (tmp_path / "thesis.zarr" / "chapter.tex").write_text("years")
    with pytest.raises(ExportError, match="something else"):
        write(subject, tmp_path / "thesis.zarr")
    assert (tmp_path / "thesis.zarr" / "chapter.tex").read_text() == "years"


def test_mask_and_heat_map(subject, tmp_path):
    labels = tifffile.imread(write(subject, tmp_path / "mask.tif"))
    assert labels.shape == SHAPE
    assert set(np.unique(labels)) == {0, 1, 4, 6, 10}  # neither the vacancy nor the rejected atom
    path = write(subject, tmp_path / "a.heat.tif")
    heat = tifffile.imread(path)
    assert heat.dtype == np.float32
    assert heat.shape == SHAPE
    assert heat[20, 31] == pytest.approx(0.5)  # its confidence
    assert heat[12, 11] == pytest.approx(1.0, abs=0.05)  # none is known
    assert heat[9, 24] < 0.05
    assert read_micrograph(path).pixel_size == pytest.approx(PIXEL_SIZE)
    assert np.array_equal(heat, tifffile.imread(write(subject, tmp_path / "b.tif", key="heatmap")))


def test_a_peak_stands_where_the_atom_does():
    atoms = AtomTable.from_positions([(30.3, 41.6), (200, 3)], 0.25, confidence=[0.8, 1])
    heat = heat_map(atoms, (60, 80), sigma=0.75)
    grid = np.indices(heat.shape)
    centre = (grid * heat).sum((1, 2)) / heat.sum()
    np.testing.assert_allclose(centre, (30.3, 41.6), atol=0.02)
    variance = ((grid - centre[:, None, None]) ** 2 * heat).sum((1, 2)) / heat.sum()
    np.testing.assert_allclose(variance, 9.0, rtol=0.02)


# --- all formats -------------------------------------------------------------------------------------

EVERY = pytest.mark.parametrize("form", FORMATS, ids=lambda f: f.key)


@EVERY
def test_every_format_is_written_by_its_key_and_alone(form, subject, tmp_path):
    path = write(subject, tmp_path / f"a{form.suffix}", form.key)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert path.is_dir() == form.is_folder


@EVERY
def test_every_format_overwrites_its_own(form, subject, tmp_path):
    first = write(subject, tmp_path / f"a{form.suffix}", form.key)
    second = write(subject, tmp_path / f"a{form.suffix}", form.key)
    assert first == second
    assert [p.name for p in tmp_path.iterdir()] == [second.name]


@EVERY
def test_every_format_says_what_it_needs(form, subject, tmp_path):
    path = tmp_path / f"a{form.suffix}"
    if form.needs:
        with pytest.raises(ExportError, match="give the micrograph") as caught:
            export_atoms(subject.table, path, key=form.key)
        assert caught.value.args[0].startswith(path.name)
        assert not list(tmp_path.iterdir())
    else:
        export_atoms(subject.table, path, key=form.key)


@EVERY
def test_a_table_without_atoms(form, subject, tmp_path):
    path = tmp_path / f"a{form.suffix}"
    if form.writer.startswith("structures"):
        with pytest.raises(ExportError, match="no atom"):
            export_atoms(AtomTable.empty(0.1), path, image=subject.image, key=form.key)
    else:
        assert export_atoms(AtomTable.empty(0.1), path, image=subject.image, key=form.key).exists()


@contextmanager
def largest_file(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@EVERY
def test_a_disk_without_room(form, subject, tmp_path):
    path = write(subject, tmp_path / f"a{form.suffix}", form.key)
    before = sorted((p.relative_to(tmp_path), p.is_dir() or p.read_bytes()) for p in tmp_path.rglob("*"))
    with pytest.raises(ExportError) as caught, largest_file(64):
        write(subject, path, form.key)
    said = str(caught.value)
    assert path.name in said
    assert "make room" in said
    assert "\n" not in said
    after = sorted((p.relative_to(tmp_path), p.is_dir() or p.read_bytes()) for p in tmp_path.rglob("*"))
    assert after == before


@EVERY
def test_a_folder_that_is_none(form, subject, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot be written") as caught:
        write(subject, tmp_path / "file" / f"a{form.suffix}", form.key)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@EVERY
@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a folder that not even root may write to")
def test_a_folder_that_is_read_only(form, subject):
    with pytest.raises(ExportError, match="choose a folder that you may write to") as caught:
        write(subject, Path("/sys/kernel") / f"a{form.suffix}", form.key)
    assert "\n" not in str(caught.value)


def test_the_ending_chooses():
    expected = {
        "a.csv": "csv",
        "a.points.csv": "points",
        "A.PARQUET": "parquet",
        "a.xyz": "extxyz",
        "a.tif": "mask",
        "a.heat.tif": "heatmap",
        "a.b.ome.zarr": "ome-zarr",
        "a.zarr": "ome-zarr",
        "a.h5": "atomap",
        "a.json": "coco",
    }
    assert {name: find_format(name).key for name in expected} == expected
    for name in ("a", "a.doc", "csv"):
        with pytest.raises(ExportError, match=r"give one of \.csv"):
            find_format(name)
    with pytest.raises(ExportError, match="ends in"):
        find_format("a.csv", "coco")
    with pytest.raises(ExportError, match="no format"):
        find_format("a.csv", "pdf")


def test_who_edited_what_is_in_the_table(subject, tmp_path):
    import pandas as pd

    edits = [{"atom_id": 9, "by": "Ada", "at": "2026-01-02T03:04:05+00:00", "what": "move"}]
    table = AtomTable(subject.table.rows, PIXEL_SIZE, {"edits": edits})
    for frame in (
        pd.read_csv(export_atoms(table, tmp_path / "a.csv"), keep_default_na=False),
        pd.read_parquet(export_atoms(table, tmp_path / "a.parquet")),
    ):
        assert frame["edited_by"].tolist() == ["", "", "Ada", "", "", ""]
        assert frame["edited_at"].tolist()[2] == "2026-01-02T03:04:05+00:00"
        assert frame["edit"].tolist()[2] == "move"


def test_opening_the_io_room_imports_no_heavy_format():
    code = "import sys, napari_stemprior.io; print([m for m in ('zarr', 'h5py', 'ase') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
