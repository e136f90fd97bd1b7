"""What a person corrected comes back exactly, and is never lost."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import DatasetError, StructureError
from napari_stemprior.io import Micrograph, TrainingPair, TrainingPairDataset, training_pairs
from napari_stemprior.io.prior_json import prior_from_dict, prior_to_dict
from napari_stemprior.structure.prior import Column, StructurePrior

PRIOR = StructurePrior(
    name="MoS2",
    zone_axis="[001]",
    cell=np.array([(3.16, 0.0), (-1.58, 3.16 * 0.75**0.5)]),
    columns=(
        Column((1 / 3, 2 / 3), (("Mo", 1.0),), height=1.5, layer=0, site="Mo1"),
        Column((2 / 3, 1 / 3), (("S", 2.0), ("Se", 0.1)), height=1.5, layer=0, site="S1"),
    ),
    period=12.3,
    source="a paper",
)


def make_pair(seed: int = 0, n: int = 4, prior: StructurePrior | None = PRIOR, **changes) -> TrainingPair:
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(18, 24)).astype(np.float32)
    metadata = {"beam_energy_kev": 60.0, "title": "HAADF", "warnings": ["odd"]}
    atoms = AtomTable.from_positions(
        rng.uniform(0, 18, (n, 2)),
        0.15,
        provenance={"model": "small", "trust": 1.0},
        element="Mo",
        confidence=rng.uniform(size=n),
        source="manual",
    )
    pair = TrainingPair(
        Micrograph(image, 0.15, f"flake {seed}", Path("data") / "flake.dm3", metadata),
        atoms,
        rng.uniform(size=(18, 24)) > 0.5,
        prior,
        {"person": "Å. Ström", "edits": 3},
    )
    return replace(pair, **changes)


def assert_same(found: TrainingPair, pair: TrainingPair) -> None:
    np.testing.assert_array_equal(found.micrograph.image, pair.micrograph.image)
    assert found.micrograph.image.dtype == np.float32
    for name in ("pixel_size", "name", "source", "metadata"):
        assert getattr(found.micrograph, name) == getattr(pair.micrograph, name)
    assert_frame_equal(found.atoms.rows, pair.atoms.rows, check_exact=True)
    assert found.atoms.pixel_size == pair.atoms.pixel_size
    assert found.atoms.provenance == pair.atoms.provenance
    np.testing.assert_array_equal(found.reviewed, pair.reviewed)
    assert found.reviewed.dtype == bool
    assert (found.prior is None) == (pair.prior is None)
    if pair.prior is not None:
        assert found.prior == replace(pair.prior, unit_cell=None), "the atoms in space are not kept"
    assert found.provenance == pair.provenance


@given(
    seed=st.integers(0, 5),
    n=st.integers(0, 4),
    with_prior=st.booleans(),
    provenance=st.dictionaries(
        st.text(max_size=4), st.one_of(st.text(max_size=4), st.integers(), st.booleans())
    ),
    pixel_size=st.one_of(st.none(), st.floats(0.005, 2)),
)
def test_round_trip(tmp_path_factory, seed, n, with_prior, provenance, pixel_size):
    pair = make_pair(seed, n, PRIOR if with_prior else None, provenance=provenance)
    pair = replace(pair, micrograph=replace(pair.micrograph, pixel_size=pixel_size))
    folder = tmp_path_factory.mktemp("d") / "pairs"
    digest = TrainingPairDataset(folder).save(pair)
    assert_same(TrainingPairDataset(folder).load(digest), pair)


def test_layout(tmp_path):
    digest = TrainingPairDataset(tmp_path).save(make_pair())
    assert json.loads((tmp_path / "dataset.json").read_text()) == {
        "schema": "napari-stemprior training pairs",
        "version": 2,
        "classes": ["Mo"],
    }
    (line,) = (tmp_path / "manifest.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert entry["hash"] == digest
    assert entry["revision"] == 1
    assert entry["name"] == "flake 0"
    files = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    expected = ["atoms.parquet", "image.npy", "meta.json", "reviewed.npy"]
    assert files == [
        ".lock",
        "dataset.json",
        "manifest.jsonl",
        *(f"pairs/{digest}/{name}" for name in expected),
    ]
    image = np.load(tmp_path / "pairs" / digest / "image.npy", allow_pickle=False)
    np.testing.assert_array_equal(image, make_pair().micrograph.image)


def test_a_correction_is_a_new_revision(tmp_path):
    dataset = TrainingPairDataset(tmp_path)
    first, other = make_pair(0), make_pair(1)
    rows = first.atoms.rows.copy()
    rows.loc[0, "element"] = "S"
    second = replace(first, atoms=AtomTable(rows, 0.15))
    hashes = [dataset.save(first), dataset.save(other), dataset.save(second)]
    assert len(set(hashes)) == 3
    entries = dataset.entries()
    assert [e.hash for e in entries] == hashes
    assert [e.revision for e in entries] == [1, 1, 2]
    assert entries[0].image_id == entries[2].image_id != entries[1].image_id
    latest = list(dataset)
    assert len(dataset) == len(latest) == 2
    assert_same(latest[0], second)
    assert_same(latest[1], other)
    assert_same(dataset.load(hashes[0]), first)  # the older one is still there
    assert dataset.classes == ["Mo", "S"]


def test_the_same_pair_twice(tmp_path):
    dataset = TrainingPairDataset(tmp_path)
    digest = dataset.save(make_pair())
    before = (tmp_path / "pairs" / digest / "meta.json").stat().st_mtime_ns
    assert dataset.save(make_pair()) == digest
    assert [e.revision for e in dataset.entries()] == [1, 2]
    assert (tmp_path / "pairs" / digest / "meta.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "change",
    [
        {"prior": None},
        {"reviewed": np.zeros((18, 24), bool)},
        {"provenance": {"person": "another"}},
        {"atoms": AtomTable.empty(0.15)},
        {"micrograph": Micrograph(make_pair().micrograph.image, 0.2)},
        {"micrograph": Micrograph(make_pair().micrograph.image + 1, 0.15)},
    ],
)
def test_every_part_is_in_the_hash(change):
    assert make_pair(**change).hash != make_pair().hash
    assert make_pair().hash == make_pair().hash


def test_crash_while_writing_leaves_what_was_there(tmp_path, monkeypatch):
    dataset = TrainingPairDataset(tmp_path)
    digest = dataset.save(make_pair(0))

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("napari_stemprior.io.training_pairs.export_atoms", fail)
        with pytest.raises(DatasetError, match="No space left"):
            dataset.save(make_pair(1))
    assert [p.name for p in (tmp_path / "pairs").iterdir()] == [digest]
    assert [e.hash for e in dataset.entries()] == [digest]


def test_unfinished_line_is_passed_over_and_then_replaced(tmp_path):
    dataset = TrainingPairDataset(tmp_path)
    first = dataset.save(make_pair(0))
    with (tmp_path / "manifest.jsonl").open("a") as file:
        file.write('{"hash": "0123')
    assert [e.hash for e in dataset.entries()] == [first]
    second = dataset.save(make_pair(1))
    assert [e.hash for e in dataset.entries()] == [first, second]


def test_new_and_empty_folders(tmp_path):
    for folder in (tmp_path, tmp_path / "new"):
        dataset = TrainingPairDataset(folder)
        assert dataset.entries() == list(dataset) == dataset.classes == []
        assert len(dataset) == 0
    assert not list(tmp_path.iterdir())


def one_sentence(error: Exception, name: str) -> None:
    text = str(error)
    assert name in text
    assert "\n" not in text
    assert text.endswith(".")


def test_foreign_folders(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_text("")
    (tmp_path / "file").write_text("")
    for name, header in (
        ("other", '{"schema": "something", "version": 1}'),
        ("newer", '{"schema": "napari-stemprior training pairs", "version": 3}'),
        ("broken", "{"),
        ("list", "[]"),
        ("binary", "\udcff"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "dataset.json").write_text(header, errors="surrogateescape")
    for folder in sorted(tmp_path.iterdir()):
        with pytest.raises(DatasetError) as caught:
            TrainingPairDataset(folder)
        one_sentence(caught.value, folder.name)
    with pytest.raises(DatasetError) as caught:
        TrainingPairDataset(tmp_path / "file" / "inside").save(make_pair())
    one_sentence(caught.value, "inside")


def test_damaged_pairs(tmp_path):
    dataset = TrainingPairDataset(tmp_path)
    digest = dataset.save(make_pair())
    place = tmp_path / "pairs" / digest
    for name in ("image.npy", "reviewed.npy", "atoms.parquet", "meta.json"):
        whole = (place / name).read_bytes()
        for content in (b"", whole[: len(whole) // 2]):
            (place / name).write_bytes(content)
            with pytest.raises(DatasetError) as caught:
                dataset.load(digest)
            one_sentence(caught.value, digest)
        (place / name).unlink()
        with pytest.raises(DatasetError, match=f"lacks {name}"):
            dataset.load(digest)
        (place / name).write_bytes(whole)
    np.save(place / "image.npy", make_pair(1).micrograph.image)
    with pytest.raises(DatasetError, match="was changed"):
        dataset.load(digest)
    np.save(place / "image.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match="cannot be read"):
        dataset.load(digest)
    for wrong in ("0" * 16, "../../etc", ""):
        with pytest.raises(DatasetError):
            dataset.load(wrong)


def test_damaged_manifest(tmp_path):
    dataset = TrainingPairDataset(tmp_path)
    dataset.save(make_pair())
    for line in ("{}\n", "nonsense\n", "[1]\n"):
        (tmp_path / "manifest.jsonl").write_text(line)
        with pytest.raises(DatasetError, match="line 1 is damaged"):
            dataset.entries()


def test_pairs_that_make_no_sense():
    with pytest.raises(DatasetError, match="reviewed region"):
        make_pair(reviewed=np.zeros((24, 18), bool))
    with pytest.raises(DatasetError, match="cannot be stored"):
        make_pair(provenance={"model": object()})


def test_prior_as_json():
    text = json.dumps(prior_to_dict(PRIOR), allow_nan=False)
    assert prior_from_dict(json.loads(text)) == PRIOR
    assert prior_from_dict(json.loads(text)).period == PRIOR.period
    for damage in ({"columns": [{}]}, {"cell": [[1, 2]]}, {"cell": "x"}, {"period": None}, {"columns": 3}):
        with pytest.raises(StructureError):
            prior_from_dict({**json.loads(text), **damage})


def test_two_processes_that_add_at_once_lose_nothing(tmp_path):
    """The pairs are revisions of one micrograph, with an element each: every number must come out right."""
    child, number = Path(__file__).with_name("pair_child.py"), 12
    calls = [
        [sys.executable, str(child), str(tmp_path / "set"), str(k * number), str(number)] for k in (0, 1)
    ]
    processes = [
        subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for call in calls
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=600)
        assert process.returncode == 0
    dataset = TrainingPairDataset(tmp_path / "set")
    entries = dataset.entries()
    assert sorted(entry.name for entry in entries) == sorted(f"flake {k}" for k in range(2 * number))
    assert [entry.revision for entry in entries] == list(range(1, 2 * number + 1))
    assert sorted(dataset.classes) == sorted(f"X{k}" for k in range(2 * number))
    for entry in entries:
        dataset.load(entry.hash)


def test_who_waits_in_vain_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(training_pairs, "PATIENCE", 0.01)
    dataset = TrainingPairDataset(tmp_path)
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(DatasetError, match=r"another program .*; try again when it is done\.$"),
    ):
        dataset.save(make_pair())
    assert dataset.entries() == []
    dataset.save(make_pair())
    assert len(dataset) == 1


def test_the_lock_of_a_dead_process_holds_nobody_up(tmp_path, monkeypatch):
    monkeypatch.setattr(training_pairs, "PATIENCE", 0.01)
    code = "import sys, os, filelock; filelock.FileLock(sys.argv[1]).acquire(); os._exit(1)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / ".lock")], check=False, timeout=600)
    TrainingPairDataset(tmp_path).save(make_pair())
    assert len(TrainingPairDataset(tmp_path)) == 1


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_drive_without_locks_gets_a_marker(tmp_path, monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(training_pairs, "PATIENCE", 0.01)
    dataset = TrainingPairDataset(tmp_path)
    dataset.save(make_pair())
    marker = tmp_path / ".lock-marker"
    assert not marker.exists()
    marker.write_text(f"{os.getppid()}\nelsewhere\n")
    with pytest.raises(DatasetError, match=r"or delete .*\.lock-marker if none runs\.$"):
        dataset.save(make_pair(1))
    marker.unlink()
    dataset.save(make_pair(1))
    assert len(dataset) == 2
