"""Atoms of a kind that leaves no trace: counted, and judged as one group."""

import numpy as np
import pytest

from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.inferred import inferred, inferred_kinds, inferred_sentence
from napari_stemprior.atoms.review_queue import ReviewQueue, rank


@pytest.fixture
def rows():
    """Four oxygen columns that the image does not show, one that it hardly shows, and two of strontium."""
    return AtomTable.from_positions(
        [(10, 10 * i) for i in range(1, 8)],
        0.2,
        element=["O", "O", "O", "O", "O", "Sr", "Sr"],
        site=["O1", "O1", "O2", "O2", "O1", "Sr1", "Sr1"],
        source=["lattice"] * 5 + ["model"] * 2,
        evidence=[0.0, 0.0, 0.0, 0.0, 0.01, 0.9, 0.9],
        confidence=[0.6, 0.7, 0.9, 0.9, 0.9, 0.9, 0.3],
        status=["ok", "ok", "ok", "ok", "ok", "ok", "review"],
    ).rows


def test_little_evidence_is_not_no_trace(rows):
    assert inferred(rows).tolist() == [True] * 4 + [False] * 3
    assert inferred_kinds(rows) == [
        {"element": "O", "site": "O1", "layer": 0, "count": 2},
        {"element": "O", "site": "O2", "layer": 0, "count": 2},
    ]
    assert inferred_sentence(rows).startswith("4 O stand on the prior alone")
    none = rows[~inferred(rows)]
    assert inferred_sentence(none) == ""
    assert inferred_kinds(none) == []


def test_a_lattice_that_nobody_named_is_no_prior(rows):
    rows["element"] = "X"
    assert inferred_sentence(rows).startswith("4 columns stand on the lattice alone")
    rows.loc[:2, "status"] = "accepted"
    assert inferred_sentence(rows).startswith("1 column stands on the lattice alone")


def test_what_a_person_has_judged_is_no_longer_inferred(rows):
    rows.loc[0, "status"] = "accepted"
    rows.loc[1, "status"] = "rejected"
    rows.loc[2, "source"] = "manual"
    assert inferred(rows).tolist() == [False, False, False, True, False, False, False]
    assert inferred_sentence(rows).startswith("1 O stands")


def test_they_are_one_place_of_the_queue(rows):
    doubts = rank(rows, (80, 100), 0.2)
    groups = [d for d in doubts if d.group]
    assert [d.group for d in groups] == [(0, 1, 2, 3)]
    assert groups[0].reasons == (inferred_sentence(rows),)
    assert sorted(d.atom_id for d in doubts if not d.group) == [4, 6], "no place for one of the group"


@pytest.mark.parametrize("status", ["accepted", "rejected"])
def test_one_answer_settles_the_group(rows, status):
    queue = ReviewQueue(rank(rows, (80, 100), 0.2))
    (place,) = (i for i, d in enumerate(queue.doubts) if d.group)
    assert place in queue.waiting(rows)
    some = rows.copy()
    some.loc[:2, "status"] = status
    assert place in queue.waiting(some), "one of them is still open"
    answered = rows.copy()
    answered.loc[np.flatnonzero(inferred(rows)), "status"] = status
    assert place not in queue.waiting(answered)
