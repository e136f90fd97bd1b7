"""``stemprior segment`` of folders, patterns and stacks: one table, resumable, also after a kill."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial

import numpy as np
import pandas as pd
import psutil
import pytest
import tifffile
from PIL import Image

from napari_stemprior.commands.main import main
from napari_stemprior.io import read_micrographs

RNG = np.random.default_rng(2)
SIDE = 64
OPTIONS = ["--no-prior", "--image-lattice", "ignore", "--pixel-size", "0.2", "--device", "cpu"]
COUNT = 40


def image():
    """Columns on a square lattice of 12 px, with fresh noise."""
    y, x = np.mgrid[:SIDE, :SIDE] % 12 - 6
    return (np.exp(-(x**2 + y**2) / 8) + RNG.normal(0, 0.05, (SIDE, SIDE))).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "in"
    (made / "more").mkdir(parents=True)
    for name in ("a2.tif", "a10.tif", "more/A2.tif"):
        tifffile.imwrite(made / name, image())
    (made / "notes.txt").write_text("no image")
    return made


def table_of(out):
    return pd.read_csv(out / "results.csv", keep_default_na=False)


def run(*words):
    try:
        return main(["segment", *map(str, words), *OPTIONS])
    except SystemExit as stop:  # as argparse ends
        return stop.code


def test_folders_and_patterns_give_one_table(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(folder, folder / "more" / "*.tif", "-o", out) == 0
    rows = table_of(out)
    assert rows["output"].tolist() == ["a2.csv", "a10.csv", "A2-2.csv"]
    assert rows["file"].tolist() == [str(folder / name) for name in ("a2.tif", "a10.tif", "more/A2.tif")]
    assert (rows["atoms"] > 10).all()
    assert set(rows["prior_fit"]) == {""}
    assert set(rows["pixel_size_angstrom"]) == {0.2}
    assert sorted(path.name for path in out.glob("*.csv")) == ["A2-2.csv", "a10.csv", "a2.csv", "results.csv"]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "A2-2.csv" in captured.err


def test_what_failed_is_counted_said_and_tried_again(folder, tmp_path, capsys):
    bad, out = folder / "a5.tif", tmp_path / "out"
    bad.write_bytes(b"no image")
    assert run(folder, "-o", out) == 2
    assert [line.split(":")[1].strip() for line in capsys.readouterr().err.splitlines()] == [
        "a5.tif",
        f"1 of 3 images failed; {out / 'results.csv'} says why.",
    ]
    assert table_of(out)["error"].str.contains("a5.tif").tolist() == [False, True, False]
    tifffile.imwrite(bad, image())
    assert run(folder, "-o", out, "--resume") == 0
    assert capsys.readouterr().err == "stemprior: 2 images were done already.\n"
    assert set(table_of(out)["error"]) == {""}
    assert run(folder, "-o", out, "--resume", "--format", "parquet") == 2
    assert "another format" in capsys.readouterr().err


def test_masks_beside_the_images_are_not_taken_for_images(folder):
    before = {path: path.read_bytes() for path in folder.glob("*.tif")}
    out = folder
    assert run(folder, "-o", out, "--format", "mask") == 2, "an image lies where its mask would"
    assert {path: path.read_bytes() for path in folder.glob("*.tif")} == before
    pictures = folder.parent / "pictures"
    pictures.mkdir()
    for name in ("b1.png", "b2.png"):
        Image.fromarray(np.clip(60 + 120 * image(), 0, 255).astype(np.uint8)).save(pictures / name)
    for _ in range(2):
        assert run(pictures, "-o", pictures, "--format", "mask") == 0
        assert table_of(pictures)["output"].tolist() == ["b1.tif", "b2.tif"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--workers", "0"], "--workers"),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:1"], "not allowed with"),
        (["--scheduler", "nowhere"], "does not answer"),
    ],
    ids=" ".join,
)
def test_a_bad_option_is_one_sentence_and_leaves_nothing(folder, tmp_path, capsys, words, says):
    assert run(folder, "-o", tmp_path / "out", *words) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_is_said(tmp_path, capsys):
    assert run(tmp_path, "-o", tmp_path / "out") == 2
    assert "holds no image" in capsys.readouterr().err


@pytest.fixture
def stack(tmp_path):
    path = tmp_path / "series.tif"
    tifffile.imwrite(path, np.stack([image() for _ in range(COUNT)]), photometric="minisblack")
    assert len(read_micrographs(path)) == COUNT
    return path


@contextmanager
def started(stack, out, *more):
    """Start the command on two processes, wait for its first atoms, and give it with its workers."""
    words = ["segment", str(stack), "-o", str(out), *OPTIONS, "--workers", "2", *more]
    hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # also in the background of a shell
    call = [sys.executable, "-m", "napari_stemprior", *words]
    with subprocess.Popen(call, stderr=subprocess.PIPE, text=True, preexec_fn=hear) as process:
        try:
            stop = time.monotonic() + 300
            while not list(out.glob("series_*.csv")) and time.monotonic() < stop:
                assert process.poll() is None
                time.sleep(0.01)
            children = psutil.Process(process.pid).children(recursive=True)
            yield process, [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        finally:
            process.kill()


def gone(workers):
    """Wait until processes have ended."""
    _, alive = psutil.wait_procs(workers, timeout=120)
    return not [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_batch_that_is_stopped_keeps_what_is_done_and_goes_on(stack, tmp_path, how):
    out = tmp_path / "out"
    with started(stack, out) as (process, workers):
        assert len(workers) == 2
        process.send_signal(how)
        said = process.communicate(timeout=120)[1]
    assert gone(workers)
    done = {path: path.stat().st_mtime_ns for path in out.glob("series_*.csv")}
    assert 0 < len(done) < COUNT
    if how == signal.SIGKILL:
        assert process.returncode == -how
    else:
        assert process.returncode == 128 + how
        assert said == "stemprior: stopped.\n"
        assert len(table_of(out)) == len(done)
    noted = (out / "results.jsonl").read_text().count('"source"')
    assert len(done) - 1 <= noted <= len(done), "at most the last one is written and not noted"
    assert run(stack, "-o", out, "--resume") == 0
    assert table_of(out)["frame"].tolist() == list(range(COUNT))
    again = [path for path, when in done.items() if path.stat().st_mtime_ns != when]
    assert len(again) == len(done) - noted
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_worker_that_is_killed_loses_nothing(stack, tmp_path):
    out = tmp_path / "out"
    with started(stack, out) as (process, workers):
        workers[0].kill()
        said = process.communicate(timeout=400)[1]
    assert (process.returncode, said) == (0, "")
    assert table_of(out)["frame"].tolist() == list(range(COUNT))
    assert len((out / "results.jsonl").read_text().splitlines()) == 1 + COUNT
