"""What a damaged, foreign or older journal still gives back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_bench import Desk, atoms, edited_journal

from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.journal_replay import count_edits, read_head, read_journal
from napari_stemprior.errors import JournalError


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
