"""An image segmented whole and in strips gives the same atoms."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import zarr
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MicrographError, PixelSizeError
from napari_stemprior.inference import Segmenter, strip_segmentation, tile_rows, tiles
from napari_stemprior.inference import room as room_module
from napari_stemprior.inference.canonical import CanonicalGrid, CanonicalImage
from napari_stemprior.inference.canonical_strips import CanonicalStrips, canonical_strips
from napari_stemprior.inference.room import check_room, room_for
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording import stored_image
from napari_stemprior.recording.prepared_strips import PreparedStrips, prepare_strips
from napari_stemprior.registration import Pose
from napari_stemprior.scratch_arrays import ScratchArrays
from napari_stemprior.structure import StructurePrior, built_in

PIXEL, SHAPE = 0.16, (440, 400)


@pytest.fixture(scope="module")
def prior() -> StructurePrior:
    return built_in("MoS2")


@pytest.fixture(scope="module")
def image(prior: StructurePrior) -> np.ndarray:
    """Give a recording with a border, a lost row and a hot pixel."""
    pose = Pose.from_angle(11.0, PIXEL, (3.0, 7.0))
    ideal = reference_image(prior, PRESETS["80 kV HAADF"], PIXEL, SHAPE, pose)
    made = NoiseChain(dose=3e3).apply(ideal, PIXEL, np.random.default_rng(0)).astype(np.float32)
    made += np.random.default_rng(1).normal(0, 0.1 * made.std(), SHAPE).astype(np.float32)
    made[:, :12] = 0
    made[300] = 0
    made[100, 200] = 50 * made.max()
    return made


@pytest.fixture
def small_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_image, "IN_ONE_PIECE", 1000)
    monkeypatch.setattr(stored_image, "STRIP", 128 * SHAPE[1])


@pytest.fixture(scope="module")
def whole(image: np.ndarray) -> Segmenter:
    segmenter = Segmenter(device="cpu", precision="float32")
    segmenter.set_image(image, PIXEL)
    return segmenter


def differences(first: AtomTable, second: AtomTable) -> tuple[int, float, float]:
    """Return how many atoms only one has; of the rest the largest distance in px, and that in confidence."""
    distance, nearest = cKDTree(second.yx).query(first.yx)
    same = distance < 1.0
    assert len(np.unique(nearest[same])) == same.sum() > 300  # none twice
    one, other = first.rows[same], second.rows.iloc[nearest[same]]
    for name in ("element", "site", "layer", "source"):
        assert (one[name].to_numpy() == other[name].to_numpy()).all(), name
    apart = np.abs(one["confidence"].to_numpy() - other["confidence"].to_numpy())
    alone = len(first) + len(second) - 2 * int(same.sum())
    return alone, float(distance[same].max()), float(apart.max())


@pytest.mark.usefixtures("small_strips")
def test_strips_give_the_atoms_of_the_whole(image, prior, whole, tmp_path):
    array = zarr.create_array(tmp_path / "image.zarr", shape=SHAPE, chunks=(100, 150), dtype="float32")
    array[:] = image
    strips = Segmenter(device="cpu", precision="float32")
    strips.set_image(array, PIXEL)
    stages: list[Progress] = []
    found = drain(strips.steps(prior), stages.append)
    assert isinstance(strips.prepared, PreparedStrips)
    assert isinstance(strips._canonical, CanonicalStrips)
    assert strips.prepared.summary() == whole.prepared.summary()
    assert set(whole.prepared.summary()["pixels_left_out"]) == {"border", "rows"}
    assert {"preparing the recording", "predicting with the prior", "refining the positions"} <= {
        progress.stage for progress in stages
    }
    expected = whole.segment(prior)
    alone, distance, confidence = differences(expected, found)
    assert alone == 0
    # wide gaps are filled in bins that begin elsewhere, and of two pixels as high either may be the maximum
    assert distance < 0.05
    assert np.quantile(cKDTree(found.yx).query(expected.yx)[0], 0.98) < 2e-3
    assert confidence < 1e-3
    alone, distance, _ = differences(whole.segment(None), strips.segment(None))
    assert alone == 0
    assert distance < 0.05
    again: list[Progress] = []
    strips.set_image(array, PIXEL)
    drain(strips.steps(None), again.append)
    assert "preparing the recording" not in {progress.stage for progress in again}  # it is known


@pytest.mark.parametrize("height", [1100, 1090])
def test_rows_of_tiles_are_blended_as_the_whole(monkeypatch, height):
    monkeypatch.setattr(tiles, "TILE", 192)
    monkeypatch.setattr(tile_rows, "_NORMALISED", 1)  # each row of tiles by itself
    rng = np.random.default_rng(5)
    image = rng.normal(size=(height, 150)).astype(np.float32) + np.linspace(0, 5, height)[:, None]
    image = gaussian_filter(image, 1.0).astype(np.float32)
    grid = CanonicalGrid((0, 0), image.shape, (0, 0), (height - 1, 149), np.ones(2), np.zeros(2))
    strips = CanonicalStrips(image, SimpleNamespace(all_valid=True), grid)
    network = Segmenter(device="cpu", precision="float32").network
    cpu, absent = torch.device("cpu"), StructurePrompt.absent()
    taken: list[tuple[int, tiles.Answer]] = []
    drain(
        tile_rows.predict_rows(
            network,
            strips,
            lambda rows: [absent],
            cpu,
            torch.float32,
            "",
            lambda n, a: taken.append((n, a[0])),
        )
    )
    assert len(taken) > 5
    assert [first for first, _ in taken] == np.cumsum([0, *(len(a.variance) for _, a in taken)])[:-1].tolist()
    whole = drain(tiles.predict(network, torch.from_numpy(image), absent, cpu, ""))
    for name, axis in (("probability", 1), ("offset", 1), ("variance", 0)):
        found = torch.cat([getattr(answer, name) for _, answer in taken], dim=axis)
        assert torch.allclose(found, getattr(whole, name), atol=1e-3), name


@pytest.mark.usefixtures("small_strips")
def test_blocks_lose_and_double_no_atom(image, prior, whole, monkeypatch):
    expected, fit = whole.segment(prior), whole.fit
    monkeypatch.setattr(strip_segmentation, "_ASKED", 180)
    monkeypatch.setattr(strip_segmentation, "_REFINED", 230)
    strips = Segmenter(device="cpu", precision="float32")
    strips.set_image(image, PIXEL)  # an array in memory goes by strips as well if it is large
    found = strips.segment(prior, fit=fit)
    # what is usual is learned in each block: of 250 sites, where it is of 10,000 outside tests
    alone, distance, confidence = differences(expected, found)
    assert alone <= 3
    assert distance * PIXEL < 0.03
    assert confidence < 0.1


@pytest.mark.usefixtures("small_strips")
def test_cancelling_leaves_nothing_on_the_disk(image, prior, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    segmenter = Segmenter(device="cpu", precision="float32")
    segmenter.set_image(stored_image.StoredImage(image), PIXEL)
    steps = segmenter.steps(prior)
    next(steps)
    assert list(tmp_path.iterdir())
    steps.close()
    del steps, segmenter
    assert not list(tmp_path.iterdir())


def test_what_does_not_fit_is_said_with_its_numbers(monkeypatch):
    memory, disk = room_for((16384, 16384), 0.1)
    assert memory < 4e9
    monkeypatch.setattr(room_module, "free_memory", lambda: memory)
    monkeypatch.setattr(room_module, "free_disk", lambda: disk)
    check_room((16384, 16384), 0.1)
    monkeypatch.setattr(room_module, "free_memory", lambda: memory // 2)
    with pytest.raises(MicrographError, match=r"flake: the image of 16384 x 16384 pixels takes .* GiB of .*"):
        check_room((16384, 16384), 0.1, "flake")
    monkeypatch.setattr(room_module, "free_memory", lambda: memory)
    monkeypatch.setattr(room_module, "free_disk", lambda: 2**20)
    with pytest.raises(MicrographError, match=r"GiB of 1.0 MiB that are free in .*TMPDIR"):
        check_room((16384, 16384), 0.1)


@pytest.mark.usefixtures("small_strips")
@pytest.mark.parametrize("pixel_size", [0.1, 0.16, 0.27])
def test_resampled_rows_then_columns_is_resampled(pixel_size):
    image = np.random.default_rng(3).normal(5000, 1, (301, 258)).astype(np.float32)
    scratch = ScratchArrays()
    prepared = drain(prepare_strips(stored_image.StoredImage(image), scratch))
    strips = drain(canonical_strips(prepared, pixel_size, scratch))
    whole = CanonicalImage.from_array(image, pixel_size)
    assert strips.shape == whole.shape
    part = strips.block(slice(30, 90), slice(20, 70))
    # single precision carries the mean of 5000 in the whole, and hardly any of it by strips
    assert np.abs(part.image.numpy() - whole.image.numpy()[30:90, 20:70]).max() < 2e-3
    places = np.array([[0.0, 0.0], [17.3, 140.2]])
    assert np.allclose(strips.to_canonical(places), whole.to_canonical(places))
    assert np.allclose(part.to_canonical(places), whole.to_canonical(places) - np.array([30, 20]))
    assert np.allclose(strips.to_pixels(strips.to_canonical(places)), places)


@pytest.mark.parametrize("size", [20.0, 2.5, 0.001])
def test_pixel_sizes_that_show_no_atoms_are_refused(image, size):
    with pytest.raises(PixelSizeError, match=r"0\.005"):
        Segmenter(device="cpu", precision="float32").set_image(image, size)
