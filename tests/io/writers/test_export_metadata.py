"""What every export says of its atoms, read by the libraries that others read it with.

The subject has 30 rows and 50 columns, no two atoms in a mirrored place, and two layers. Each reader returns
the element, y and x in Å from the centre of the first pixel, y down, and the layer of every atom, or None
where the format has no layer; lengths come from what the file says, never from what was written.
"""

import json

import ase.io
import gemmi
import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tifffile
import zarr
from export_subject import PIXEL_SIZE, SHAPE, YX

from napari_stemprior.io import FORMATS, export_atoms, read_micrograph
from napari_stemprior.io.writers.formats.structures import LAYER_SPACING

#: Element, y and x in Å, layer of what is an atom for all formats: no vacancy, nothing rejected.
ATOMS = [
    (element, *(YX[row] * PIXEL_SIZE), layer)
    for row, (element, layer) in enumerate([("Mo", 0), ("S", 1), ("X", 0), ("Mo", 0)])
]


def from_csv(path):
    return _table(pd.read_csv(path))


def from_parquet(path):
    about = json.loads(pq.read_schema(path).metadata[b"napari_stemprior"])
    assert about["pixel_size_angstrom"] == PIXEL_SIZE
    return _table(pd.read_parquet(path))


def _table(frame):
    assert set(frame["pixel_size_angstrom"]) == {PIXEL_SIZE}
    np.testing.assert_allclose(frame["x_angstrom"], frame["x_px"] * frame["pixel_size_angstrom"])
    np.testing.assert_allclose(frame["y_angstrom"], frame["y_px"] * frame["pixel_size_angstrom"])
    atoms = frame[~frame["status"].isin(["vacancy", "rejected"])]
    return atoms[["element", "y_angstrom", "x_angstrom", "layer"]].itertuples(index=False)


def from_points(path):
    frame = pd.read_csv(path)
    atoms = frame[~frame["status"].isin(["vacancy", "rejected"])]
    assert list(frame.columns[:3]) == ["index", "axis-0", "axis-1"]  # napari: rows, then columns, in px
    values = atoms[["element", "axis-0", "axis-1", "layer"]].itertuples(index=False)
    return [(element, y * PIXEL_SIZE, x * PIXEL_SIZE, layer) for element, y, x, layer in values]


def from_extxyz(path):
    atoms = ase.io.read(path, format="extxyz")
    assert atoms.info["pixel_size_angstrom"] == PIXEL_SIZE
    np.testing.assert_allclose(atoms.cell.lengths()[:2], (SHAPE[1] * PIXEL_SIZE, SHAPE[0] * PIXEL_SIZE))
    top = (SHAPE[0] - 1) * PIXEL_SIZE  # x to the right, y up, z to the source
    found = zip(atoms.symbols, atoms.positions, atoms.arrays["layer"], atoms.arrays["status"], strict=True)
    return [(s, top - y, x, layer) for s, (x, y, _), layer, status in found if status != "vacancy"]


def from_cif(path):
    crystal = gemmi.read_small_structure(str(path))
    cell = crystal.cell
    assert (cell.a, cell.b) == pytest.approx((SHAPE[1] * PIXEL_SIZE, SHAPE[0] * PIXEL_SIZE))
    assert (cell.alpha, cell.beta, cell.gamma) == (90, 90, 90)
    places = [cell.orthogonalize(site.fract) for site in crystal.sites]
    highest = max(place.z for place in places)
    return [
        # the walls of the cell are those of the outermost pixels
        (site.type_symbol, cell.b - place.y - PIXEL_SIZE / 2, place.x - PIXEL_SIZE / 2,
         round((highest - place.z) / LAYER_SPACING))
        for site, place in zip(crystal.sites, places, strict=True)
    ]  # fmt: skip


def from_coco(path):
    content = json.loads(path.read_text())
    size = content["info"]["pixel_size_angstrom"]
    (image,) = content["images"]
    assert (image["height"], image["width"]) == SHAPE
    found = [(a["element"], *a["keypoints"][:2], a["layer"], a["status"]) for a in content["annotations"]]
    return [
        (element, y * size, x * size, layer) for element, x, y, layer, status in found if status != "vacancy"
    ]


def from_atomai(path):
    with np.load(path, allow_pickle=False) as file:
        size, names = float(file["pixel_size_angstrom"]), list(file["classes"])
        found = [(names[int(kind)], y * size, x * size, None) for y, x, kind in file["0"]]
    return [row for row in found if row[0] != "vacancy"]


def from_atomap(path):
    found = []
    with h5py.File(path) as file:
        _same_picture(file["original_image_data"][:])
        for name in (name for name in file if name.endswith("_sublattice")):
            about = file[name].attrs
            assert about["units"] == "Å"
            size = about["pixel_size"]
            found += [(about["name"], y * size, x * size, None) for x, y in file[name]["atom_positions"][:]]
    return [row for row in found if row[0] != "vacancy"]


def from_hspy(path):
    from rsciio.hspy import file_reader

    (signal,) = file_reader(str(path))
    _same_picture(signal["data"])
    axes = [(axis["name"], axis["scale"], axis["units"], axis["offset"]) for axis in signal["axes"]]
    assert axes == [("y", PIXEL_SIZE, "Å", 0), ("x", PIXEL_SIZE, "Å", 0)]
    markers = signal["metadata"]["Markers"]
    return [
        (name, y, x, None)
        for name in markers
        if name != "vacancy"
        for x, y in markers[name]["kwargs"]["offsets"]
    ]


def from_ome_zarr(path):
    root = zarr.open_group(path, mode="r")
    _same_picture(root["0"][:])
    labels = root["labels/atoms"]
    for group in (root, labels):
        (image,) = group.attrs["multiscales"]
        assert [(axis["name"], axis["unit"]) for axis in image["axes"]] == [
            ("y", "angstrom"),
            ("x", "angstrom"),
        ]
        (step,) = image["datasets"][0]["coordinateTransformations"]
    scale = np.array(step["scale"])
    found = labels.attrs["image-label"]["properties"]
    for row in found:  # the label lies where its properties say
        assert labels["0"][:][round(row["y_px"]), round(row["x_px"])] == row["label-value"]
    return [(r["element"], r["y_px"] * scale[0], r["x_px"] * scale[1], r["layer"]) for r in found]


def from_mask(path):
    """Return the discs of a label image by their middle; no element stands there."""
    size = _tiff_size(path)
    labels = tifffile.imread(path)
    assert labels.shape == SHAPE
    inside = [np.argwhere(labels == number) for number in np.unique(labels)[1:]]
    return [(None, *(middle.mean(0) * size), None) for middle in inside]


def from_heatmap(path):
    size = _tiff_size(path)
    heat = tifffile.imread(path)
    assert heat.shape == SHAPE
    places = [np.round(YX[row]).astype(int) for row in range(4)]
    for y, x in places:
        assert heat[y, x] == heat[y - 1 : y + 2, x - 1 : x + 2].max()
    return [(None, *(place * size), None) for place in places]


def _tiff_size(path):
    """Return the pixel size of a TIFF in Å by its resolution, as Fiji takes it, and as this program does."""
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        assert page.resolutionunit == tifffile.RESUNIT.CENTIMETER
        sizes = [1e8 * below / above for above, below in
                 (page.tags[name].value for name in ("XResolution", "YResolution"))]  # fmt: skip
    assert sizes == pytest.approx([PIXEL_SIZE, PIXEL_SIZE])
    assert read_micrograph(path).pixel_size == pytest.approx(PIXEL_SIZE)
    return sizes[0]


def _same_picture(found):
    from export_subject import make_subject

    np.testing.assert_array_equal(found, make_subject().image)


READERS = {
    "csv": from_csv, "parquet": from_parquet, "points": from_points, "extxyz": from_extxyz, "cif": from_cif,
    "coco": from_coco, "atomai": from_atomai, "atomap": from_atomap, "hspy": from_hspy,
    "ome-zarr": from_ome_zarr, "mask": from_mask, "heatmap": from_heatmap,
}  # fmt: skip
#: How far a middle of pixels lies from its atom, at the edge of the image as well, Å.
DRAWN = {"mask": 6 * PIXEL_SIZE, "heatmap": PIXEL_SIZE}


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.key)
def test_element_place_and_layer_of_every_atom(form, subject, tmp_path):
    path = export_atoms(
        subject.table, tmp_path / f"a{form.suffix}", image=subject.image, name=subject.name, key=form.key
    )
    found = sorted(READERS[form.key](path), key=lambda row: row[1])
    expected = sorted(ATOMS, key=lambda row: row[1])
    assert len(found) == len(expected)
    for (element, y, x, layer), (its_element, its_y, its_x, its_layer) in zip(found, expected, strict=True):
        assert element in (None, its_element)
        assert (y, x) == pytest.approx((its_y, its_x), abs=DRAWN.get(form.key, 1e-5))
        assert layer in (None, its_layer)
