import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from napari_stemprior.atoms import COLUMNS, AtomHistory, AtomTable


def rows(n, first=0, **columns):
    yx = np.random.default_rng(first).uniform(0, 50, (n, 2))
    return AtomTable.from_positions(yx, 0.2, atom_id=np.arange(first, first + n), **columns).rows


class EditingAtoms(RuleBasedStateMachine):
    """Any sequence of edits, undos, redos and jumps, against a list of copied tables."""

    numbers = Bundle("numbers")

    @initialize(n=st.integers(0, 6))
    def begin(self, n):
        self.history = AtomHistory(rows(n, element="Mo"))
        self.states = [self.history.rows.copy(deep=True)]
        self.frames = [self.history.rows]
        self.at = 0

    def edited(self, label, before, after):
        self.history.record(label, before, after)
        self.at += 1
        self.states[self.at :] = [self.history.rows.copy(deep=True)]
        self.frames[self.at :] = [self.history.rows]

    def some(self, data):
        n = len(self.history)
        chosen = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=4, unique=True))
        return self.history.rows.iloc[chosen]

    @rule(n=st.integers(1, 3))
    def add(self, n):
        first = self.history.next_id
        self.edited("add", self.history.rows.iloc[:0], rows(n, first, source="manual"))
        assert set(range(first, first + n)) <= set(self.history.ids)

    @precondition(lambda self: len(self.history))
    @rule(data=st.data())
    def move(self, data):
        before = self.some(data)
        self.edited("move", before, before.assign(y_px=before["y_px"] + 1.5, source="manual"))

    @precondition(lambda self: len(self.history))
    @rule(data=st.data(), status=st.sampled_from(["ok", "accepted", "rejected", "vacancy"]))
    def judge(self, data, status):
        before = self.some(data)
        self.edited(f"mark {status}", before, before.assign(status=status))

    @precondition(lambda self: len(self.history))
    @rule(data=st.data())
    def remove(self, data):
        before = self.some(data)
        self.edited("remove", before, before.iloc[:0])

    @precondition(lambda self: len(self.history))
    @rule(data=st.data(), n=st.integers(0, 3))
    def replace(self, data, n):
        self.edited("segmentation", self.some(data), rows(n, self.history.next_id, element="S"))

    @rule()
    def undo(self):
        assert (self.history.undo() is not None) == (self.at > 0)
        self.at = max(self.at - 1, 0)

    @rule()
    def redo(self):
        assert (self.history.redo() is not None) == (self.at < len(self.states) - 1)
        self.at = min(self.at + 1, len(self.states) - 1)

    @rule(data=st.data())
    def jump(self, data):
        old = self.history.rows
        self.at = data.draw(st.integers(0, len(self.states) - 1))
        change = self.history.go_to(self.at)
        new = self.history.rows
        if change.same_rows:
            differs = (old != new).any(axis=1).to_numpy()
            assert set(np.flatnonzero(differs)) <= set(change.rows)

    @invariant()
    def the_table_is_what_it_was_then(self):
        if not hasattr(self, "history"):
            return
        assert self.history.rows.equals(self.states[self.at])
        assert self.history.position == self.at
        assert self.history.rows.dtypes.astype(str).to_dict() == COLUMNS
        for frame, state in zip(self.frames, self.states, strict=True):
            assert frame.equals(state), "a frame handed out earlier has changed"


EditingAtoms.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
test_any_sequence = EditingAtoms.TestCase


def test_an_id_is_never_given_twice():
    history = AtomHistory(rows(2))
    history.record("add", history.rows.iloc[:0], rows(1, 2))
    history.undo()
    assert history.next_id == 3


def test_a_state_that_never_was_is_refused():
    history = AtomHistory(rows(2))
    with pytest.raises(IndexError, match="0 steps"):
        history.go_to(1)


def test_it_knows_who_touched_an_atom_last():
    history = AtomHistory(rows(4), who="ada")
    for atom, who in ((1, None), (2, "grace"), (1, "grace")):
        before = history.rows[history.rows["atom_id"] == atom]
        history.record(f"mark {atom}", before, before.assign(status="accepted"), who=who)
    history.record("segmentation", history.rows.iloc[[3]], rows(1, 9), who="")
    assert [(e["atom_id"], e["by"]) for e in history.edited()] == [(1, "grace"), (2, "grace")]
    history.go_to(1)
    assert [(e["atom_id"], e["by"], e["what"]) for e in history.edited()] == [(1, "ada", "mark 1")]
    assert pd.Timestamp(history.edited()[0]["at"]).tz is not None


def test_rows_in_any_order_come_out_sorted():
    shuffled = rows(5).iloc[[3, 1, 4, 0, 2]]
    assert AtomHistory(shuffled).rows["atom_id"].tolist() == [0, 1, 2, 3, 4]
