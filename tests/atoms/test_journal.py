import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_child import digest

from napari_stemprior.atoms import AtomHistory, AtomTable, journal, journal_keeper
from napari_stemprior.atoms.journal import Journal, JournalHead
from napari_stemprior.atoms.journal_keeper import FrameState, JournalKeeper, earlier_journals, put_away
from napari_stemprior.atoms.journal_replay import count_edits, read_head, read_journal
from napari_stemprior.errors import JournalError

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


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path / "flake.tif", tmp_path / "spare" / "flake")
    yield desk
    desk.keeper.close()


def same(recovered, history):
    back = recovered.histories[()]
    assert back.rows.equals(history.rows)
    assert back.position == history.position
    assert [(s.label, s.who, s.when) for s in back.steps] == [(s.label, s.who, s.when) for s in history.steps]
    while history.undo():
        back.undo()
        assert back.rows.equals(history.rows)


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


@given(cut=st.integers(1, 400))
def test_a_torn_last_line_costs_that_line_only(cut, tmp_path_factory):
    folder = tmp_path_factory.mktemp("torn")
    desk = Desk(folder / "a")
    desk.mark(0)
    desk.mark(1)
    desk.keeper.close()
    path = next(folder.iterdir())
    data = path.read_bytes()
    last = len(data.splitlines(keepends=True)[-1])
    path.write_bytes(data[: len(data) - min(cut, last)])
    recovered = read_journal(path)
    expected = 2 if min(cut, last) == 1 else 1  # without its line break alone, a line is whole
    assert recovered.edits == expected
    assert recovered.torn == (0 if min(cut, last) in (1, last) else 1)


def test_a_line_lost_in_the_middle_is_told_and_not_guessed(desk):
    new = AtomTable.from_positions([(1, 2)], 0.2, atom_id=[9]).rows
    desk.history.record("add", desk.history.rows.iloc[:0], new)
    desk.keeper.recorded((), desk.history.steps[-1])
    desk.mark(5)
    desk.keeper.close()
    path = next(desk.keeper._stems[0].parent.glob("*.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2] + lines[-1:]))
    recovered = read_journal(path)
    assert recovered.damage.startswith("line 3 does not follow")
    assert (recovered.edits, recovered.torn) == (0, 0)
    assert recovered.histories[()].rows.equals(atoms())


def test_a_newer_or_foreign_file_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"kind": "head", "schema": 99, "image": {}}) + "\n")
    with pytest.raises(JournalError, match="version 99"):
        read_head(path)
    path.write_text("y,x\n1,2\n")
    with pytest.raises(JournalError, match="no journal"):
        read_journal(path)
    with pytest.raises(JournalError, match="cannot be read"):
        read_journal(tmp_path / "none.jsonl")


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


def test_a_folder_that_refuses_sends_the_journal_to_the_next_place(desk, tmp_path, monkeypatch):
    def refuse(path, head):
        if path.parent == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return Journal(path, head)

    monkeypatch.setattr(journal_keeper, "Journal", refuse)
    desk.mark()
    assert desk.keeper.path == tmp_path / "spare" / "flake.stemprior-edits.jsonl"
    assert "Permission denied" in desk.keeper.problem
    assert not desk.keeper.failed
    same(read_journal(desk.keeper.path), desk.history)


@pytest.mark.skipif(sys.platform == "win32", reason="an open file cannot be removed there")
@pytest.mark.parametrize("vanish", ["file", "folder"])
def test_a_vanished_journal_is_written_anew_in_full(tmp_path, vanish):
    desk = Desk(tmp_path / "usb" / "flake.tif", tmp_path / "spare" / "flake")
    desk.mark(0)
    path = desk.keeper.path
    path.unlink()
    if vanish == "folder":
        path.parent.rmdir()
    desk.mark(1)
    desk.undo()
    assert "can no longer be written" in desk.keeper.problem
    assert desk.keeper.path.exists()
    desk.keeper.close()
    found = earlier_journals(IMAGE, desk.keeper._stems)
    same(read_journal(found[0]), desk.history)


class FullDisk:
    """A file on a disk that takes so many bytes and no more."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        room = self.room[0]
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.file.write(data[:room])
        self.room[0] -= written
        return written

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 100, 900, 1300])
def test_a_full_disk_is_told_and_nothing_is_lost_when_there_is_room_again(tmp_path, monkeypatch, room):
    left = [room]

    def open_there(*args, **options):
        return FullDisk(open(*args, **options), left)

    monkeypatch.setattr(journal, "open", open_there, raising=False)
    desk = Desk(tmp_path / "a", tmp_path / "spare" / "a")
    for row in range(5):
        desk.mark(row)
    assert desk.keeper.failed
    assert "No space left on device" in desk.keeper.problem
    assert "memory only" in desk.keeper.problem
    left[0] = 10**6
    desk.keeper.retry()
    assert not desk.keeper.failed
    desk.mark(0, "rejected")
    desk.keeper.close()
    monkeypatch.undo()
    (path,) = earlier_journals(IMAGE, desk.keeper._stems)
    same(read_journal(path), desk.history)


def test_a_failed_sync_is_told(desk, monkeypatch):
    desk.mark()

    def broken(descriptor):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(journal.os, "fsync", broken)
    desk.mark(1)
    while desk.keeper._journal is not None and desk.keeper._journal._sync_error is None:
        assert desk.keeper._journal._syncer.is_alive()
        time.sleep(0.02)
    desk.mark(2)
    assert "Input/output error" in desk.keeper.problem


def test_a_line_is_forced_to_the_disk_unasked_and_its_wait_is_short(desk, monkeypatch):
    synced = threading.Event()
    real = os.fsync
    monkeypatch.setattr(journal.os, "fsync", lambda d: (real(d), synced.set()))
    desk.mark()
    synced.clear()
    desk.mark(1)
    assert synced.wait(60), "a busy machine may be slow, but it comes"
    assert journal._SYNC_AFTER < 1.0, "the second that the journal promises"


def test_edits_are_offered_on_a_drive_without_locks(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    desk = Desk(tmp_path / "a")
    desk.mark()
    desk.keeper.close()
    assert len(earlier_journals(IMAGE, [tmp_path / "a"])) == 1


def test_a_journal_never_overwrites(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        Journal(path, JournalHead(IMAGE))
    assert path.read_text() == "mine"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_nothing_is_lost_when_a_process_is_killed_at_any_moment(tmp_path):
    """Kill a real process 50 times; what comes back is what it did last, or was about to do."""
    child = Path(__file__).with_name("journal_child.py")
    rng = random.Random(0)
    edits = 0
    with subprocess.Popen(
        [sys.executable, str(child)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as nursery:
        for number in range(50):
            nursery.stdin.write(f"{tmp_path / str(number)} {number}\n")
            nursery.stdin.flush()
            pid, said = 0, {}
            while "done" not in said or not pid:
                word, value = nursery.stdout.readline().split()
                pid = int(value) if word == "forked" else pid
                said[word] = value
            time.sleep(rng.uniform(0, 0.06))
            os.kill(pid, signal.SIGKILL)
            while (line := nursery.stdout.readline().split()) != ["gone", "-"]:
                said[line[0]] = line[1]
            (path,) = earlier_journals({"sha256": "x"}, [tmp_path / str(number)])
            recovered = read_journal(path)
            edits += recovered.edits
            assert recovered.torn <= 1
            assert digest(recovered.histories[()]) in (said["done"], said["will"])
        nursery.stdin.close()
    assert edits > 50, "they were killed while at work"


def edited_journal(folder, rows=4):
    desk = Desk(folder / "a")
    for row in range(rows):
        desk.mark(row)
    desk.keeper.close()
    return next(folder.glob("*.jsonl"))


@given(at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_changed_bit_is_never_passed_over_in_silence(at, bit, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flipped")
    path = edited_journal(folder)
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << bit
    path.write_bytes(data)
    try:
        recovered = read_journal(path)
    except JournalError:
        return  # the first lines: nothing can be restored, and the file stays
    statuses = recovered.histories[()].rows["status"].tolist()
    marked = recovered.edits
    assert statuses == ["accepted"] * marked + ["ok"] * (5 - marked), "what comes back is what was there once"
    assert marked == 4 or recovered.damage or recovered.torn


@pytest.mark.parametrize("how", ["gone", "twice", "exchanged"])
def test_lines_that_are_out_of_order_end_the_reading_there(tmp_path, how):
    path = edited_journal(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines = {
        "gone": [*lines[:3], *lines[4:]],
        "twice": [*lines[:3], lines[2], *lines[3:]],
        "exchanged": [*lines[:3], lines[4], lines[3], *lines[5:]],
    }[how]
    path.write_bytes(b"".join(lines))
    recovered = read_journal(path)
    assert recovered.edits == 1
    assert recovered.damage.startswith("line 4")


def test_a_line_that_a_full_disk_cut_off_and_that_was_written_again_is_no_damage(tmp_path):
    path = edited_journal(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[3][:20] + b"\n", *lines[3:]]))
    recovered = read_journal(path)
    assert (recovered.edits, recovered.torn, recovered.damage) == (4, 1, "")


def test_a_journal_of_format_1_is_still_read(tmp_path):
    path = edited_journal(tmp_path)
    old = [json.loads(line) for line in path.read_bytes().splitlines()]
    for entry in old:
        del entry["n"], entry["crc"]
    old[0]["schema"] = 1
    lines = [json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for entry in old]
    path.write_bytes(b"".join(lines) + b'{"kind":"st')
    recovered = read_journal(path)
    assert (recovered.edits, recovered.torn, recovered.damage, recovered.context) == (4, 1, "", {})
    assert count_edits(path) == 4
    path.write_bytes(b"".join([*lines[:3], b"{torn\n", *lines[3:]]))
    recovered = read_journal(path)
    assert recovered.edits == 1
    assert "line 4 is damaged" in recovered.damage


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
