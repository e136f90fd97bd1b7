"""A journal of edits: what it keeps, and where."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from journal_bench import IMAGE, Desk, atoms, same

from napari_stemprior.atoms import AtomHistory, AtomTable, journal_keeper
from napari_stemprior.atoms.journal import Journal, JournalHead
from napari_stemprior.atoms.journal_keeper import FrameState, JournalKeeper, earlier_journals, put_away
from napari_stemprior.atoms.journal_replay import count_edits, read_head, read_journal


def test_it_gives_back_the_same_history(desk, tmp_path):
    desk.mark()
    desk.mark(1, "rejected")
    new = AtomTable.from_positions([(1.25, np.pi)], 0.2, atom_id=[9], element="Ünbekannt", confidence=np.nan)
    desk.history.record("add", desk.history.rows.iloc[:0], new.rows)
    desk.keeper.recorded((), desk.history.steps[-1])
    before = desk.history.rows.iloc[:3]
    desk.history.record("segmentation", before, before.iloc[:0], who="")
    desk.keeper.recorded((), desk.history.steps[-1])
    desk.undo()
    desk.keeper.close()
    path = tmp_path / "flake.tif.stemprior-edits.jsonl"
    recovered = read_journal(path)
    assert (recovered.edits, recovered.torn, recovered.pixel_size) == (3, 0, 0.2)
    assert recovered.provenance[()] == {"m": 1}
    assert recovered.head.image == IMAGE
    assert count_edits(path) == 3
    same(recovered, desk.history)


def test_a_segmentation_alone_makes_no_file(desk, tmp_path):
    rows = desk.history.rows
    desk.history.record("segmentation", rows, rows.iloc[:1], who="")
    desk.keeper.recorded((), desk.history.steps[-1])
    desk.keeper.began(())
    assert list(tmp_path.iterdir()) == []
    desk.mark()
    assert desk.keeper.path.name == "flake.tif.stemprior-edits.jsonl"
    assert count_edits(desk.keeper.path) == 1


def test_a_frame_that_comes_later_is_kept_from_its_beginning(tmp_path):
    frames = {(0,): AtomHistory(atoms(), who="ada"), (1,): AtomHistory(atoms(0), who="ada")}
    keeper = JournalKeeper(
        IMAGE, [tmp_path / "a"], lambda: [FrameState(f, h, 0.2, {}) for f, h in frames.items()]
    )
    for number in (0, 1, 2):
        frame = (number,)
        history = frames.setdefault(frame, AtomHistory(atoms(0), who="ada"))
        history.record("add", history.rows.iloc[:0], atoms(3).assign(atom_id=[7, 8, 9]))
        keeper.recorded(frame, history.steps[-1])
    keeper.close()
    recovered = read_journal(next(tmp_path.iterdir()))
    for frame, history in frames.items():
        assert recovered.histories[frame].rows.equals(history.rows)


def test_two_desks_on_one_image_keep_two_files(tmp_path):
    first, second = Desk(tmp_path / "a"), Desk(tmp_path / "a")
    first.mark(0)
    second.mark(1)
    assert {p.name for p in tmp_path.iterdir()} == {"a.stemprior-edits.jsonl", "a.stemprior-edits-2.jsonl"}
    assert earlier_journals(IMAGE, [tmp_path / "a"]) == [], "nobody is offered what another desk writes"
    first.keeper.close()
    assert [p.name for p in earlier_journals(IMAGE, [tmp_path / "a"])] == ["a.stemprior-edits.jsonl"]
    second.keeper.close()
    assert len(earlier_journals(IMAGE, [tmp_path / "a"])) == 2
    assert earlier_journals(IMAGE | {"sha256": "other"}, [tmp_path / "a"]) == []
    put_away(tmp_path / "a.stemprior-edits.jsonl")
    assert len(earlier_journals(IMAGE, [tmp_path / "a", tmp_path / "no" / "a"])) == 1
    assert (tmp_path / "a.stemprior-edits.jsonl.discarded").exists(), "it is put away, not deleted"


def test_a_journal_never_overwrites(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        Journal(path, JournalHead(IMAGE))
    assert path.read_text() == "mine"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are text there")
def test_names_that_are_not_text_are_kept(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    image = IMAGE | {"path": str(folder / os.fsdecode(b"fl\xe4che.tif")), "name": os.fsdecode(b"fl\xe4che")}
    history = AtomHistory(atoms(), who="ada")
    keeper = JournalKeeper(
        image, [folder / os.fsdecode(b"fl\xe4che.tif")], lambda: [FrameState((), history, 0.2, {})]
    )
    for row in range(3):
        before = history.rows.iloc[[row]]
        history.record("mark", before, before.assign(status="accepted"))
        keeper.recorded((), history.steps[-1])
    keeper.close()
    (path,) = folder.iterdir()
    assert read_head(path).image == image
    assert read_journal(path).edits == 3
    assert keeper.problem == ""


def test_two_desks_that_start_at_once_both_get_their_journal(tmp_path, monkeypatch):
    real, raced = Journal, []

    def slow(path, head):
        if not raced:  # another desk takes the name in between
            raced.append(real(path, head))
        return real(path, head)

    monkeypatch.setattr(journal_keeper, "Journal", slow)
    desk = Desk(tmp_path / "a", tmp_path / "spare" / "a")
    desk.mark()
    desk.keeper.close()
    raced[0].close()
    assert desk.keeper.problem == ""
    assert {p.name for p in tmp_path.iterdir()} == {"a.stemprior-edits.jsonl", "a.stemprior-edits-2.jsonl"}


def test_what_was_put_away_is_not_replaced(tmp_path):
    for text in ("first", "second"):
        (tmp_path / "a").write_text(text)
        put_away(tmp_path / "a")
    assert sorted(p.read_text() for p in tmp_path.iterdir()) == ["first", "second"]


def test_the_context_is_kept_and_written_when_it_changes(tmp_path):
    context = {"pixel_size": 0.2}
    history = AtomHistory(atoms(), who="ada")
    keeper = JournalKeeper(
        IMAGE, [tmp_path / "a"], lambda: [FrameState((), history, 0.2, {})], lambda: dict(context)
    )
    before = history.rows.iloc[[0]]
    history.record("mark", before, before.assign(status="accepted"))
    keeper.recorded((), history.steps[-1])
    for size in (0.21, 0.21, 0.19):
        context["pixel_size"] = size
        keeper.context_changed()
    keeper.close()
    (path,) = tmp_path.iterdir()
    assert path.read_bytes().count(b'"kind":"context"') == 3
    assert read_journal(path).context == {"pixel_size": 0.19}
