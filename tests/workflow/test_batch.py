"""Many images: every one once, whatever happens to the others, to a worker or to the batch."""

import json

import pandas as pd
import psutil
import pytest
import tifffile
from batch_bench import PIXEL_SIZE, PRIOR, CountedSegmenter, Heard, counted, frames, stack_file

from napari_stemprior.errors import ExportError, ModelError
from napari_stemprior.io import read_atoms
from napari_stemprior.progress import drain
from napari_stemprior.workflow import batch as batches
from napari_stemprior.workflow.batch import segment_images, worthwhile_workers
from napari_stemprior.workflow.batch_settings import BatchSettings
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.segment import SegmentSettings

CPU = SegmentSettings(device="cpu")


def settings(**more):
    return BatchSettings(segment=CPU, pixel_size=PIXEL_SIZE, **more)


def segmented(files, folder, operations=None, listener=None, **more):
    folder.mkdir(exist_ok=True)
    work = segment_images(operations or counted(), files, PRIOR, folder, settings(**more), listener)
    return drain(work)


def table_of(folder):
    return pd.read_csv(folder / "results.csv", keep_default_na=False)


@pytest.fixture
def stack(tmp_path):
    return stack_file(tmp_path / "series.tif", 5)


def test_every_frame_is_a_row_and_a_file(stack, tmp_path):
    heard = Heard()
    summary = segmented([stack], tmp_path / "out", listener=heard)
    assert (summary.done, summary.failed, summary.skipped) == (5, 0, 0)
    rows = table_of(tmp_path / "out")
    assert rows["output"].tolist() == [f"series_{k:03d}.csv" for k in range(5)]
    assert rows["frame"].tolist() == list(range(5))
    assert set(rows["prior_fit"]) <= {"clean", "reservation"}
    assert set(rows["pixel_size_from"]) == {"given"}
    for row in rows.itertuples():
        atoms = read_atoms(tmp_path / "out" / row.output)
        assert len(atoms) == row.atoms > 50
        assert row.doubts >= (atoms.rows["status"] == "review").sum()
    assert set(heard.counts.values()) == {1}


def test_one_image_has_no_table_and_its_own_steps(stack, tmp_path):
    single = tmp_path / "one.tif"
    tifffile.imwrite(single, frames(1)[0])
    (tmp_path / "out").mkdir()
    steps = list(segment_images(counted(), [single], PRIOR, tmp_path / "out", settings()))
    assert any("one: predicting" in step.stage for step in steps)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["one.csv"]


def test_bad_images_stop_no_other_and_are_tried_again(stack, tmp_path):
    bad, missing = tmp_path / "bad.tif", tmp_path / "missing.tif"
    bad.write_bytes(b"no image")
    files, out = [bad, stack, missing], tmp_path / "out"
    heard = Heard()
    summary = segmented(files, out, listener=heard)
    assert (summary.done, summary.failed) == (5, 2)
    errors = table_of(out).set_index("file")["error"]
    assert "bad.tif" in errors[str(bad)]
    assert "no such file" in errors[str(missing)]
    assert (errors[str(stack)] == "").all()
    assert len(heard.sentences) == 2
    tifffile.imwrite(bad, frames(1)[0])
    summary = segmented(files, out, resume=True)
    assert (summary.done, summary.failed, summary.skipped) == (1, 1, 5)
    assert (table_of(out)["error"] != "").sum() == 1


def test_a_fault_of_the_program_in_one_image_is_an_error_of_that_image(stack, tmp_path, monkeypatch):
    before = CountedSegmenter.set_image

    def faulty(self, image, pixel_size):
        before(self, image, pixel_size)
        if self.images == 3:
            raise IndexError("too far")

    monkeypatch.setattr(CountedSegmenter, "set_image", faulty)
    summary = segmented([stack], tmp_path / "out")
    assert (summary.done, summary.failed) == (4, 1)
    (error,) = [text for text in table_of(tmp_path / "out")["error"] if text]
    assert "fault of stemprior (IndexError" in error
    assert error.startswith("series [2]: ")


def test_a_batch_that_is_closed_keeps_what_is_done_and_goes_on(stack, tmp_path):
    out, operations = tmp_path / "out", counted()
    out.mkdir()
    heard = Heard()
    work = segment_images(operations, [stack], PRIOR, out, settings(), heard)
    while len(heard.rows) < 2:
        next(work)
    work.close()
    assert len(table_of(out)) == 2
    done = {path: path.stat().st_mtime_ns for path in out.glob("series_*.csv")}
    assert len(done) == 2
    CountedSegmenter.images = 0
    summary = segmented([stack], out, operations, resume=True)
    assert (summary.done, summary.skipped, CountedSegmenter.images) == (3, 2, 3)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert len(table_of(out)) == 5


def test_the_journal_survives_a_line_that_was_cut_off(stack, tmp_path):
    out = tmp_path / "out"
    segmented([stack], out)
    journal = out / "results.jsonl"
    text = journal.read_text()
    journal.write_text(text[:-40])
    (out / "results.csv").unlink()
    CountedSegmenter.images = 0
    summary = segmented([stack], out, resume=True)
    assert (summary.done, summary.skipped) == (1, 4)
    assert len(table_of(out)) == 5
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def test_what_is_gone_or_has_changed_is_done_again_under_its_name(stack, tmp_path):
    other, out = tmp_path / "b" / "series.tif", tmp_path / "out"
    other.parent.mkdir()
    tifffile.imwrite(other, frames(1)[0])
    files = [stack, other]
    segmented(files, out)
    names = set(table_of(out)["output"])
    assert "series-2.csv" in names
    (out / "series_003.csv").unlink()
    summary = segmented(files, out, resume=True)
    assert (summary.done, summary.skipped) == (1, 5)
    tifffile.imwrite(other, frames(2)[1] * 2)
    summary = segmented(files, out, resume=True)
    assert (summary.done, summary.skipped) == (1, 5)
    assert set(table_of(out)["output"]) == names
    assert len(table_of(out)) == 6
    assert {path.name for path in out.iterdir()} == {*names, "results.csv", "results.jsonl"}


def test_other_settings_are_not_gone_on_with(stack, tmp_path):
    out = tmp_path / "out"
    segmented([stack], out)
    before = (out / "results.jsonl").read_bytes()
    with pytest.raises(ExportError, match="another invert"):
        segmented([stack], out, resume=True, invert=True)
    assert (out / "results.jsonl").read_bytes() == before


def test_a_table_of_somebody_else_stays(stack, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "results.csv").write_text("mine")
    with pytest.raises(ExportError, match="did not write"):
        segmented([stack], out)
    assert {path.name: path.read_text() for path in out.iterdir()} == {"results.csv": "mine"}
    assert segmented([stack], out, overwrite=True).done == 5


def test_no_network_ends_all_of_it_and_leaves_nothing(stack, tmp_path):
    def none(model, device, precision):
        raise ModelError("There is no network.")

    with pytest.raises(ModelError):
        segmented([stack], tmp_path / "out", Operations(segmenter=none))
    assert list((tmp_path / "out").iterdir()) == []


def test_processes_are_started_where_they_save_time(monkeypatch):
    monkeypatch.setattr(batches, "usable_cores", lambda: 4)
    assert worthwhile_workers([512**2], 0) == 1
    assert worthwhile_workers([512**2] * 3, 0) == 1
    assert worthwhile_workers([512**2] * 3, 197) == 4
    assert worthwhile_workers([96**2] * 50, 0) == 1
    assert worthwhile_workers([512**2] * 8, 0) == 4
    assert worthwhile_workers([2048**2] * 2, 0) == 2
    memory = type("Memory", (), {"available": 5e9})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    assert worthwhile_workers([4096**2] * 8, 9) == 1
    assert worthwhile_workers([2048**2] * 8, 9) == 4


def test_a_long_list_of_small_files_is_worth_processes(tmp_path, monkeypatch):
    files = [tmp_path / f"{k}.tif" for k in range(8)]
    for file in files:
        tifffile.imwrite(file, frames(1)[0])
    hired = []

    def hire(count):
        hired.append(count)
        return batches.HereWorker(counted())

    monkeypatch.setattr(batches, "WorkerProcesses", hire)
    monkeypatch.setattr(batches, "usable_cores", lambda: 2)
    monkeypatch.setattr(batches, "_START", 3 * frames(1)[0].size)
    assert segmented(files, tmp_path / "out").done == 8
    assert hired == [2]
