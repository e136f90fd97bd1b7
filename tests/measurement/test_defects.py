"""Defects that were put into a crystal are found, counted and arranged."""

from dataclasses import replace

import numpy as np
import pytest
from displaced_crystal import PIXEL_SIZE, crystal

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.clustering import pair_correlation
from napari_stemprior.measurement.defects import concentrations, find_defects


def with_defects():
    made = crystal("MoS2", side=120, noise=0.02, margin=0.0)
    rng = np.random.default_rng(3)
    inner = ((made.perfect > 30) & (made.perfect < 1170)).all(1)
    chosen = rng.permutation(np.flatnonzero(inner & (made.column == 1)))
    missing, single, doped = chosen[:30], chosen[30:70], chosen[70:75]
    count = np.where(made.column == 0, 3.0, 1.0)
    count[single] = 0.5
    intensity = count + rng.normal(size=len(count)) * 0.05
    rows = made.atoms.rows.copy()
    rows.loc[doped, "element"] = "Se"
    keep = np.ones(len(rows), bool)
    keep[missing] = False
    table = AtomTable(rows, PIXEL_SIZE).where(keep)
    return made, table, intensity[keep], missing, single, doped


def test_each_kind_is_found_where_it_is():
    made, table, intensity, missing, single, doped = with_defects()
    found = find_defects(table, made.fit, (1200, 1200), intensity)
    for kind, where in (("vacancy", missing), ("partial vacancy", single), ("substitution", doped)):
        places = found.of(kind)[["y_px", "x_px"]].to_numpy(float)
        distance = np.linalg.norm(places[:, None] - made.perfect[where][None], axis=-1)
        assert len(places) == len(where), kind
        assert distance.min(0).max() < 1e-6, kind
    partial = found.of("partial vacancy")
    assert (partial["log_likelihood_ratio"] > 3).all()
    assert (partial["found"] == "S").all()
    assert partial["chance_of_error"].max() < 0.5
    assert found.area == pytest.approx(1.18**2 * 100, rel=0.02)


def test_concentrations_hold_the_truth():
    made, table, intensity, missing, _, _ = with_defects()
    counted = {
        (c.kind, c.site): c for c in concentrations(find_defects(table, made.fit, (1200, 1200), intensity))
    }
    vacancy = counted["vacancy", "S1"]
    assert vacancy.share.count == len(missing)
    assert vacancy.density == pytest.approx(30 / 139.2, rel=0.03)
    assert vacancy.density_low < vacancy.density < vacancy.density_high
    assert counted["partial vacancy", "S1"].share.value == pytest.approx(40 / vacancy.share.of, rel=0.02)
    assert ("partial vacancy", "Mo1") not in counted
    halved = concentrations(find_defects(table, made.fit, (1200, 1200), intensity), power=0.5)
    assert halved[1].share.value == pytest.approx(2 * vacancy.share.value)


def test_what_cannot_be_told_is_empty_with_a_reason():
    made, table, intensity, *_ = with_defects()
    noisy = intensity + np.random.default_rng(0).normal(size=len(intensity))
    unknown = AtomTable(table.rows.assign(element="X"), PIXEL_SIZE)
    found = {
        (c.kind, c.site): c for c in concentrations(find_defects(unknown, made.fit, (1200, 1200), noisy))
    }
    assert np.isnan(found["partial vacancy", "S1"].share.value)
    assert "too much" in found["partial vacancy", "S1"].reason
    assert np.isnan(found["substitution", "S1"].density)
    assert found["antisite", "Mo1"].reason == "the table of atoms has no elements"
    without = concentrations(find_defects(table, made.fit, (1200, 1200)))
    assert any("measured intensity" in c.reason for c in without)


def test_an_atom_between_the_sites_is_an_interstitial():
    made = crystal("MoS2", side=60, noise=0.0, margin=0.0)
    # the middle of a hexagon of MoS2
    cell = made.fit.prior.cell
    hollow = made.fit.pose.to_pixels(
        made.fit.prior.positions[0] + 6 * cell[0] + 6 * cell[1] + (cell[0] + 2 * cell[1]) / 3
    )
    other = made.fit.pose.to_pixels(
        made.fit.prior.positions[0] + 6 * cell[0] + 6 * cell[1] + (2 * cell[0] + cell[1]) / 3
    )
    far = [np.linalg.norm(made.atoms.yx - p, axis=1).min() for p in (hollow, other)]
    place = (hollow, other)[int(np.argmax(far))]
    table = AtomTable.from_positions(np.concatenate([made.atoms.yx, place[None]]), PIXEL_SIZE)
    found = find_defects(table, made.fit, (600, 600)).of("interstitial")
    assert len(found) == 1
    assert found["atom_id"].iloc[0] == len(made.atoms)


def test_no_site_on_the_image_is_said(sto):
    away = replace(sto.fit.poses[0], affine=sto.fit.poses[0].affine * 1e4, origin=np.array([-5e4, -5e4]))
    with pytest.raises(MeasurementError, match="No site"):
        find_defects(sto.atoms, replace(sto.fit, poses=(away,)), (50, 50))


def test_clusters_random_and_dispersed_arrangements_are_told_apart():
    y, x = np.meshgrid(np.arange(40.0), np.arange(40.0), indexing="ij")
    sites = np.stack([y.ravel(), x.ravel()], 1)
    rng = np.random.default_rng(0)
    random = pair_correlation(sites[rng.choice(1600, 60, replace=False)], sites)
    assert random.verdict == "random"
    assert np.nanmean(random.ratio) == pytest.approx(1, abs=0.3)
    patch = sites[(sites < 9).all(1)]
    assert pair_correlation(patch[::2], sites).verdict == "clustered"
    even = sites[(sites % 5 == 0).all(1)]
    assert pair_correlation(even, sites).verdict == "dispersed"
    with pytest.raises(MeasurementError, match="3 or more"):
        pair_correlation(sites[:2], sites)
