"""Sets of pairs are checked, joined and divided without losing or mixing anything."""

import hashlib
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_training_pairs import assert_same, make_pair

from napari_stemprior.atoms import AtomTable
from napari_stemprior.commands.main import main
from napari_stemprior.errors import DatasetError
from napari_stemprior.io import ManifestEntry, TrainingPairDataset, pair_provenance
from napari_stemprior.io.pair_dataset_tools import merge, opened, split, validate, write_split
from napari_stemprior.io.prior_json import prior_from_dict, prior_to_dict
from napari_stemprior.structure import load_prior

VERSION_1 = Path(__file__).with_name("pairs_version_1.zip")


def with_vacancies(pair):
    rows = pair.atoms.rows.copy()
    rows.loc[[0, 2], "status"] = "vacancy"
    return replace(pair, atoms=AtomTable(rows, pair.atoms.pixel_size, pair.atoms.provenance))


def filled(folder, seeds):
    dataset = TrainingPairDataset(folder)
    for seed in seeds:
        dataset.save(make_pair(seed))
    return dataset


# --- vacancies and provenance ------------------------------------------------------------------------


def test_vacancies_are_kept_apart_from_atoms(tmp_path):
    whole, pair = make_pair(), with_vacancies(make_pair())
    assert len(pair.atoms) == 2
    assert pair.vacancies.rows["atom_id"].tolist() == [0, 2]
    np.testing.assert_array_equal(pair.vacancies.yx, whole.atoms.yx[[0, 2]])
    assert pair.hash != replace(pair, vacancies=AtomTable.empty(0.15)).hash != whole.hash
    digest = TrainingPairDataset(tmp_path).save(pair)
    back = TrainingPairDataset(tmp_path).load(digest)
    assert_same(back, pair)
    assert back.vacancies.rows.equals(pair.vacancies.rows)
    (tmp_path / "pairs" / digest / "vacancies.parquet").unlink()
    with pytest.raises(DatasetError, match="was changed"):
        TrainingPairDataset(tmp_path).load(digest)


def test_a_pair_with_a_twisted_stack(tmp_path):
    prior = load_prior("MoS2/WS2 twist 3.1°")
    kept = replace(prior, layers=tuple(replace(layer, unit_cell=None) for layer in prior.layers))
    assert prior_from_dict(prior_to_dict(prior)) == kept
    dataset = TrainingPairDataset(tmp_path)
    assert dataset.load(dataset.save(make_pair(prior=prior))).prior == kept


def test_provenance_names_what_made_the_pair(tmp_path):
    (tmp_path / "net.safetensors").write_bytes(b"weights")
    found = {
        "model": "small",
        "pose": {"origin": [1, 2]},
        "trust": 0.5,
        "prior": "MoS2",
        "edits": [{"by": "A"}],
    }
    prior = make_pair().prior
    told = pair_provenance(found, prior, network_file=tmp_path / "net.safetensors", editor="Ada")
    assert told["network"] == {"name": "small", "sha256": hashlib.sha256(b"weights").hexdigest()}
    assert told["prior"]["name"] == "MoS2"
    assert told["pose"] == {"origin": [1, 2]}
    assert told["settings"] == {"trust": 0.5}
    assert told["editor"] == "Ada"
    assert told["edits"] == [{"by": "A"}]
    assert told["time"].endswith("+00:00")
    other = pair_provenance(found, replace(prior, cell=prior.cell * 1.01), network_file=tmp_path / "gone")
    assert other["prior"]["sha256"] != told["prior"]["sha256"]
    assert other["network"] == {"name": "small", "sha256": None}
    by_hand = pair_provenance({}, None)
    assert by_hand["network"] is None
    assert by_hand["prior"] is None


# --- migration ---------------------------------------------------------------------------------------


@pytest.fixture
def version_1(tmp_path):
    folder = tmp_path / "old"
    with zipfile.ZipFile(VERSION_1) as archive:
        archive.extractall(folder)
    return folder


def test_a_set_of_version_1_is_read_and_grows(version_1):
    before = {p: p.read_bytes() for p in (version_1 / "pairs").rglob("*") if p.is_file()}
    dataset = TrainingPairDataset(version_1)
    assert [e.revision for e in dataset.entries()] == [1, 1, 2]
    assert [e.source_id for e in dataset.entries()] == [e.image_id for e in dataset.entries()]
    assert_same(dataset.load(dataset.entries()[0].hash), make_pair(0))
    assert not [f for f in validate(dataset) if f.fatal]
    dataset.save(with_vacancies(make_pair(0)))
    dataset.save(make_pair(7))
    again = TrainingPairDataset(version_1)
    assert '"version": 2' in (version_1 / "dataset.json").read_text()
    assert [e.revision for e in again.entries()] == [1, 1, 2, 3, 1]
    assert again.entries()[3].source_id == again.entries()[0].source_id
    assert len(next(iter(again)).vacancies) == 2
    assert {p: p.read_bytes() for p in before} == before


# --- split -------------------------------------------------------------------------------------------


def entry(number, source):
    return ManifestEntry(f"h{number}", f"i{number}", 1, "", "", source)


@given(sources=st.lists(st.integers(0, 40).map(str), min_size=1, max_size=60), part=st.floats(0.01, 0.99))
def test_no_source_is_on_both_sides(sources, part):
    entries = [entry(i, source) for i, source in enumerate(sources)]
    train, held = split(entries, part)
    assert sorted(e.hash for e in train + held) == sorted(e.hash for e in entries)
    assert not {e.source_id for e in train} & {e.source_id for e in held}
    if len(set(sources)) > 1:
        assert train
        assert held
    again = split(entries[::-1], part)
    assert {e.hash for e in again[1]} == {e.hash for e in held}


def test_the_side_stays_when_pairs_are_added_and_the_part_is_kept():
    many = [entry(i, f"source {i}") for i in range(2000)]
    held = {e.hash for e in split(many)[1]}
    assert 0.17 < len(held) / len(many) < 0.23
    few = many[:500]
    assert {e.hash for e in split(few)[1]} == held & {e.hash for e in few}


def test_regions_of_one_file_have_one_source(tmp_path):
    (tmp_path / "flake.tif").write_bytes(b"pixels")
    shutil.copy(tmp_path / "flake.tif", tmp_path / "copy.tif")
    (tmp_path / "other.tif").write_bytes(b"other pixels")
    dataset = TrainingPairDataset(tmp_path / "pairs")
    for seed, name in enumerate(["flake.tif", "copy.tif", "other.tif", "gone.tif"]):
        pair = make_pair(seed)
        dataset.save(replace(pair, micrograph=replace(pair.micrograph, source=tmp_path / name)))
    ids = [e.source_id for e in dataset.entries()]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    assert ids[3] == dataset.entries()[3].image_id


def test_a_split_is_written(tmp_path):
    dataset = filled(tmp_path / "all", range(6))
    counts = write_split(dataset, tmp_path / "out", 0.4)
    sides = [TrainingPairDataset(tmp_path / "out" / name) for name in ("train", "validation")]
    assert [len(side) for side in sides] == list(counts.values())
    found = {e.hash: e for side in sides for e in side.entries()}
    assert {e.hash: (e.time, e.source_id) for e in dataset.entries()} == {
        h: (e.time, e.source_id) for h, e in found.items()
    }
    with pytest.raises(DatasetError, match="already"):
        write_split(dataset, tmp_path / "out", 0.4)
    with pytest.raises(DatasetError, match="one source"):
        write_split(filled(tmp_path / "one", [1]), tmp_path / "out 1")
    assert not (tmp_path / "out 1").exists()


# --- merge and validate ------------------------------------------------------------------------------


def test_merging_keeps_everything_once(tmp_path):
    first, second = filled(tmp_path / "a", [0, 1]), filled(tmp_path / "b", [2])
    second.save(with_vacancies(make_pair(0)))
    assert merge([tmp_path / "b", tmp_path / "a"], tmp_path / "c") == (4, 0)
    assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c") == (0, 4)
    merged = TrainingPairDataset(tmp_path / "c")
    assert [e.hash for e in merged.entries()] == [e.hash for e in first.entries() + second.entries()]
    assert [e.revision for e in merged.entries()] == [1, 1, 1, 2]
    assert len(next(iter(merged)).vacancies) == 2
    assert not [f for f in validate(merged) if f.fatal]
    with pytest.raises(DatasetError, match="no such folder"):
        merge([tmp_path / "nowhere"], tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_validation_finds_what_is_wrong(tmp_path):
    dataset = filled(tmp_path, [0])
    assert validate(dataset) == []
    nothing = dataset.save(make_pair(1, reviewed=np.zeros((18, 24), bool)))
    lost = make_pair(2)
    no_size = dataset.save(replace(lost, micrograph=replace(lost.micrograph, pixel_size=None)))
    off = dataset.save(make_pair(3, atoms=AtomTable.from_positions([(50, 3)], 0.15)))
    damaged = dataset.save(make_pair(4))
    (tmp_path / "pairs" / damaged / "image.npy").write_bytes(b"")
    (tmp_path / "pairs" / "orphan").mkdir()
    found = {f.hash: (f.fatal, f.text) for f in validate(dataset)}
    assert set(found) == {nothing, no_size, off, damaged, "orphan"}
    assert [found[h][0] for h in (nothing, no_size, off, damaged, "orphan")] == [
        True,
        True,
        False,
        True,
        False,
    ]
    for word, digest in (("reviewed", nothing), ("pixel size", no_size), ("1 atoms", off), ("read", damaged)):
        assert word in found[digest][1]


def test_the_command(tmp_path, capsys):
    filled(tmp_path / "a", [0, 1, 2])
    assert main(["pairs", "list", str(tmp_path / "a")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert "flake 1" in lines[2]
    assert "24 x 18" in lines[2]
    assert {line.split()[-3] for line in lines[1:]} == {"train", "validation"}
    assert main(["pairs", "validate", str(tmp_path / "a")]) == 0
    assert "none with errors" in capsys.readouterr().out
    assert main(["pairs", "merge", str(tmp_path / "a"), "-o", str(tmp_path / "b")]) == 0
    assert main(["pairs", "split", str(tmp_path / "b"), "-o", str(tmp_path / "c")]) == 0
    assert sum(len(opened(tmp_path / "c" / side)) for side in ("train", "validation")) == 3
    next((tmp_path / "a" / "pairs").iterdir()).joinpath("meta.json").unlink()
    assert main(["pairs", "validate", str(tmp_path / "a")]) == 2
    assert "error: flake" in capsys.readouterr().out
    for arguments in (
        ["list", str(tmp_path / "none")],
        ["split", str(tmp_path / "b"), "-o", str(tmp_path / "d"), "--validation", "2"],
        ["merge", str(tmp_path), "-o", str(tmp_path / "d")],
    ):
        assert main(["pairs", *arguments]) == 2
        said = capsys.readouterr().err.strip()
        assert said.startswith("stemprior: ")
        assert "\n" not in said
    assert not (tmp_path / "d").exists()
