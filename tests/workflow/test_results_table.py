"""The journal of a batch believes no damaged line, and one process at a time writes it."""

import json
import os
import sys

import pytest

from napari_stemprior.errors import ExportError
from napari_stemprior.workflow.results_table import JOURNAL, TABLE, ImageRow, Journal

SETTINGS = {"prior": "MoS2"}


def source(number):
    return [f"/images/{number}.tif", 10 + number, 20]


@pytest.fixture
def folder(tmp_path):
    journal = Journal(tmp_path, SETTINGS)
    for number in range(3):
        journal.add(source(number), 1, ImageRow(f"{number}", f"{number}.tif", 0, f"{number}.csv", atoms=4))
        (tmp_path / f"{number}.csv").touch()
    journal.close()
    return tmp_path


def changed(folder, change):
    """Change the line of the second image."""
    path = folder / JOURNAL
    lines = path.read_text().splitlines()
    lines[2] = change(json.loads(lines[2]))
    path.write_text("\n".join(lines) + "\n")


def with_row(**values):
    return lambda entry: json.dumps(entry | {"row": entry["row"] | values})


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: json.dumps(entry)[:50],
        lambda entry: "[" * 100_000,
        lambda entry: json.dumps(entry | {"source": []}),
        lambda entry: json.dumps(entry | {"source": [[], 11, 20]}),
        lambda entry: json.dumps(entry | {"frames": float("inf")}),
        with_row(output=5),
        with_row(output="../../elsewhere.csv"),
        with_row(output="/etc/passwd"),
        with_row(output=""),
        with_row(atoms="many"),
        with_row(seconds=float("nan")),
        with_row(frame=7),
        with_row(colour="red"),
    ],
)
def test_a_damaged_line_is_said_and_its_image_is_done_anew(folder, change):
    changed(folder, change)
    journal = Journal(folder, SETTINGS, resume=True)
    try:
        (remark,) = journal.remarks
        assert "1 line is damaged" in remark
        assert [journal.has(source(number), 0) for number in range(3)] == [True, False, True]
        assert journal.outputs == ["0.csv", "2.csv"]
    finally:
        journal.close()
    assert len((folder / TABLE).read_text().splitlines()) == 3


def test_a_line_that_was_cut_off_is_no_damage(folder):
    path = folder / JOURNAL
    path.write_text(path.read_text()[:-20])
    journal = Journal(folder, SETTINGS, resume=True)
    assert not journal.remarks
    assert not journal.has(source(2), 0)
    journal.close()


def test_two_processes_do_not_write_into_one_folder(folder):
    first = Journal(folder, SETTINGS, resume=True)
    before = (folder / JOURNAL).read_bytes()
    with pytest.raises(ExportError, match="another stemprior is writing"):
        Journal(folder, SETTINGS)
    assert (folder / JOURNAL).read_bytes() == before
    first.close()
    Journal(folder, SETTINGS, resume=True).close()
    assert sorted(p.name for p in folder.glob(".*")) == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes")
def test_a_pipe_in_the_place_of_a_result_is_refused_and_stays(folder):
    (folder / JOURNAL).unlink()
    os.mkfifo(folder / JOURNAL)
    for more in ({}, {"overwrite": True}, {"resume": True}):
        with pytest.raises(ExportError, match="pipe or a device"):
            Journal(folder, SETTINGS, **more)
    assert (folder / JOURNAL).is_fifo()


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_a_name_that_is_no_utf_8_is_gone_on_with_and_written(tmp_path):
    name = os.fsdecode(b"caf\xe9.csv")
    (tmp_path / name).touch()
    journal = Journal(tmp_path, SETTINGS)
    journal.add(source(0), 1, ImageRow(os.fsdecode(b"caf\xe9"), os.fsdecode(b"caf\xe9.tif"), 0, name))
    journal.close()
    assert "caf\\xe9.csv" in (tmp_path / TABLE).read_text("utf-8")
    again = Journal(tmp_path, SETTINGS, resume=True)
    assert not again.remarks
    assert again.has(source(0), 0)
    assert again.outputs == [name]
    again.close()


def test_no_cell_of_the_table_is_live_in_a_spreadsheet(tmp_path):
    journal = Journal(tmp_path, SETTINGS)
    journal.add(source(0), 1, ImageRow("=cmd|' /C calc'!A0", "@sum.tif", 0, "+a.csv", "-b", error=""))
    journal.close()
    cells = (tmp_path / TABLE).read_text().splitlines()[1].split(",")
    assert cells[:5] == ["'=cmd|' /C calc'!A0", "'@sum.tif", "0", "'+a.csv", "'-b"]
