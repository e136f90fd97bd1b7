"""Training pairs, caches and banks that are damaged: one sentence, exit code 2, nothing half done."""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from napari_stemprior.array_files import ArrayFileError, load_array, load_arrays
from napari_stemprior.atoms import AtomTable
from napari_stemprior.commands.main import main
from napari_stemprior.errors import DatasetError, ModelError, TrainingError
from napari_stemprior.inference.calibration import Calibration
from napari_stemprior.io import Micrograph, TrainingPair, TrainingPairDataset
from napari_stemprior.optics.multislice import reference as multislice_reference
from napari_stemprior.optics.multislice import scan_cache
from napari_stemprior.structure import built_in
from napari_stemprior.training.structure_bank import load_bank, save_bank

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases" / "robustness"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases is not there")

WRONG = [None, True, -1, 2.5, 1e400, "", "\ud800", "../../etc", [], [1, "a"], {}, {"a": [1]}, "x" * 10**5]


def pair(seed=0):
    rng = np.random.default_rng(seed)
    image = Micrograph(rng.normal(100, 9, (40, 48)).astype(np.float32), 0.1, f"flake {seed}")
    return TrainingPair(
        image,
        AtomTable.from_positions(rng.uniform(5, 35, (9, 2)), 0.1),
        np.ones((40, 48), bool),
        built_in("graphene"),
    )


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good") / "pairs"
    for seed in (0, 1):
        TrainingPairDataset(folder).save(pair(seed))
    return folder


def ways(folder, out):
    """Every way to use a dataset from the command line."""
    yield ["list", str(folder), "--all"]
    yield ["validate", str(folder)]
    yield ["split", str(folder), "-o", str(out / "split")]
    yield ["merge", str(folder), "-o", str(out / "merged")]


def one_sentence_at_most(folder, out, capsys):
    for words in ways(folder, out):
        code = main(["pairs", *words])
        said = capsys.readouterr().err
        assert code in (0, 2)
        assert said.count("\n") <= 1
        assert "Traceback" not in said
    with suppress(DatasetError):
        TrainingPairDataset(folder).save(pair(2))


@pytest.mark.parametrize("name", ["manifest.jsonl", "dataset.json", "meta.json"])
@pytest.mark.parametrize("number", range(len(WRONG)))
def test_a_field_of_a_wrong_type_is_one_sentence(good, tmp_path, capsys, name, number):
    pattern = f"pairs/*/{name}" if name == "meta.json" else name
    text = next(good.glob(pattern)).read_text()
    fields = list(json.loads(text.splitlines()[0] if name == "manifest.jsonl" else text))
    folder = tmp_path / "pairs"
    for field in fields:
        shutil.copytree(good, folder)
        path = sorted(folder.glob(pattern))[0]
        if name == "manifest.jsonl":
            first, *rest = path.read_text().splitlines()
            path.write_text("\n".join([json.dumps(json.loads(first) | {field: WRONG[number]}), *rest, ""]))
        else:
            path.write_text(json.dumps(json.loads(path.read_text()) | {field: WRONG[number]}))
        one_sentence_at_most(folder, tmp_path / field, capsys)
        shutil.rmtree(folder)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["image.npy", "reviewed.npy", "atoms.parquet", "meta.json"])
def test_a_damaged_file_of_a_pair_is_one_sentence(good, tmp_path, capsys, name, seed):
    rng = np.random.default_rng(seed)
    folder = tmp_path / "pairs"
    shutil.copytree(good, folder)
    path = sorted(folder.glob(f"pairs/*/{name}"))[0]
    data = bytearray(path.read_bytes())
    header = min(len(data), 140)
    for at in rng.integers(0, header if seed % 2 else len(data), 1 + seed % 3):
        data[at] = int(rng.integers(256))
    path.write_bytes(data[: int(rng.integers(len(data)))] if seed % 4 == 3 else data)
    with suppress(DatasetError):  # or it is as it was, by its hash
        assert TrainingPairDataset(folder).load(path.parent.name).hash == path.parent.name
    one_sentence_at_most(folder, tmp_path / "out", capsys)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-4, 4), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (4, 4), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 4",
        "((((((((((",
        "\x00" * 20,
    ],
)
def test_a_header_that_lies_allocates_nothing(tmp_path, header):
    path = tmp_path / "a.npy"
    text = header.encode("latin-1").ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64))
    with pytest.raises(ArrayFileError):
        load_array(path)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (0, 3), (4, 5), (2, 3, 4)])
def test_arrays_come_back_whole(tmp_path, shape, order):
    array = np.asarray(np.random.default_rng(0).normal(size=shape), order=order)
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", one=array, words=np.array(["a", "béta"]))
    for back in (load_array(tmp_path / "a.npy"), load_arrays(tmp_path / "a.npz")["one"]):
        np.testing.assert_array_equal(back, array)
        assert back.flags.writeable
    assert load_arrays(tmp_path / "a.npz")["words"].tolist() == ["a", "béta"]


@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_cache_is_no_cache_and_a_damaged_bank_one_sentence(tmp_path, monkeypatch, seed):
    monkeypatch.setenv(scan_cache.FOLDER_VARIABLE, str(tmp_path))
    rng = np.random.default_rng(seed)
    save_bank([built_in("graphene"), built_in("MoS2")], tmp_path / "key.npz")
    data = bytearray((tmp_path / "key.npz").read_bytes())
    for at in rng.integers(0, len(data), 4):
        data[at] = int(rng.integers(256))
    (tmp_path / "key.npz").write_bytes(data[: int(rng.integers(len(data)))] if seed % 3 == 0 else data)
    found = scan_cache.load("key")
    assert found is None or isinstance(found, dict)
    with suppress(TrainingError):
        load_bank(tmp_path / "key.npz")


def test_a_cache_of_other_arrays_is_not_taken():
    whole = {"intensity": np.ones((1, 2, 8, 9)), "cell": np.array([3.0, 4.0]), "turn": np.array(0.0)}
    assert multislice_reference._is_whole(whole, (1, 2))
    for change in (
        {"intensity": np.ones((8, 9))},
        {"intensity": np.full((1, 2, 8, 9), np.nan)},
        {"cell": np.zeros(2)},
        {"turn": np.array("x")},
    ):
        assert not multislice_reference._is_whole(whole | change, (1, 2))
    assert not multislice_reference._is_whole({"image": np.ones((8, 9))}, (1, 2))


@pytest.mark.parametrize("saved", [{}, {"on_site": 1}, {"on_site": "abcdef", "off_site": [1], "alone": []}])
def test_a_damaged_calibration_is_told(saved):
    with pytest.raises(ModelError, match="calibrat"):
        Calibration.from_notes({"calibration": saved})
    bad = Calibration().to_notes() | {"alone": [float("nan"), 1.0]}
    with pytest.raises(ModelError, match="not finite"):
        Calibration.from_notes({"calibration": bad})


@needs_cases
@pytest.mark.parametrize(
    "case", sorted(p.name for p in (CASES / "damaged_datasets").iterdir()) if CASES.is_dir() else []
)
def test_the_damaged_datasets_of_the_cases(tmp_path, capsys, case):
    folder = tmp_path / "pairs"
    shutil.copytree(CASES / "good_dataset", folder, copy_function=shutil.copyfile)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    source = CASES / "damaged_datasets" / case
    for path in source.rglob("*"):
        if path.is_file() and path.name != "info.json":
            shutil.copyfile(path, folder / path.relative_to(source))
    one_sentence_at_most(folder, tmp_path / "out", capsys)


@needs_cases
def test_the_damaged_cache_of_the_cases(tmp_path, monkeypatch):
    monkeypatch.setenv(scan_cache.FOLDER_VARIABLE, str(tmp_path))
    shutil.copyfile(CASES / "damaged_scan_cache.npz", tmp_path / "key.npz")
    assert scan_cache.load("key") is None
