"""Each export opens in the program that it is meant for, where that is installed.

The versions that this was checked with stand in ``docs/exports.md``. What the programs warn of about
themselves is theirs, so warnings are no errors here.
"""

import numpy as np
import pytest
from export_subject import PIXEL_SIZE, SHAPE, YX

from napari_stemprior.io import export_atoms

pytestmark = pytest.mark.filterwarnings("ignore")
ROWS = {"Mo": [0, 3], "S": [1], "X": [2], "vacancy": [4]}


def write(subject, path):
    return str(export_atoms(subject.table, path, image=subject.image, name=subject.name))


def on_the_bright_pixels(image, yx):
    """The fixture has a bright pixel under each of its first four atoms."""
    assert image.shape == SHAPE
    return all(image[tuple(np.round(one).astype(int))] == 1 for one in yx)


def test_hyperspy(subject, tmp_path):
    hs = pytest.importorskip("hyperspy.api")
    import matplotlib

    matplotlib.use("agg")
    signal = hs.load(write(subject, tmp_path / "a.hspy"))
    assert type(signal).__name__ == "Signal2D"
    y_axis, x_axis = signal.axes_manager["y"], signal.axes_manager["x"]
    assert (y_axis.size, x_axis.size) == SHAPE
    assert (y_axis.units, x_axis.scale) == ("Å", PIXEL_SIZE)
    markers = {name: group.get_current_kwargs() for name, group in dict(signal.metadata.Markers).items()}
    assert sorted(markers) == sorted(ROWS)
    for name, rows in ROWS.items():
        np.testing.assert_allclose(markers[name]["offsets"], YX[rows][:, ::-1] * PIXEL_SIZE)
    x, y = markers["S"]["offsets"][0]
    assert signal.isig[float(x), float(y)].data[0] == 1  # float slicing is in Å: the bright pixel
    signal.plot()
    shown = [type(c).__name__ for c in signal._plot.signal_plot.ax.collections]
    assert len(shown) == len(ROWS)
    signal.save(tmp_path / "again.hspy")
    assert len(dict(hs.load(tmp_path / "again.hspy").metadata.Markers)) == len(ROWS)


def test_pymatgen(subject, tmp_path):
    pymatgen = pytest.importorskip("pymatgen.core")
    structure = pymatgen.Structure.from_file(write(subject, tmp_path / "a.cif"))
    height, width = SHAPE
    assert structure.lattice.abc[:2] == pytest.approx((width * PIXEL_SIZE, height * PIXEL_SIZE))
    (sulphur,) = [site for site in structure if site.species_string == "S"]
    y, x = YX[1] * PIXEL_SIZE
    assert sulphur.coords[0] == pytest.approx(x + PIXEL_SIZE / 2)
    assert sulphur.coords[1] == pytest.approx((height - 0.5) * PIXEL_SIZE - y)
    assert len(structure) == 4  # the vacancy is no atom


def test_atomap(subject, tmp_path):
    pytest.importorskip("atomap.api")
    from atomap.io import load_atom_lattice_from_hdf5

    path = write(subject, tmp_path / "a.hdf5")
    lattice = load_atom_lattice_from_hdf5(path, construct_zone_axes=False)
    assert lattice.name == "flake 7"
    assert [s.name for s in lattice.sublattice_list] == list(ROWS)
    assert lattice.image.shape == SHAPE
    for sublattice, rows in zip(lattice.sublattice_list, ROWS.values(), strict=True):
        np.testing.assert_allclose(sublattice.y_position, YX[rows, 0])
        np.testing.assert_allclose(sublattice.x_position, YX[rows, 1])
        assert (sublattice.pixel_size, sublattice.units) == (PIXEL_SIZE, "Å")
    molybdenum = lattice.sublattice_list[0]
    assert on_the_bright_pixels(
        molybdenum.image, np.stack([molybdenum.y_position, molybdenum.x_position], -1)
    )


def test_atomap_goes_on_with_a_whole_lattice(tmp_path):
    """Atomap builds its planes, and refines our positions to the maxima of the picture."""
    pytest.importorskip("atomap.api")
    from atomap.io import load_atom_lattice_from_hdf5

    from napari_stemprior.atoms import AtomTable
    from napari_stemprior.io.writers.formats.rasters import heat_map

    grid = np.stack(np.meshgrid(np.arange(10, 75, 10.0), np.arange(8, 118, 12.0), indexing="ij"), -1)
    true = AtomTable.from_positions(grid.reshape(-1, 2), 0.2, element="Mo")
    image = heat_map(true, (80, 120), sigma=0.5)
    shifted = AtomTable.from_positions(true.yx + 0.6, 0.2, element="Mo")
    lattice = load_atom_lattice_from_hdf5(str(export_atoms(shifted, tmp_path / "a.hdf5", image=image)))
    sublattice = lattice.sublattice_list[0]
    assert len(sublattice.zones_axis_average_distances) >= 2
    sublattice.find_nearest_neighbors()
    sublattice.refine_atom_positions_using_2d_gaussian(image, show_progressbar=False)
    np.testing.assert_allclose(sublattice.y_position, true.yx[:, 0], atol=0.1)
    np.testing.assert_allclose(sublattice.x_position, true.yx[:, 1], atol=0.1)


def test_pycocotools(subject, tmp_path):
    coco_module = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    coco = coco_module.COCO(write(subject, tmp_path / "a.json"))
    (image,) = coco.loadImgs(coco.getImgIds())
    assert (image["height"], image["width"]) == SHAPE
    for name, rows in ROWS.items():
        found = coco.loadAnns(coco.getAnnIds(catIds=coco.getCatIds(catNms=[name])))
        np.testing.assert_array_equal([a["keypoints"] for a in found], [(*YX[r][::-1], 2) for r in rows])
    # the export scored against itself is perfect, so every field that COCO wants is there
    results = coco.loadRes(
        [
            {"image_id": 1, "category_id": a["category_id"], "keypoints": a["keypoints"], "score": 0.9}
            for a in coco.loadAnns(coco.getAnnIds())
        ]
    )
    evaluation = COCOeval(coco, results, "keypoints")
    evaluation.params.kpt_oks_sigmas = np.array([0.05])
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]] * 3, ["all", "medium", "large"]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


def test_ome_zarr(subject, tmp_path):
    pytest.importorskip("ome_zarr")
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    nodes = list(Reader(parse_url(write(subject, tmp_path / "a.ome.zarr")))())
    found = {node.zarr.basename(): node for node in nodes if node.data}
    assert sorted(found) == ["a.ome.zarr", "atoms", "vacancies"]
    image = np.asarray(found["a.ome.zarr"].data[0])
    np.testing.assert_array_equal(image, subject.image)
    labels = np.asarray(found["atoms"].data[0])
    assert labels.shape == SHAPE
    assert labels[12, 11] == 1  # the S atom
    for node in found.values():
        (transform,) = node.metadata["coordinateTransformations"][0]
        assert transform["scale"] == [PIXEL_SIZE, PIXEL_SIZE]
    models = pytest.importorskip("ome_zarr_models.v04")
    import zarr

    root = zarr.open_group(str(tmp_path / "a.ome.zarr"), mode="r")
    models.Image.from_zarr(root)
    models.ImageLabel.from_zarr(root["labels/atoms"])


def test_napari_ome_zarr(subject, tmp_path):
    reader = pytest.importorskip("napari_ome_zarr")
    path = write(subject, tmp_path / "a.ome.zarr")
    layers = reader.napari_get_reader(path)(path)
    kinds = [layer[2] for layer in layers]
    assert kinds == ["image", "labels", "labels"]
    for data, meta, _ in layers:
        first = data[0] if isinstance(data, list) else data
        assert np.asarray(first).shape == SHAPE
        assert tuple(meta["scale"]) == (PIXEL_SIZE, PIXEL_SIZE)


def test_atomai(subject, tmp_path):
    aoi = pytest.importorskip("atomai")
    path = write(subject, tmp_path / "a.npz")
    coordinates = {int(k): v for k, v in np.load(path).items() if k.isdigit()}
    for number, rows in enumerate((ROWS["Mo"], ROWS["S"], ROWS["X"])):
        patches, centres, frames = aoi.utils.extract_subimages(
            subject.image[None, ..., None], coordinates, 5, coord_class=number
        )
        np.testing.assert_array_equal(centres, YX[rows])
        assert (patches[:, 2, 2, 0] == 1).all()  # the bright pixel is in the middle of its patch
        assert not frames.any()
