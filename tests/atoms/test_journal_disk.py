"""Disks, folders and processes that fail while a journal is written."""

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from journal_bench import IMAGE, Desk, same
from journal_child import digest

from napari_stemprior.atoms import journal, journal_keeper
from napari_stemprior.atoms.journal import Journal
from napari_stemprior.atoms.journal_keeper import earlier_journals
from napari_stemprior.atoms.journal_replay import read_journal


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
            pid, done, said = 0, 0, {}
            least = rng.randint(1, 4)  # a busy machine may do nothing more until the signal comes
            while done < least or not pid:
                word, value = nursery.stdout.readline().split()
                pid = int(value) if word == "forked" else pid
                done += word == "done"
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
