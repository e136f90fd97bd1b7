import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.review_queue import Pace, ReviewQueue, empty, in_words, rank
from napari_stemprior.atoms.site_occupancy import SiteOccupancy
from napari_stemprior.structure import built_in
from napari_stemprior.structure.lattice_sites import LatticeSites

SHAPE, SIZE = (120, 130), 0.2
CELL = built_in("MoS2").columns[:2]
RNG = np.random.default_rng(0)


def lattice(bend=0.0):
    """A square lattice of two elements, 10 px apart, the second on the diagonals."""
    g = np.stack(np.meshgrid(np.arange(10, 115, 10), np.arange(10, 125, 10), indexing="ij"), -1)
    g = g.reshape(-1, 2).astype(float)
    column = np.where((g.sum(1) // 10) % 2 == 0, 0, 1)
    return LatticeSites.of(CELL, g + bend * np.sin(g[:, ::-1] / 40), column)


def atoms_of(sites, **changes):
    yx = sites.yx + RNG.normal(0, 0.15, sites.yx.shape)
    table = AtomTable.from_positions(
        yx, SIZE, element=sites.element.astype(object), site=sites.site.astype(object), confidence=0.97
    )
    rows = table.rows
    for name, (index, value) in changes.items():
        rows.loc[index, name] = value
    return rows


def first(rows, sites=None, **kwargs):
    found = rank(rows, SHAPE, SIZE, sites, **kwargs)
    return found[0] if found else None


def test_a_perfect_crystal_has_no_doubts():
    sites = lattice()
    assert rank(atoms_of(sites), SHAPE, SIZE, sites) == []


def test_atoms_to_review_come_by_confidence():
    rows = atoms_of(lattice(), confidence=([3, 5, 7], [0.5, 0.1, 0.3]), status=([3, 5, 7], "review"))
    found = rank(rows, SHAPE, SIZE)
    assert [d.atom_id for d in found] == [5, 7, 3]
    assert found[0].reasons == ("low confidence (0.10)",)


def test_a_high_confidence_is_not_called_low():
    rows = atoms_of(lattice(), confidence=([3, 5], [0.93, 0.79]), status=([3, 5], "review"))
    assert [d.reasons[0] for d in rank(rows, SHAPE, SIZE)] == ["low confidence (0.79)", "confidence (0.93)"]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("x_px", 33.4, "Å off its lattice site"),
        ("element", "Se", "Se on a site of "),
        ("evidence", 0.02, "little evidence in the image (0.02)"),
    ],
)
def test_each_disagreement_is_found_and_named(column, value, reason):
    sites = lattice()
    rows = atoms_of(sites)
    row = int(np.flatnonzero((sites.yx == (30, 30)).all(1))[0])
    rows.loc[row, column] = value
    found = rank(rows, SHAPE, SIZE, sites)
    assert [d.atom_id for d in found] == [row]
    assert reason in found[0].reasons[0]
    rows.loc[row, "status"] = "accepted"
    assert rank(rows, SHAPE, SIZE, sites) == [], "a person has settled it"


def test_an_atom_of_another_brightness_is_found():
    sites = lattice()
    rows = atoms_of(sites)
    bright = np.where(rows["element"] == "Mo", 10.0, 4.0) + RNG.normal(0, 0.3, len(rows))
    row = int(np.flatnonzero(rows["element"] == "S")[20])
    bright[row] = 9.0
    found = first(rows, sites, bright=bright, site_bright=bright)
    assert found.atom_id == row
    assert re.fullmatch(r"\d+\.\dσ brighter than other S", found.reasons[0])
    assert found.kind == "S brighter than their like"


def test_an_empty_site_is_found_and_a_bright_one_comes_first():
    sites = lattice()
    rows = atoms_of(sites)
    bright = np.where(sites.element == "Mo", 10.0, 4.0) + RNG.normal(0, 0.2, len(sites))
    dark, missed = 30, 42
    bright[dark], bright[missed] = 0.5, np.median(bright[sites.element == sites.element[missed]])
    keep = ~np.isin(np.arange(len(rows)), (dark, missed))
    found = rank(rows[keep], SHAPE, SIZE, sites, bright[keep], bright)
    assert [d.site for d in found] == [missed, dark]
    assert found[0].reasons[0].startswith("bright, yet no atom")
    assert empty(rows[keep], SiteOccupancy(sites)).nonzero()[0].tolist() == [dark, missed]


def test_where_the_lattice_is_not_seen_it_has_no_say():
    sites = lattice()
    faint = replace(sites, reliability=np.full(len(sites), 0.2))
    rows = atoms_of(sites)[5:]
    rows.loc[20, "x_px"] += 3.5
    assert rank(rows, SHAPE, SIZE, faint) == []


def test_sites_follow_a_bent_lattice_but_not_a_single_atom():
    rigid, bent = lattice(), lattice(bend=3.0)
    rows = atoms_of(bent)
    row = 40
    yx = rows[["y_px", "x_px"]].to_numpy(copy=True)
    yx[row] += (3, 3)
    relaxed = rigid.relaxed(yx)
    inner = ((bent.yx > 25) & (bent.yx < 100)).all(1)
    assert np.abs(relaxed.yx - bent.yx)[inner].max() < 1.2
    assert np.abs(rigid.yx - bent.yx)[inner].max() > 2.0
    assert np.hypot(*(relaxed.yx[row] - bent.yx[row])) < 1.0
    np.testing.assert_array_equal(rigid.relaxed(yx[:3]).yx, rigid.yx)


def test_layers_are_compared_with_their_own():
    top = lattice()
    low = replace(top, yx=top.yx + 5, layer=top.layer + 1)
    both = top.joined(low)
    rows = pd.concat([atoms_of(top), atoms_of(low).assign(layer=1)], ignore_index=True)
    rows["atom_id"] = np.arange(len(rows))
    assert rank(rows, SHAPE, SIZE, both) == []
    index, distance = both.nearest(np.array([[10.0, 10.0]]), np.array([1]))
    assert both.layer[index[0]] == 1
    assert distance[0] == pytest.approx(np.hypot(5, 5))


def test_what_is_settled_leaves_the_queue():
    sites = lattice()
    rows = atoms_of(sites, status=([3, 5, 7], "review"), confidence=([3, 5, 7], [0.5, 0.1, 0.3]))
    rows = rows.drop(index=60).reset_index(drop=True)
    queue = ReviewQueue(rank(rows, SHAPE, SIZE, sites), SiteOccupancy(sites))
    assert len(queue) == 4
    assert queue.waiting(rows) == [0, 1, 2, 3]
    rows.loc[5, "status"] = "accepted"
    order = [d.atom_id for d in queue.doubts]
    assert order.index(5) not in queue.waiting(rows)
    site = next(d.site for d in queue.doubts if d.site >= 0)
    vacancy = AtomTable.from_positions([sites.yx[site]], SIZE, atom_id=[900], status="vacancy").rows
    rows = pd.concat([rows[rows["atom_id"] != 3], vacancy], ignore_index=True)
    assert [queue.doubts[i].atom_id for i in queue.waiting(rows)] == [7]


steps = st.lists(st.tuples(st.sampled_from(["add", "move", "remove"]), st.integers(0, 10**6)), max_size=10)


@given(steps=steps, n=st.integers(0, 60))
def test_the_empty_sites_are_kept_up_to_date(steps, n):
    sites = lattice()
    rng = np.random.default_rng(n)
    ids, yx = np.arange(n), sites.yx[rng.choice(len(sites), n, replace=False)] + rng.normal(0, 2, (n, 2))
    occupancy = SiteOccupancy(sites)
    for action, seed in [("none", 0), *steps]:
        rng = np.random.default_rng(seed)
        chosen = rng.integers(0, max(len(ids), 1), 2)
        if action == "add":
            ids = np.append(ids, (ids.max() if len(ids) else 0) + 1)
            yx = np.vstack([yx, rng.uniform(0, 120, (1, 2))])
        elif action == "move" and len(ids):
            yx = yx.copy()
            yx[chosen] += rng.normal(0, 5, (2, 2))
        elif action == "remove" and len(ids):
            ids, yx = np.delete(ids, chosen), np.delete(yx, chosen, axis=0)
        far = np.hypot(*(sites.yx[:, None] - yx[None]).transpose(2, 0, 1))
        expected = (far > sites.reach).all(axis=1)
        np.testing.assert_array_equal(occupancy.empty(ids, yx), expected)


def test_the_pace_is_that_of_the_last_judgements_without_pauses():
    pace = Pace()
    for at in (0, 2, 4):
        pace.note(at)
    assert pace.left(10) is None, "too few to tell"
    for at in (6, 500, 502, 504):
        pace.note(at)
    assert pace.left(10) == pytest.approx(20)
    assert [in_words(s) for s in (10, 50, 330, 9000)] == ["less than a minute", "1 min", "6 min", "2.5 h"]
