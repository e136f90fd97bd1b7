"""The segmenter with the shipped network, on scenes with known atoms."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.inferred import inferred
from napari_stemprior.errors import (
    DeviceError,
    MicrographError,
    ModelError,
    PixelSizeError,
    StempriorError,
    telling_out_of_memory,
)
from napari_stemprior.inference import Segmenter, available_models, peaks_to_atoms, predictor
from napari_stemprior.inference import segmenter as segmenter_module
from napari_stemprior.inference import tiles as tiling
from napari_stemprior.inference.site_labels import site_labels
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.progress import Progress, drain
from napari_stemprior.registration import Pose
from napari_stemprior.structure import StructurePrior, built_in
from napari_stemprior.structure.lattice_sites import LatticeSites

PIXEL = 0.16
SHAPE = (200, 220)


class WithVacancies:
    """A pose that leaves some columns out."""

    def __init__(self, pose: Pose, prior: StructurePrior, share: float, hole: float) -> None:
        positions, index = pose.columns(prior, SHAPE, 40)
        rng = np.random.default_rng(4)
        gone = rng.random(len(positions)) < share
        gone |= np.linalg.norm(positions - [60, 140], axis=1) < hole
        self.kept, self.index, self.vacant = positions[~gone], index[~gone], positions[gone]

    def columns(self, prior: StructurePrior, shape: tuple[int, int], margin: float = 0.0):
        return self.kept, self.index


@pytest.fixture(scope="module")
def prior() -> StructurePrior:
    return built_in("MoS2")


@pytest.fixture(scope="module")
def specimen(prior: StructurePrior) -> WithVacancies:
    return WithVacancies(Pose.from_angle(11.0, PIXEL, (3.0, 7.0)), prior, 0.04, 30.0)


@pytest.fixture(scope="module")
def image(prior: StructurePrior, specimen: WithVacancies) -> np.ndarray:
    ideal = reference_image(prior, PRESETS["80 kV HAADF"], PIXEL, SHAPE, specimen)
    return NoiseChain(dose=3e4).apply(ideal, PIXEL, np.random.default_rng(0))


@pytest.fixture(scope="module")
def segmenter(image: np.ndarray) -> Segmenter:
    made = Segmenter(device="cpu")
    made.set_image(image, PIXEL)
    return made


@pytest.fixture(scope="module")
def table(segmenter: Segmenter, prior: StructurePrior) -> AtomTable:
    return segmenter.segment(prior)


def inner(yx: np.ndarray) -> np.ndarray:
    return yx[((yx > 10) & (yx < np.array(SHAPE) - 10)).all(axis=1)]


def test_it_finds_the_atoms(table: AtomTable, specimen: WithVacancies) -> None:
    true = inner(specimen.kept)
    distance, _ = cKDTree(table.yx).query(true)
    assert np.mean(distance * PIXEL < 0.4) > 0.98
    assert np.sqrt(np.mean(distance[distance * PIXEL < 0.4] ** 2)) * PIXEL < 0.15
    assert len(inner(table.yx)) < 1.03 * len(true)


def test_it_tells_the_elements_apart(
    table: AtomTable, specimen: WithVacancies, prior: StructurePrior
) -> None:
    distance, nearest = cKDTree(specimen.kept).query(table.yx)
    near = distance * PIXEL < 0.4
    true = np.array([prior.columns[i].element for i in specimen.index])[nearest[near]]
    assert np.mean(true == table.rows["element"].to_numpy()[near]) > 0.97


def test_it_leaves_vacancies_and_the_hole_empty(table: AtomTable, specimen: WithVacancies) -> None:
    vacant = inner(specimen.vacant)
    distance, _ = cKDTree(table.yx).query(vacant)
    assert len(vacant) > 20
    assert np.mean(distance * PIXEL < 0.6) < 0.1


def test_it_counts_the_empty_sites(table: AtomTable, specimen: WithVacancies) -> None:
    inside = ((specimen.vacant >= 0) & (specimen.vacant <= np.array(SHAPE) - 1)).all(axis=1)
    # in the middle of the hole no lattice is seen, so it has no sites there
    hole = np.linalg.norm(specimen.vacant - [60, 140], axis=1) < 30.0
    alone = np.count_nonzero(inside & ~hole)
    assert alone - 4 <= table.provenance["empty_sites"] <= np.count_nonzero(inside)


def test_a_wrong_prior_gives_what_the_image_alone_gives(segmenter: Segmenter) -> None:
    wrong = segmenter.segment(built_in("Si [110]"))
    alone = segmenter.segment(None)
    np.testing.assert_allclose(wrong.yx, alone.yx)
    assert wrong.provenance["prior_fits"] is False
    assert segmenter.fit is None


def test_an_atom_that_nothing_names_is_unknown(segmenter: Segmenter, prior: StructurePrior) -> None:
    sites = LatticeSites.of(prior.columns, np.array([[5.0, 5.0]]), np.array([0]))
    labels = site_labels(
        np.array([[90.0, 90.0], [5.0, 5.0]]), np.zeros(2, bool), np.array([-1, -1]), prior, sites, PIXEL
    )
    assert labels["element"] == ["X", "Mo"]
    assert labels["site"] == ["", "Mo1"]


def test_no_trust_is_the_image_alone(segmenter: Segmenter, prior: StructurePrior) -> None:
    np.testing.assert_allclose(segmenter.segment(prior, trust=0.0).yx, segmenter.segment(None).yx)


def test_it_can_be_cancelled_and_used_again(
    segmenter: Segmenter, prior: StructurePrior, table: AtomTable
) -> None:
    steps = segmenter.steps(prior)
    assert isinstance(next(steps), Progress)
    steps.close()
    np.testing.assert_allclose(segmenter.segment(prior).yx, table.yx)


def test_progress_reaches_every_stage(segmenter: Segmenter, prior: StructurePrior) -> None:
    segmenter.segment(None)
    stages = {progress.stage for progress in segmenter.steps(prior)}
    assert {"fitting the lattice", "asking the sites", "finding the columns"} <= stages


def test_the_image_is_seen_once_for_both_answers(
    segmenter: Segmenter, prior: StructurePrior, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Segmenter(device="cpu", image_lattice=False)
    fresh.set_image(image, PIXEL)
    seen = []
    features = StructurePromptedNet.image_features

    def counted(*arguments: torch.Tensor) -> torch.Tensor:
        seen.append(1)
        return features(*arguments)

    monkeypatch.setattr(StructurePromptedNet, "image_features", counted)
    both, alone = fresh.segment(prior), fresh.segment(None)
    starts = [tiling.tile_starts(n)[0] for n in fresh._canonical.shape]
    assert len(seen) == len(starts[0]) * len(starts[1])
    monkeypatch.setattr(segmenter, "image_lattice", False)
    np.testing.assert_allclose(alone.yx, segmenter.segment(None).yx, atol=1e-3)
    np.testing.assert_allclose(both.yx, segmenter.segment(prior).yx, atol=1e-3)


def test_tiles_leave_no_seam(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = segmenter.segment(None)
    image = segmenter._canonical.image
    monkeypatch.setattr(tiling, "TILE", 128)
    monkeypatch.setattr(tiling, "OVERLAP", 64)
    answer = drain(
        tiling.predict(segmenter.network, image, StructurePrompt.absent(), torch.device("cpu"), "tiles")
    )
    assert answer.probability.shape[1:] == image.shape
    tiled, single = answer.probability[0].numpy(), segmenter._unprompted.probability[0].numpy()
    assert np.mean(np.abs(tiled - single) > 0.25) < 0.01
    assert len(whole) > 100


def test_the_precision_is_told_and_moves_no_atom(
    segmenter: Segmenter, prior: StructurePrior, image: np.ndarray
) -> None:
    tables = {}
    for precision in ("float32", "bfloat16"):
        made = Segmenter(device="cpu", precision=precision)
        made.set_image(image, PIXEL)
        tables[precision] = made.segment(prior)
        assert tables[precision].provenance["precision"] == precision
    exact, fast = tables.values()
    moved = np.linalg.norm(exact.yx - fast.yx, axis=1)  # the same atoms in the same order
    assert np.median(moved) < 1e-3
    assert moved.max() > 0  # it is another precision
    np.testing.assert_array_equal(exact.rows["element"], fast.rows["element"])
    assert np.abs(exact.rows["confidence"] - fast.rows["confidence"]).mean() < 1e-3


def test_there_are_no_other_precisions() -> None:
    with pytest.raises(DeviceError, match="no precision 'half'; choose one of auto, float32, bfloat16"):
        Segmenter(device="cpu", precision="half")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        MemoryError("Unable to allocate 512. TiB"),
    ],
)
def test_batches_that_do_not_fit_become_smaller(
    error: Exception, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = segmenter._canonical.image
    monkeypatch.setattr(tiling, "TILE", 64)
    monkeypatch.setattr(tiling, "OVERLAP", 16)
    asked = (segmenter.network, image, StructurePrompt.absent(), torch.device("cpu"), "tiles")
    single = drain(tiling.predict(*asked))
    sizes, ask = [], tiling._ask

    def small(network: StructurePromptedNet, tiles: torch.Tensor, *rest: object) -> object:
        sizes.append(len(tiles))
        if len(tiles) > 2:
            raise error
        return ask(network, tiles, *rest)

    monkeypatch.setattr(tiling, "_ON_CPU", 8)
    monkeypatch.setattr(tiling, "_ask", small)
    batched = drain(tiling.predict(*asked))
    assert sizes[:3] == [8, 4, 2]
    torch.testing.assert_close(batched.probability, single.probability, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("image", "pixel_size", "error"),
    [
        (np.zeros((64, 64, 3)), 0.2, MicrographError),
        (np.full((64, 64), 3.0), 0.2, MicrographError),
        (np.full((64, 64), np.nan), 0.2, MicrographError),
        (np.eye(64), 0.0, PixelSizeError),
        (np.eye(64), float("nan"), PixelSizeError),
        (np.eye(64), 0.01, PixelSizeError),
        (np.eye(64)[:, :1], 0.2, PixelSizeError),
    ],
)
def test_bad_images_are_refused(image: np.ndarray, pixel_size: float, error: type[Exception]) -> None:
    with pytest.raises(error):
        Segmenter(device="cpu").set_image(image, pixel_size)


def test_bad_requests_are_refused(prior: StructurePrior, segmenter: Segmenter) -> None:
    with pytest.raises(ModelError, match="nonsense"):
        Segmenter("nonsense")
    with pytest.raises(DeviceError, match="toaster"):
        Segmenter(device="toaster")
    with pytest.raises(MicrographError):
        Segmenter(device="cpu").segment(prior)
    with pytest.raises(StempriorError, match="trust"):
        segmenter.segment(prior, trust=1.5)


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate "
                "memory: you tried to allocate 9 bytes."
            ),
            "computer",
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."), "computer"),
        (MemoryError("Unable to allocate 512. TiB"), "computer"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "GPU"),
    ],
)
@pytest.mark.parametrize("place", ["predict_each", "decode", "refine"])
def test_a_lack_of_memory_is_told(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, failure: Exception, said: str, place: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    modules = {"predict_each": predictor, "decode": segmenter_module, "refine": peaks_to_atoms}
    monkeypatch.setattr(modules[place], place, fail)
    monkeypatch.setattr(segmenter, "_unprompted", None if place == "predict_each" else segmenter._unprompted)
    with pytest.raises(DeviceError, match=f"The {said} ran out of memory"):
        segmenter.segment(None)


def test_memory_that_torch_really_cannot_have_is_told() -> None:
    with pytest.raises(DeviceError, match="computer"), telling_out_of_memory():
        torch.empty(2**46)
    with pytest.raises(DeviceError, match="computer"), telling_out_of_memory():
        np.empty(2**46)
    with pytest.raises(RuntimeError, match="shapes differ"), telling_out_of_memory():
        raise RuntimeError("shapes differ")


def test_an_image_too_large_for_the_memory_leaves_the_last_one(
    segmenter: Segmenter, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    before = (segmenter.prepared, segmenter._canonical)
    monkeypatch.setattr(segmenter_module.CanonicalImage, "from_prepared", fail)
    with pytest.raises(DeviceError, match="computer ran out of memory"):
        segmenter.set_image(image, 2 * PIXEL)
    assert (segmenter.prepared, segmenter._canonical) == before


def test_the_shipped_model_is_listed() -> None:
    assert available_models()[0] == "small"


@pytest.mark.parametrize(("error", "believed"), [(1.09, True), (1.25, False)])
def test_a_nominal_pixel_size_may_be_a_tenth_off(
    segmenter: Segmenter, prior: StructurePrior, image: np.ndarray, error: float, believed: bool
) -> None:
    try:
        segmenter.set_image(image, PIXEL * error)
        found = segmenter.segment(prior)
    finally:
        segmenter.set_image(image, PIXEL)
    assert found.provenance["prior_fits"] is believed
    if believed:
        assert found.provenance["lattice_pixel_size"] == pytest.approx(PIXEL, rel=0.01)
    else:
        assert found.provenance["lattice_pixel_size"] is None


def test_columns_that_cannot_be_seen_are_no_single_doubts() -> None:
    """Oxygen beside strontium leaves no trace at this dose: it stands on the prior, as one group."""
    prior = built_in("SrTiO3 [001]")
    pose = Pose.from_angle(8.0, 0.147, (3.0, 5.0))
    ideal = reference_image(prior, PRESETS["80 kV HAADF"], 0.147, SHAPE, pose)
    noisy = NoiseChain(dose=8e3).apply(ideal, 0.147, np.random.default_rng(0))
    segmenter = Segmenter(device="cpu")
    segmenter.set_image(noisy, 0.147)
    table = segmenter.segment(prior)
    together = table.where(inferred(table.rows)).rows
    assert set(together["element"]) == {"O"}
    assert len(together) > 50
    assert (together["status"] == "ok").all()
    assert sum(kind["count"] for kind in table.provenance["inferred"]) == len(together)
    assert (table.rows["evidence"][table.rows["element"] != "O"] > 0).all()
