"""No output is ever an input, and a foreign file is replaced only where a person asks for it."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import tifffile

from napari_stemprior.atoms import AtomTable
from napari_stemprior.commands.main import main
from napari_stemprior.errors import ExportError
from napari_stemprior.io import export_atoms
from napari_stemprior.structure import built_in
from napari_stemprior.training.structure_bank import save_bank

TABLE = AtomTable.from_positions([(10.0, 12.0), (30.0, 33.0)], 0.1, element="Mo")
IMAGE = np.random.default_rng(0).normal(100, 10, (64, 64)).astype(np.float32)
SEGMENT = ["--no-prior", "--pixel-size", "0.2", "--device", "cpu"]


@pytest.fixture
def flake(tmp_path):
    path = tmp_path / "flake.tif"
    tifffile.imwrite(path, IMAGE)
    return path


@pytest.mark.parametrize("link", [None, os.link, os.symlink])
@pytest.mark.parametrize("extra", [[], ["--overwrite"]])
def test_segment_never_replaces_a_micrograph(flake, tmp_path, link, extra, capsys):
    before = flake.read_bytes()
    out = tmp_path
    if link is not None:
        out = tmp_path / "out"
        out.mkdir()
        link(flake, out / "flake.tif")
    assert main(["segment", str(flake), "-o", str(out), "--format", "mask", *SEGMENT, *extra]) == 2
    assert "is an input" in capsys.readouterr().err
    assert flake.read_bytes() == before


def test_a_foreign_file_is_replaced_only_where_a_person_says_so(flake, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    mask = out / "flake.tif"
    tifffile.imwrite(mask, IMAGE)
    before = mask.read_bytes()
    words = ["segment", str(flake), "-o", str(out), "--format", "mask", *SEGMENT]
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert mask.read_bytes() == before
    assert main([*words, "--overwrite"]) == 0
    assert mask.read_bytes() != before
    assert main(words) == 0, "its own work is replaced without a word"


def test_export_never_replaces_what_it_reads(flake, tmp_path, capsys):
    table = export_atoms(TABLE, tmp_path / "atoms.csv")
    before = {path: path.read_bytes() for path in (flake, table)}
    for output, extra in ((flake, ["--format", "mask"]), (table, []), (table, ["--format", "points"])):
        words = ["export", str(table), "-o", str(output), "--image", str(flake), *extra, "--overwrite"]
        assert main(words) == 2
        assert "is an input" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


def test_every_format_knows_its_own_files(tmp_path):
    from napari_stemprior.io import FORMATS

    for form in FORMATS:
        for _ in range(2):
            export_atoms(TABLE, tmp_path / f"{form.key}{form.suffix}", image=IMAGE, key=form.key)
        if not form.is_folder:
            path = tmp_path / f"{form.key}-foreign{form.suffix}"
            path.write_bytes(b"somebody else's work")
            with pytest.raises(ExportError, match="did not write"):
                export_atoms(TABLE, path, image=IMAGE, key=form.key)
            assert path.read_bytes() == b"somebody else's work"


@pytest.mark.parametrize("where", ["notes.txt", "labels/mine/0/.zarray", "0/notes", "labels/atoms/notes"])
def test_an_ome_zarr_deletes_no_foreign_file(tmp_path, where):
    place = export_atoms(TABLE, tmp_path / "a.ome.zarr", image=IMAGE)
    foreign = place / where
    foreign.parent.mkdir(parents=True, exist_ok=True)
    foreign.write_text("mine")
    with pytest.raises(ExportError, match=foreign.name):
        export_atoms(TABLE, place, image=IMAGE, overwrite=True)
    assert foreign.read_text() == "mine"
    foreign.unlink()


def test_a_zarr_of_somebody_else_is_not_deleted(tmp_path):
    import zarr

    place = tmp_path / "scan.zarr"
    zarr.create_array(str(place), data=IMAGE, zarr_format=2)
    with pytest.raises(ExportError, match="not deleted"):
        export_atoms(TABLE, place, image=IMAGE, overwrite=True)
    assert zarr.open_array(str(place))[3, 4] == IMAGE[3, 4]


def test_simulate_and_structures_replace_neither_inputs_nor_foreign_files(tmp_path, capsys):
    cif = tmp_path / "a.cif"
    from ase.build import bulk

    bulk("Au", cubic=True).write(cif)
    linked = tmp_path / "a.tif"
    os.link(cif, linked)
    words = ["simulate", str(cif), "--shape", "32", "-o", str(linked)]
    assert main([*words, "--overwrite"]) == 2
    assert "is an input" in capsys.readouterr().err
    linked.unlink()
    linked.write_bytes(b"foreign")
    assert main(words) == 2
    assert linked.read_bytes() == b"foreign"
    assert main([*words, "--overwrite"]) == 0
    assert main(words) == 0
    bank = tmp_path / "bank.npz"
    np.savez(bank, a=IMAGE)
    words = ["structures", "graphene", "-o", str(bank)]
    assert main(words) == 2
    assert main([*words, "--overwrite"]) == 0
    assert main(words) == 0


def test_pairs_are_not_merged_into_one_of_their_sources(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    assert main(["pairs", "merge", str(tmp_path / "a"), "-o", str(tmp_path / "." / "a")]) == 2
    assert "merged from this folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["config.json", "log.csv", "weights.safetensors", "state.safetensors"])
def test_train_replaces_no_foreign_file(tmp_path, name, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / name).write_bytes(b"somebody else's")
    assert main(["train", "-o", str(run), "--steps", "1", "--device", "cpu"]) == 2
    assert (run / name).read_bytes() == b"somebody else's"
    assert [p.name for p in run.iterdir()] == [name]


def test_what_training_starts_from_is_not_replaced(tmp_path, capsys):
    from napari_stemprior.inference.models import model_path

    run = tmp_path / "run"
    run.mkdir()
    weights = run / "weights.safetensors"
    shutil.copy(model_path("small"), weights)
    before = weights.read_bytes()
    assert (
        main(["train", "-o", str(run), "--steps", "1", "--device", "cpu", "--start-from", str(weights)]) == 2
    )
    assert "is an input" in capsys.readouterr().err
    assert weights.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--seed", "-1"],
        ["train", "--steps", "2.5"],
        ["train", "--learning-rate", "nan"],
        ["train", "--learning-rate", "-1"],
        ["train", "--device", "foo"],
        ["train", "--side", "33"],
        ["train", "--workers", "-1"],
        ["train", "--bank", "none.npz"],
        ["train", "--start-from", "none.safetensors", "--device", "cpu"],
        ["finetune", "pairs", "--minutes", "inf"],
        ["finetune", "pairs", "--minutes", "-1"],
        ["finetune", "pairs", "--seed", "-1"],
        ["finetune", "pairs", "--steps", "-3"],
        ["segment", "a.tif", "--no-prior", "--pixel-size", "-1"],
        ["simulate", "graphene", "--seed", "-1"],
    ],
    ids=" ".join,
)
def test_an_option_out_of_range_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    output = "out/new.safetensors" if words[0] == "finetune" else "out"
    try:
        code = main([*words, "-o", output])
    except SystemExit as stop:  # as argparse ends
        code = stop.code
    said = capsys.readouterr().err
    assert code == 2
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@contextmanager
def started(call, **streams):
    """Run a command that hears Ctrl+C even where the tests run in the background of a shell."""
    hear = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(call, text=True, preexec_fn=hear, **streams) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to_all", [False, True])
def test_train_stops_with_a_sentence_its_state_and_no_process_left(tmp_path, how, to_all):
    """Also where its processes hear the signal with it, as terminals and batch systems send it."""
    psutil = pytest.importorskip("psutil")
    bank = tmp_path / "bank.npz"
    save_bank([built_in("graphene")], bank)
    run = tmp_path / "run"
    words = ["train", "-o", str(run), "--steps", "100000", "--batch", "1", "--side", "32", "--workers", "1"]
    call = [sys.executable, "-m", "napari_stemprior", *words, "--device", "cpu", "--bank", str(bank)]
    with started(call, stderr=subprocess.PIPE, start_new_session=True) as process:
        until = time.monotonic() + 300
        while not (run / "log.csv").exists() and time.monotonic() < until:
            time.sleep(0.2)
        workers = psutil.Process(process.pid).children(recursive=True)
        if to_all:
            os.killpg(process.pid, how)
        else:
            process.send_signal(how)
        said = process.communicate(timeout=300)[1]
    assert process.returncode == 128 + how
    assert "stopped at step" in said
    assert "Traceback" not in said
    assert (run / "state.safetensors").exists()
    assert not [worker for worker in workers if worker.is_running() and worker.status() != "zombie"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_any_command_stops_with_a_sentence_and_leaves_no_folder(tmp_path, how):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE)
    out = tmp_path / "new" / "out"
    slow = (
        "import sys, time; from napari_stemprior.commands import main\n"
        "from napari_stemprior.workflow import batch\n"
        "batch.read_micrographs = lambda *_, **__: (print('here', flush=True), time.sleep(600))\n"
        "sys.exit(main.main(sys.argv[1:]))"
    )
    call = [sys.executable, "-c", slow, "segment", str(tmp_path / "a.tif"), "-o", str(out), *SEGMENT]
    with started(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == "here\n"
        process.send_signal(how)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 128 + how
    assert said == "stemprior: stopped.\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]
