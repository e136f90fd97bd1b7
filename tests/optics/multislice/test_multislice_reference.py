"""References by multislice: as the fast engine where it may be, cached, cancelled, posed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import abtem.multislice
import numpy as np
import pytest
from ase import Atoms

from napari_stemprior.errors import InstrumentError, StructureError
from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.multislice import engine as multislice
from napari_stemprior.optics.multislice import scan_cache
from napari_stemprior.optics.multislice.engine import orthogonal, scan_series
from napari_stemprior.optics.multislice.reference import cell_series, multislice_reference
from napari_stemprior.optics.multislice.wave_passes import slice_count
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.optics.specimen import atoms_of, scatterers
from napari_stemprior.progress import Progress, drain
from napari_stemprior.registration import Pose
from napari_stemprior.structure import StructurePrior, built_in, project

HAADF = PRESETS["60 kV HAADF"]
#: A narrow aperture and a low detector: few probes on a coarse grid.
QUICK = replace(PRESETS["60 kV MAADF"], convergence_semi_angle=25.0, detector_inner=30.0, detector_outer=80.0)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(scan_cache.FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("pose", [None, Pose.from_angle(17.0, 0.12, (20.0, 33.0), mirrored=True)])
def test_both_engines_agree_on_a_layer(pose: Pose | None) -> None:
    prior = built_in("MoS2")
    exact = drain(multislice_reference(prior, HAADF, 0.12, (70, 80), pose))
    fast = reference_image(prior, HAADF, 0.12, (70, 80), pose, thermal=0.0)
    assert np.corrcoef(exact.ravel(), fast.ravel())[0, 1] > 0.995
    assert fast.mean() == pytest.approx(exact.mean(), rel=0.1)
    assert exact.dtype == np.float32


def test_a_preview_of_a_layer_takes_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pixels of all waves that are propagated; ``benchmarks/speed/response.py`` measures the time."""
    pixels = []
    step = abtem.multislice.conventional_multislice_step

    def counted(waves: abtem.Waves, *others: object, **more: object) -> abtem.Waves:
        pixels.append(waves.array.size)
        return step(waves, *others, **more)

    monkeypatch.setattr(abtem.multislice, "conventional_multislice_step", counted)
    drain(multislice_reference(built_in("h-BN"), HAADF, 0.1, (64, 64)))
    assert 0 < sum(pixels) < 12e6  # two steps of all plane waves of the cell, 4 million


def test_the_second_time_comes_from_the_disk(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prior = built_in("graphene")
    first = drain(multislice_reference(prior, QUICK, 0.2, (30, 30)))
    assert len(list(cache.glob("*.npz"))) == 1
    monkeypatch.setattr(multislice, "Potential", None)  # simulating again would fail
    again = drain(multislice_reference(prior, QUICK, 0.2, (30, 30)))
    np.testing.assert_array_equal(first, again)
    # source size and dose come after the scan
    other = drain(multislice_reference(prior, replace(QUICK, source_size=1.0, dose=5.0), 0.2, (30, 30)))
    assert other.std() < first.std()


def test_everything_else_makes_another_scan(cache: Path) -> None:
    prior = built_in("graphene")
    for instrument in (QUICK, replace(QUICK, defocus=30.0), replace(QUICK, detector_inner=40.0)):
        drain(multislice_reference(prior, instrument, 0.2, (20, 20)))
    drain(multislice_reference(prior, QUICK, 0.2, (20, 20), phonons=1))
    drain(multislice_reference(prior, QUICK, 0.2, (20, 20), phonons=1, seed=1))
    drain(multislice_reference(built_in("h-BN"), QUICK, 0.2, (20, 20)))
    assert len(list(cache.glob("*.npz"))) == 6


def test_a_damaged_file_is_simulated_again(cache: Path) -> None:
    prior = built_in("graphene")
    first = drain(multislice_reference(prior, QUICK, 0.2, (30, 30)))
    (file,) = cache.glob("*.npz")
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(drain(multislice_reference(prior, QUICK, 0.2, (30, 30))), first)


def test_the_cache_is_bounded_and_drops_the_oldest(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(2000)
    monkeypatch.setattr(scan_cache, "LIMIT", 40_000)
    for number in range(5):
        scan_cache.store(f"{number}", {"values": values})
        os.utime(cache / f"{number}.npz", (number, number))  # the next is newer, whatever the clock
    assert scan_cache.load("0") is None
    kept = scan_cache.load("4")
    assert kept is not None
    np.testing.assert_array_equal(kept["values"], values)
    assert sum(f.stat().st_size for f in cache.glob("*")) <= 40_000


def test_a_folder_that_cannot_be_made_is_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(scan_cache.FOLDER_VARIABLE, str(tmp_path / "file"))
    assert drain(multislice_reference(built_in("graphene"), QUICK, 0.2, (20, 20))).shape == (20, 20)


def test_it_can_be_cancelled_between_steps(cache: Path) -> None:
    work = multislice_reference(built_in("graphene"), QUICK, 0.2, (20, 20))
    assert isinstance(next(work), Progress)
    work.close()
    assert not list(cache.glob("*.npz"))


def test_plane_waves_give_what_probes_give() -> None:
    box, _ = orthogonal(atoms_of(built_in("Si [110]"), 8.0))
    series = [
        drain(scan_series(box, QUICK, depths=[4.0, 8.0], defoci=[0.0, 40.0], prism=p, sampling=0.1))
        for p in (True, False)
    ]
    for waves, probes in zip(series[0], series[1], strict=True):
        for one, other in zip(waves, probes, strict=True):
            np.testing.assert_allclose(one.intensity, other.intensity, rtol=1e-3, atol=1e-7)
    assert series[0][1][0].intensity.mean() > 1.5 * series[0][0][0].intensity.mean()


def test_a_layer_is_the_same_at_any_thickness() -> None:
    series = drain(cell_series(built_in("graphene"), QUICK, [20, 50], [0.0]))
    assert series[0][0] is series[1][0]


def test_a_prior_that_lost_its_atoms_spreads_them() -> None:
    prior = built_in("MoS2")
    bare = replace(prior, unit_cell=None)
    depths = [sorted(d for _, _, d in atoms) for atoms in scatterers(bare) if len(atoms) == 2]
    assert depths[0][1] - depths[0][0] == pytest.approx(3.1)
    edited = replace(prior, columns=prior.columns[:1])  # its atoms are no longer those of the columns
    assert [len(atoms) for atoms in scatterers(edited)] == [1]
    assert len(atoms_of(edited, 0.0)) == 1


def test_shared_sites_are_drawn_by_their_occupancy() -> None:
    atoms = Atoms("Au", cell=[3, 3, 3], pbc=True)
    prior = project(atoms, None, name="alloy")
    unit = prior.unit_cell
    assert unit is not None
    half = replace(
        unit,
        positions=np.repeat(unit.positions, 2, axis=0),
        atomic_numbers=np.array([79, 29]),
        occupancy=np.array([0.5, 0.3]),
        site=np.array([0, 0]),
    )
    column = replace(prior.columns[0], composition=(("Au", 0.5), ("Cu", 0.3)))
    mixed = replace(prior, columns=(column,), unit_cell=half)
    numbers = atoms_of(mixed, 3000.0, seed=1).numbers
    assert np.mean(numbers == 79) * len(numbers) / 1000 == pytest.approx(0.5, abs=0.05)
    assert len(numbers) / 1000 == pytest.approx(0.8, abs=0.05)
    np.testing.assert_array_equal(numbers, atoms_of(mixed, 3000.0, seed=1).numbers)


def test_what_cannot_be_simulated_is_said_so() -> None:
    with pytest.raises(StructureError, match="smaller thickness"):
        atoms_of(built_in("SrTiO3 [001]"), 1e6)
    with pytest.raises(InstrumentError, match="phonon"):
        drain(multislice_reference(built_in("MoS2"), HAADF, 0.2, (20, 20), phonons=-1))
    skewed = StructurePrior(
        "skewed", "as is", np.array([[3.0, 0], [0.6180, 3.3317]]), built_in("graphene").columns[:1]
    )
    with pytest.raises(StructureError, match="no small rectangle"):
        drain(multislice_reference(skewed, HAADF, 0.2, (20, 20)))


def test_a_thin_crystal_of_a_series_looks_as_it_does_alone():
    prior = built_in("SrTiO3 [001]")
    lens = replace(HAADF, convergence_semi_angle=12.0, detector_inner=40.0, detector_outer=90.0)

    def means(*thicknesses):
        made = drain(cell_series(prior, lens, thicknesses, [0.0], quality="preview", cache=False))
        return [row[0].scan.intensity.mean() for row in made]

    thin, thick = means(12.0, 50.0)
    assert thin == pytest.approx(means(12.0)[0], rel=0.02)
    assert thick == pytest.approx(means(50.0)[0], rel=0.02)
    assert slice_count(13 * prior.period, prior.period) == 26, "two for each repeat, not 25"
    assert slice_count(50.0) == 25
