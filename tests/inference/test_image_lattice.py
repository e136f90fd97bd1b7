"""Without a prior, the lattice that the image itself shows: what it finds, and where it is left aside."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from napari_stemprior import read_micrograph
from napari_stemprior.atoms import UNKNOWN_ELEMENT, AtomTable
from napari_stemprior.inference import Segmenter
from napari_stemprior.inference.image_lattice import common_offset
from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.registration import Pose
from napari_stemprior.structure import StructurePrior, built_in
from napari_stemprior.structure.lattice_sites import LatticeSites

PIXEL, SHAPE = 0.14, (360, 352)
SAMPLES = Path(__file__).parents[2] / "sample_data"


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(device="cpu")


def scene(name: str, dose: float, angle: float = 11.0) -> tuple[np.ndarray, np.ndarray, StructurePrior]:
    """Return counts, the true (N, 2) columns in pixels, and the prior."""
    prior, pose = built_in(name), Pose.from_angle(angle, PIXEL, (3.0, 7.0))
    ideal = reference_image(prior, PRESETS["80 kV HAADF"], PIXEL, SHAPE, pose)
    counts = NoiseChain(dose=dose).apply(ideal, PIXEL, np.random.default_rng(0))
    return counts, pose.columns(prior, SHAPE)[0], prior


def places(table: AtomTable) -> np.ndarray:
    return table.rows[["y_px", "x_px"]].to_numpy(float)


def f1(table: AtomTable, true: np.ndarray, gate: float = 0.5) -> float:
    """Share of columns found and atoms right, 1.5 Å from the edges, within `gate` Å."""
    low, high = 1.5 / PIXEL, np.array(SHAPE) - 1.5 / PIXEL
    found = places(table)
    found, wanted = (p[((p > low) & (p < high)).all(axis=1)] for p in (found, true))
    recall = (cKDTree(places(table)).query(wanted)[0] * PIXEL < gate).mean()
    precision = (cKDTree(true).query(found)[0] * PIXEL < gate).mean()
    return float(2 * recall * precision / (recall + precision))


@pytest.mark.parametrize("name", ["MoS2", "SrTiO3 [110]", "1T'-WTe2"])
def test_a_crystal_that_nobody_named_is_seen_further_into_the_noise(segmenter: Segmenter, name: str) -> None:
    image, true, prior = scene(name, 600)
    segmenter.set_image(image, PIXEL)
    with_lattice = segmenter.segment(None)
    lattice = with_lattice.provenance["image_lattice"]
    assert lattice is not None
    area = abs(np.linalg.det(lattice["cell_vectors"]))
    assert area / prior.area == pytest.approx(max(1, round(area / prior.area)), rel=0.02)
    alone = Segmenter(device="cpu", image_lattice=False)
    alone.set_image(image, PIXEL)
    before = alone.segment(None)
    assert before.provenance["image_lattice"] is None
    assert f1(with_lattice, true) > f1(before, true) + 0.02
    assert f1(with_lattice, true) > 0.93


def test_its_atoms_have_sites_but_no_elements(segmenter: Segmenter) -> None:
    segmenter.set_image(scene("MoS2", 3000)[0], PIXEL)
    table = segmenter.segment(None)
    assert set(table.rows["element"]) == {UNKNOWN_ELEMENT}
    kinds = table.rows["site"].str.slice(0, 1).value_counts()
    assert set(kinds.index) == {"A", "B"}
    assert kinds["A"] == pytest.approx(kinds["B"], rel=0.1)
    assert segmenter.fit is None
    assert table.provenance["prior"] is None
    assert table.provenance["pose"] is None


def test_an_empty_site_stays_empty(segmenter: Segmenter) -> None:
    prior, pose = built_in("MoS2"), Pose.from_angle(11.0, PIXEL, (3.0, 7.0))
    places_, index = pose.columns(prior, SHAPE)
    heavy = [i for i, c in enumerate(prior.columns) if c.element == "Mo"]
    inside = ((places_ > 40) & (places_ < 300)).all(axis=1) & np.isin(index, heavy)
    gone = places_[np.flatnonzero(inside)[::37]]
    ideal = reference_image(prior, PRESETS["80 kV HAADF"], PIXEL, SHAPE, pose)
    y, x = np.indices(SHAPE)
    for row, column in gone:
        hole = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * (0.75 / PIXEL) ** 2))
        ideal = ideal * (1 - hole) + ideal.min() * hole
    segmenter.set_image(NoiseChain(dose=3000).apply(ideal, PIXEL, np.random.default_rng(0)), PIXEL)
    table = segmenter.segment(None)
    assert table.provenance["image_lattice"] is not None
    assert len(gone) > 4
    assert (cKDTree(places(table)).query(gone)[0] * PIXEL > 0.6).all()


def test_strain_does_not_hide_that_a_cell_is_twice_as_large(segmenter: Segmenter) -> None:
    # every other octahedron of rutile is turned by 90°: with half the cell each has too many oxygen columns
    prior, pose = built_in("TiO2 rutile [001]"), Pose.from_angle(11.0, PIXEL, (3.0, 7.0))
    ideal = reference_image(prior, PRESETS["80 kV HAADF"], PIXEL, SHAPE, pose)
    y, x = np.indices(SHAPE)
    wave = 0.7 / PIXEL * np.sin(2 * np.pi * PIXEL * (0.8 * y + 0.6 * x) / 48.0)
    strained = map_coordinates(ideal, [y + 0.6 * wave, x - 0.8 * wave], order=3, mode="nearest")
    segmenter.set_image(NoiseChain(dose=10_000).apply(strained, PIXEL, np.random.default_rng(0)), PIXEL)
    lattice = segmenter.segment(None).provenance["image_lattice"]
    assert lattice is not None
    assert abs(np.linalg.det(lattice["cell_vectors"])) == pytest.approx(prior.area, rel=0.03)
    assert lattice["columns"] == len(prior.columns)


def test_a_prior_that_does_not_fit_leaves_the_lattice_of_the_image(segmenter: Segmenter) -> None:
    image, true, _ = scene("MoS2", 800)
    segmenter.set_image(image, PIXEL)
    table = segmenter.segment(built_in("SrTiO3 [001]"))
    assert table.provenance["prior_fits"] is False
    assert table.provenance["prior_unplaced"] is False
    assert table.provenance["image_lattice"] is not None
    assert f1(table, true) > 0.93
    right = segmenter.segment(built_in("MoS2"))
    assert right.provenance["image_lattice"] is None
    assert set(right.rows["element"]) == {"Mo", "S"}


def test_a_real_recording_of_mos2_has_two_columns_a_cell(segmenter: Segmenter) -> None:
    recorded = read_micrograph(SAMPLES / "example_Se_implanted_MoS2.dm3")
    assert recorded.pixel_size is not None
    segmenter.set_image(recorded.image, recorded.pixel_size)
    lattice = segmenter.segment(None).provenance["image_lattice"]
    assert lattice is not None
    area = abs(np.linalg.det(lattice["cell_vectors"]))
    cells = area / (3.161**2 * np.sqrt(0.75) * 0.943**2)  # the file's pixel size is 5.7 % too small
    assert lattice["columns"] / cells == pytest.approx(2.0, rel=0.08)


@pytest.mark.parametrize("seed", range(2))
def test_noise_and_films_show_no_lattice(segmenter: Segmenter, seed: int) -> None:
    rng = np.random.default_rng(seed)
    film = np.zeros(SHAPE)
    np.add.at(film, tuple(rng.integers(0, 352, (2, 5000))), 1.0)
    film = gaussian_filter(film, 0.4 / PIXEL)
    for image in (rng.poisson(3.0, SHAPE), rng.poisson(4 * film / film.mean())):
        segmenter.set_image(image, PIXEL)
        assert segmenter.segment(None).provenance["image_lattice"] is None


def test_it_is_looked_for_once_and_can_be_cancelled(segmenter: Segmenter) -> None:
    segmenter.set_image(scene("MoS2", 1500)[0], PIXEL)
    work = segmenter.steps(None)
    while "lattice" not in next(work).stage:
        pass
    work.close()
    first = segmenter.segment(None)
    stages = {progress.stage for progress in segmenter.steps(None)}
    assert "looking for a lattice in the image" not in stages
    assert places(segmenter.segment(None)) == pytest.approx(places(first))


def test_the_answer_does_not_depend_on_how_the_image_lies(segmenter: Segmenter) -> None:
    image, true, _ = scene("MoS2", 900)
    segmenter.set_image(image, PIXEL)
    upright = f1(segmenter.segment(None), true)
    segmenter.set_image(np.ascontiguousarray(np.rot90(image)), PIXEL)
    table = segmenter.segment(None)
    assert table.provenance["image_lattice"] is not None
    assert len(table) == pytest.approx(len(true), rel=0.03)
    assert upright > 0.93


@pytest.mark.parametrize("seed", [1, 5, 7])
def test_three_modes_that_close_tell_a_lattice_that_no_mode_tells(segmenter: Segmenter, seed: int) -> None:
    prior, pose = built_in("graphene"), Pose.from_angle(11.0, PIXEL, (3.0, 7.0))
    ideal = reference_image(prior, PRESETS["80 kV HAADF"], PIXEL, SHAPE, pose)
    counts = NoiseChain(dose=1300).apply(ideal, PIXEL, np.random.default_rng(seed))
    segmenter.set_image(counts, PIXEL)
    found = segmenter.segment(None)
    assert found.provenance["image_lattice"] is not None
    assert not found.provenance["unordered"]
    assert f1(found, pose.columns(prior, SHAPE)[0]) > 0.95


@pytest.mark.parametrize("seed", range(3))
def test_noise_has_no_such_lattice(segmenter: Segmenter, seed: int) -> None:
    counts = gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1.5)
    segmenter.set_image(counts, PIXEL)
    found = segmenter.segment(None)
    assert found.provenance["image_lattice"] is None
    assert len(found) <= 2


def test_columns_with_a_foot_on_one_side_stand_on_the_lattice(segmenter: Segmenter) -> None:
    # tilt and coma move the centre of mass of every column, and the network sees where it is brightest
    prior, pose = built_in("SrTiO3 [001]"), Pose.from_angle(11.0, PIXEL, (3.0, 7.0))
    ideal = reference_image(prior, PRESETS["200 kV HAADF"], PIXEL, SHAPE, pose)
    foot = sum(np.roll(ideal, shift, axis=0) for shift in range(10)) / 10
    counts = NoiseChain(dose=10_000).apply(0.4 * ideal + 0.6 * foot, PIXEL, np.random.default_rng(0))
    segmenter.set_image(counts, PIXEL)
    assert segmenter.segment(None).provenance["image_lattice"] is not None


def off_sites(offset: np.ndarray, beside: int = 0) -> float:
    """Return the common offset of columns that are off the sites of a square lattice by `offset` Å.

    ``beside`` of them have a less sure column 0.5 Å to their right.
    """
    grid = np.stack(np.meshgrid(*2 * [np.arange(20) * 20.0], indexing="ij"), -1).reshape(-1, 2)
    sites = LatticeSites(grid, *np.zeros((2, len(grid)), int), np.ones(len(grid)))
    lattice = SimpleNamespace(fit=SimpleNamespace(registered=sites))
    places = grid + offset / PIXEL
    yx = np.vstack([places, places[:beside] + np.array([0.0, 0.5 / PIXEL])])
    confidence = np.r_[np.full(len(places), 0.9), np.full(beside, 0.6)]
    return common_offset(lattice, PIXEL, yx, confidence)


def test_an_offset_that_changes_over_the_image_is_no_lattice_of_its_columns() -> None:
    rows = np.repeat(np.arange(20), 20)
    halves = np.where(rows < 10, 0.3, -0.3)[:, None] * [0.0, 1.0]
    assert off_sites(halves) == pytest.approx(0.28, abs=0.03)
    assert off_sites(np.full((400, 2), 0.2)) == pytest.approx(0.0, abs=1e-6)
    noise = np.random.default_rng(0).normal(0, 0.1, (400, 2))
    assert off_sites(noise) < 0.05


def test_of_several_columns_at_a_site_the_surest_counts() -> None:
    assert off_sites(np.zeros((400, 2)), beside=200) == pytest.approx(0.0, abs=1e-6)
