"""Corrections of a frame are said of the next one where it has the same atoms, and only there."""

import numpy as np
import pytest

from napari_stemprior.atoms import AtomTable
from napari_stemprior.progress import drain
from napari_stemprior.workflow.copy_corrections import copy_corrections

SHIFT = np.array((1.5, -1.0))
GRID = np.stack(np.meshgrid(np.arange(6, 66, 10.0), np.arange(6, 66, 10.0), indexing="ij"), -1).reshape(-1, 2)


def frame(yx, **columns):
    return AtomTable.from_positions(yx, 0.2, element="Mo", confidence=0.9, **columns)


def images():
    return tuple(np.random.default_rng(i).normal(size=(72, 72)).astype(np.float32) for i in (0, 1))


def corrected(statuses):
    table = frame(GRID)
    status, element = np.full(len(GRID), "ok", object), np.full(len(GRID), "Mo", object)
    for row, (word, what) in statuses.items():
        status[row], element[row] = word, what
    return AtomTable(table.rows.assign(status=status, element=element), 0.2)


@pytest.fixture
def here():
    return corrected(
        {7: ("rejected", "Mo"), 8: ("accepted", "W"), 14: ("vacancy", "Mo"), 20: ("accepted", "Mo")}
    )


def test_each_edit_goes_to_the_atom_that_drifted(here):
    there = frame(np.delete(GRID, [14, 20], axis=0) + SHIFT)
    copied = drain(copy_corrections(here, there, images(), 500))
    found = {tuple(np.round(row[["y_px", "x_px"]].tolist(), 3)): row for _, row in copied.after.iterrows()}
    assert len(found) == 3
    rejected, changed, vacancy = (found[tuple(GRID[row] + SHIFT)] for row in (7, 8, 14))
    assert rejected["status"] == "rejected"
    assert (changed["status"], changed["element"]) == ("accepted", "W")
    assert (vacancy["status"], vacancy["atom_id"]) == ("vacancy", 500)
    assert (copied.unfit, copied.decided) == (1, 0)
    assert copied.sentence == (
        "3 corrections were copied; 1 did not fit, as the next frame shows no such atom there."
    )


def test_what_a_person_judged_there_stays_and_a_vacancy_with_an_atom_does_not_fit(here):
    rows = frame(GRID + SHIFT).rows
    status = np.full(len(GRID), "ok", object)
    status[[7, 8]] = "accepted"
    copied = drain(copy_corrections(here, AtomTable(rows.assign(status=status), 0.2), images(), 500))
    assert copied.after["atom_id"].tolist() == [20]
    assert (copied.unfit, copied.decided) == (1, 2)
    assert "2 stayed as you have judged the place there already" in copied.sentence


def test_nothing_to_copy_and_no_atoms_there(here):
    nothing = drain(copy_corrections(frame(GRID), frame(GRID), images(), 500))
    assert (len(nothing.after), nothing.unfit, nothing.decided) == (0, 0, 0)
    bare = drain(copy_corrections(here, AtomTable.empty(0.2), images(), 0))
    assert bare.after["status"].tolist() == ["vacancy"]
    assert bare.unfit == 3
