"""The first rows of a journal are written out before anybody edits, and never those of other rows."""

import threading

import numpy as np
from journal_bench import Desk, atoms, same

from napari_stemprior.atoms import AtomHistory, AtomTable
from napari_stemprior.atoms import journal_keeper as module
from napari_stemprior.atoms.journal import encoded, state_entries, written_out
from napari_stemprior.atoms.journal_replay import read_journal

begin = module.Journal.begin


def prepare(desk):
    desk.keeper.began(())
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


def other_history(desk):
    desk.history = AtomHistory(atoms(9), who="ada")
