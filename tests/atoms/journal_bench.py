"""A history that is kept in a journal as the desk keeps it."""

import numpy as np

from napari_stemprior.atoms import AtomHistory, AtomTable
from napari_stemprior.atoms.journal_keeper import FrameState, JournalKeeper

IMAGE = {"sha256": "abc", "name": "flake", "shape": [80, 100], "path": None}


def atoms(n=5):
    return AtomTable.from_positions(np.random.default_rng(n).uniform(0, 50, (n, 2)), 0.2, element="Mo").rows


class Desk:
    """A history that is kept, as the desk keeps it."""

    def __init__(self, *stems):
        self.history = AtomHistory(atoms(), who="ada")
        self.keeper = JournalKeeper(IMAGE, stems, lambda: [FrameState((), self.history, 0.2, {"m": 1})])

    def mark(self, row=0, status="accepted"):
        before = self.history.rows.iloc[[row]]
        self.history.record(f"mark {status}", before, before.assign(status=status))
        self.keeper.recorded((), self.history.steps[-1])

    def undo(self):
        self.history.undo()
        self.keeper.went((), self.history.position)


def same(recovered, history):
    back = recovered.histories[()]
    assert back.rows.equals(history.rows)
    assert back.position == history.position
    assert [(s.label, s.who, s.when) for s in back.steps] == [(s.label, s.who, s.when) for s in history.steps]
    while history.undo():
        back.undo()
        assert back.rows.equals(history.rows)


def edited_journal(folder, rows=4):
    desk = Desk(folder / "a")
    for row in range(rows):
        desk.mark(row)
    desk.keeper.close()
    return next(folder.glob("*.jsonl"))
