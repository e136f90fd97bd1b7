"""The first rows of a journal are written out before anybody edits, and never those of other rows."""

import threading

import numpy as np
import pytest
from journal_bench import Desk, atoms, same

from napari_stemprior.atoms import AtomHistory, AtomTable
from napari_stemprior.atoms import journal_keeper as module
from napari_stemprior.atoms.journal import Ready, encoded, state_entries, written_out
from napari_stemprior.atoms.journal_replay import read_journal

begin = module.Journal.begin


def prepare(desk):
    desk.keeper.began(())
    wait_for_threads()


def wait_for_threads():
    for thread in threading.enumerate():
        if thread.name == "stemprior-journal-ready":
            thread.join()


def test_the_line_is_the_same_as_without():
    rows = AtomTable.from_positions(
        [(1.25, np.pi), (2.0, 3.0)], 0.2, element=["Ünbekannt", "Mo"], confidence=[np.nan, 0.5]
    ).rows
    history = AtomHistory(rows, who="ada")
    begun = history.rows
    history.record("mark", begun.iloc[[0]], begun.iloc[[0]].assign(status="accepted"))
    plain, ready = (
        list(state_entries((), history, 0.2, {"m": np.float32(1)}, first))
        for first in (None, written_out(begun))
    )
    for number, (one, other) in enumerate(zip(plain, ready, strict=True)):
        assert encoded(one | {"when": ""}, number) == encoded(other | {"when": ""}, number)


def test_the_first_edit_takes_what_was_written_out(tmp_path, monkeypatch):
    desk = Desk(tmp_path / "a")
    prepare(desk)
    assert not list(tmp_path.iterdir()), "a segmentation alone makes no file"
    taken = []
    monkeypatch.setattr(
        module.Journal, "begin", lambda journal, *state: (taken.append(state[-1]), begin(journal, *state))
    )
    desk.mark()
    desk.keeper.close()
    assert taken == [written_out(atoms())]
    same(read_journal(tmp_path / "a.stemprior-edits.jsonl"), desk.history)


def test_rows_that_were_replaced_meanwhile_are_not_taken(tmp_path):
    for name, replace in (("a", lambda desk: desk.history.begin(atoms(9))), ("b", other_history)):
        desk = Desk(tmp_path / name)
        prepare(desk)
        replace(desk)
        desk.mark(7)
        desk.keeper.close()
        same(read_journal(tmp_path / f"{name}.stemprior-edits.jsonl"), desk.history)


@pytest.mark.parametrize("later", [None, {"pixel_size": 0.3}])
def test_the_context_that_was_written_out_is_taken_unless_another_came(tmp_path, monkeypatch, later):
    contexts = [{"pixel_size": 0.2, "prior": {"name": "MoS₂"}}]
    history = AtomHistory(atoms(), who="ada")
    keeper = module.JournalKeeper(
        {"name": "a", "sha256": "0" * 64, "shape": [9, 9], "path": None},
        [tmp_path / "a"],
        lambda: [module.FrameState((), history, 0.2, {})],
        lambda: contexts[-1],
    )
    keeper.context_changed()
    wait_for_threads()
    contexts.extend([later] if later else [])
    before = history.rows.iloc[[0]]
    history.record("mark", before, before.assign(status="accepted"))
    taken, note = [], module.Journal.note_context
    monkeypatch.setattr(
        module.Journal, "note_context", lambda journal, one: (taken.append(one), note(journal, one))
    )
    keeper.recorded((), history.steps[-1])
    keeper.close()
    assert [isinstance(one, Ready) for one in taken] == [later is None]
    assert read_journal(tmp_path / "a.stemprior-edits.jsonl").context == contexts[-1]


def other_history(desk):
    desk.history = AtomHistory(atoms(9), who="ada")
