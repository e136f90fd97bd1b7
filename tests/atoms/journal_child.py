"""A nursery of processes that edit atoms until they are killed; run by ``test_journal_disk``.

Every line on standard input, ``PATH SEED``, forks one. It says on standard output what it is about to do
and what it has done, each with a digest of the table.
"""

import hashlib
import os
import sys
from pathlib import Path

import numpy as np

from napari_stemprior.atoms import AtomHistory, AtomTable
from napari_stemprior.atoms.journal_keeper import FrameState, JournalKeeper


def digest(history):
    text = repr(history.rows.to_dict("list")) + f"at {history.position} of {len(history.steps)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def say(word, history):
    os.write(1, f"{word} {digest(history)}\n".encode())


def edit(history, rng):
    """Prepare a random edit; return what does it and what tells the journal."""
    rows = history.rows
    some = rows.iloc[np.sort(rng.choice(len(rows), min(len(rows), 1 + int(rng.integers(4))), replace=False))]
    choice = rng.integers(6) if len(rows) else 0
    if choice == 0:
        new = AtomTable.from_positions(
            rng.uniform(0, 99, (2, 2)), 0.2, atom_id=history.next_id + np.arange(2)
        )
        return lambda h: h.record("add", rows.iloc[:0], new.rows), "step"
    if choice == 1:
        return lambda h: h.record("move", some, some.assign(y_px=some["y_px"] + rng.normal())), "step"
    if choice == 2:
        return lambda h: h.record("remove", some, some.iloc[:0]), "step"
    if choice == 3 and history.position:
        return lambda h: h.go_to(int(rng.integers(history.position))), "go"
    return lambda h: h.record("mark", some, some.assign(status=str(rng.choice(["ok", "accepted"])))), "step"


def work(path, seed):
    rng = np.random.default_rng(seed)
    history = AtomHistory(AtomTable.from_positions(rng.uniform(0, 99, (30, 2)), 0.2).rows, who="ada")
    keeper = JournalKeeper({"sha256": "x"}, [path], lambda: [FrameState((), history, 0.2, {"seed": seed})])
    say("pid", history)
    while True:
        ahead = history.copy()
        act, kind = edit(history, rng)
        state = rng.bit_generator.state
        act(ahead)
        rng.bit_generator.state = state
        say("will", ahead)
        act(history)
        keeper.recorded((), history.steps[-1]) if kind == "step" else keeper.went((), history.position)
        say("done", history)


if __name__ == "__main__":
    for line in sys.stdin:
        where, number = line.split()
        if (pid := os.fork()) == 0:
            work(Path(where), int(number))
        os.write(1, f"forked {pid}\n".encode())
        os.waitpid(pid, 0)
        os.write(1, b"gone -\n")
