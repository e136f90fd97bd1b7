"""Everything that writes a file: how it writes its n-th version, and which version lies there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import tifffile
import torch
import zarr
from batch_writer import images_done, segmented
from session_writer import saved_session, session_version
from test_augmentation import make_view

from napari_stemprior.adaptation.finetune import FinetuneConfig, FineTuner
from napari_stemprior.atoms import AtomHistory, AtomTable
from napari_stemprior.atoms.journal_keeper import FrameState, JournalKeeper, earlier_journals
from napari_stemprior.atoms.journal_replay import read_journal
from napari_stemprior.inference.calibration import Calibration
from napari_stemprior.io import (
    FORMATS,
    Micrograph,
    TrainingPair,
    TrainingPairDataset,
    export_atoms,
    read_atoms,
    read_micrograph,
)  # fmt: skip
from napari_stemprior.io.pair_dataset_tools import merge, validate
from napari_stemprior.io.writers.reference_tiff import write_reference
from napari_stemprior.network.checkpoint import load_network, save_network
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.optics.multislice import scan_cache
from napari_stemprior.progress import drain
from napari_stemprior.structure import built_in
from napari_stemprior.training.config import TrainingConfig
from napari_stemprior.training.structure_bank import load_bank, save_bank
from napari_stemprior.training.train import Trainer

__all__ = ["RUN", "WRITERS", "KillWriter", "warm"]
#: Versions that a process writes.
RUN = 2
SHAPE = (64, 96)
IMAGE = np.random.default_rng(0).normal(100, 9, SHAPE).astype(np.float32)
TINY = NetworkConfig(widths=(8, 8, 8, 8), token_width=16, embedding_width=8, heads=2)


@dataclass(frozen=True)
class KillWriter:
    """What writes a file.

    `write` yields the version that it is about to write, and again when that is done, from `first` on.
    `read` returns the version that lies there whole, 0 for none. `grows` where versions are added to each
    other instead of replaced, so that the one that was cut off is written again at the next start.
    """

    name: str
    write: Callable[[Path, int], Iterator[int]]
    read: Callable[[Path], int]
    grows: bool = False


def atoms(version: int) -> AtomTable:
    """A table with as many atoms as its version, on pixels of their own."""
    places = np.array([(5 + 7 * (n // 12), 5 + 7 * (n % 12)) for n in range(version)], float).reshape(-1, 2)
    return AtomTable.from_positions(places, 0.2, element="Mo")


def _each(write: Callable[[Path, int], object], folder: Path, first: int) -> Iterator[int]:
    for version in range(first, first + RUN):
        yield version
        write(folder, version)
        yield version


# --- exports ----------------------------------------------------------------------------------------------


def _count(key: str, path: Path) -> int:
    """Return the number of atoms in an export, by other means than it was written with."""
    if not path.exists():
        return 0
    match key:
        case "csv" | "parquet":
            return len(read_atoms(path))
        case "points":
            return len(path.read_text().splitlines()) - 1
        case "extxyz":
            lines = path.read_text().splitlines()
            assert len(lines) == int(lines[0]) + 2
            return int(lines[0])
        case "cif":
            return sum(
                line.split()[:1] != [] and line.split()[0].startswith("Mo")
                for line in path.read_text().splitlines()
            )
        case "coco":
            return len(json.loads(path.read_text())["annotations"])
        case "atomai":
            with np.load(path) as file:
                return len(file["0"])
        case "mask":
            return len(np.unique(tifffile.imread(path))) - 1
        case "heatmap":
            return int((tifffile.imread(path) > 0.999).sum())
        case "ome-zarr":
            root = zarr.open_group(str(path), mode="r")
            assert root["0"][:].shape == SHAPE
            return len(np.unique(root["labels/atoms/0"][:])) - 1
        case _:
            with h5py.File(path, "r") as file:
                sizes: list[int] = []
                file.visititems(
                    lambda name, item: (
                        sizes.append(len(item))
                        if isinstance(item, h5py.Dataset) and item.ndim == 2 and item.shape[1] == 2
                        else None
                    )
                )
                return max(sizes, default=0)


def _exports() -> list[KillWriter]:
    made = []
    for form in FORMATS:
        name = f"a{form.suffix}"

        def write(folder: Path, version: int, name: str = name, key: str = form.key) -> None:
            export_atoms(atoms(version), folder / name, image=IMAGE, key=key)

        def read(folder: Path, name: str = name, key: str = form.key) -> int:
            return _count(key, folder / name)

        made.append(KillWriter(f"export {form.key}", partial(_each, write), read))
    return made


# --- journal ----------------------------------------------------------------------------------------------


def _journal(folder: Path, first: int) -> Iterator[int]:
    """Edit after edit in one process; a version is an edit."""
    history = AtomHistory(atoms(8).rows, who="ada")
    keeper = JournalKeeper({"sha256": "x"}, [folder / "a"], lambda: [FrameState((), history, 0.2, {})])
    for version in range(first, first + 60):
        yield version
        before = history.rows.iloc[[version % 8]]
        history.record("move", before, before.assign(y_px=float(version)))
        keeper.recorded((), history.steps[-1])
        yield version
    keeper.close()


def _edits(folder: Path) -> int:
    """Edits in the journals of all sessions; each must hold the row where its last edit put it."""
    total = 0
    for path in earlier_journals({"sha256": "x"}, [folder / "a"]):
        recovered = read_journal(path)
        assert not recovered.damage
        (history,) = recovered.histories.values()
        assert len(history.steps) == recovered.edits
        total += recovered.edits
    return total


# --- pairs ------------------------------------------------------------------------------------------------


def _pair(version: int) -> TrainingPair:
    image = Micrograph(IMAGE + np.float32(version), 0.2, f"flake {version}")
    return TrainingPair(image, atoms(version), np.ones(SHAPE, bool), built_in("graphene"))


def _pairs(folder: Path) -> int:
    dataset = TrainingPairDataset(folder / "set")
    assert not [finding for finding in validate(dataset) if finding.fatal]
    names = sorted(int(pair.micrograph.name.split()[1]) for pair in dataset)
    assert names == list(range(1, len(names) + 1)), names
    return len(names)


def _merged(folder: Path, version: int) -> None:
    """Merge a dataset of `version` pairs that was made beside; it adds one."""
    source = folder.parent / f"source{version}"
    if not source.exists():
        for number in range(1, version + 1):
            TrainingPairDataset(source).add(_pair(number), f"2026-01-01T00:00:0{number % 10}.000+00:00")
    merge([source], folder / "set")


# --- networks ---------------------------------------------------------------------------------------------


@cache
def _network() -> StructurePromptedNet:
    torch.manual_seed(0)
    return StructurePromptedNet(TINY).eval()


def _weights(folder: Path) -> int:
    path = folder / "w.safetensors"
    return int(load_network(path)[1]["version"]) if path.exists() else 0  # type: ignore[call-overload]


def _training(steps: int) -> TrainingConfig:
    return TrainingConfig(steps=steps, batch=1, side=32, warmup=1, workers=0, device="cpu", network=TINY)


def _train(folder: Path, first: int) -> Iterator[int]:
    trainer = Trainer(_training(first + RUN - 1), folder / "run", [built_in("graphene")])
    assert trainer.step == first - 1
    work = trainer.run(report_every=1, save_every=1)
    for version in range(first, first + RUN):
        yield version
        next(work)
        yield version


def _trained(folder: Path) -> int:
    """Return the steps of the state; the weights beside it are whole, and not of a later step."""
    run = folder / "run"
    step = Trainer(_training(1), run, [built_in("graphene")]).step
    if (run / "weights.safetensors").exists():
        notes = load_network(run / "weights.safetensors")[1]
        assert step - 1 <= int(notes["steps"]) <= step  # type: ignore[call-overload]
    return step


def _finetuner(folder: Path) -> FineTuner:
    config = FinetuneConfig(steps=10_000, batch=2, side=32, learning_rate=1e-3)
    torch.manual_seed(0)
    network = StructurePromptedNet(TINY).eval()
    return FineTuner(
        network,
        [make_view()],
        [built_in("graphene")],
        config,
        state=folder / ".n.unfinished.safetensors",
        resume=True,
    )


def _finetune(folder: Path, first: int) -> Iterator[int]:
    tuner = _finetuner(folder)
    assert tuner.step == first - 1
    work = tuner.run(save_every=1)
    for version in range(first, first + RUN):
        yield version
        next(work)
        yield version


def _calibrated(folder: Path, version: int) -> None:
    """What ``stemprior calibrate`` does to a file that it reads."""
    path = folder / "w.safetensors"
    network, notes = load_network(path) if path.exists() else (_network(), {})
    save_network(network, path, notes | {"version": version, "calibration": Calibration().to_notes()})


# --- the rest -----------------------------------------------------------------------------------------------


def _reference(folder: Path) -> int:
    path = folder / "a.tif"
    return int(read_micrograph(path).metadata["version"]) if path.exists() else 0


def _cached(folder: Path, version: int) -> None:
    import os

    os.environ[scan_cache.FOLDER_VARIABLE] = str(folder / "cache")
    scan_cache.store("key", {"image": np.full((90, 90), version)})


def _cache(folder: Path) -> int:
    import os

    os.environ[scan_cache.FOLDER_VARIABLE] = str(folder / "cache")
    found = scan_cache.load("key")
    return 0 if found is None else int(found["image"].min())


def _bank(folder: Path) -> int:
    path = folder / "bank.npz"
    return len(load_bank(path)) if path.exists() else 0


@cache
def _measured() -> object:
    """Measurements of a small image, made once."""
    from napari_stemprior.optics import Instrument
    from napari_stemprior.optics.reference import reference_image
    from napari_stemprior.registration import Pose
    from napari_stemprior.workflow.measure import MeasureSettings, measure
    from napari_stemprior.workflow.operations import Operations

    prior, pose = built_in("MoS2"), Pose.from_angle(17, 0.12, (5, 5))
    image = reference_image(prior, Instrument(), 0.12, (160, 160), pose)
    yx, column = pose.columns(prior, (160, 160))
    table = AtomTable.from_positions(yx, 0.12, element=[prior.columns[i].element for i in column])
    kinds = dict.fromkeys(("intensities", "strain", "defects", "layers", "scan_errors"), False)
    settings = MeasureSettings(**(kinds | {"strain": True}))
    micrograph = Micrograph(image.astype(np.float32), 0.12, "flake")
    return drain(measure(Operations(), micrograph, table, prior, None, settings))


def _measure(folder: Path, version: int) -> None:
    from napari_stemprior.workflow.measure_results import write_results

    image = np.zeros((160, 160))
    drain(write_results(_measured(), image, folder / "out", "a", formats=(), provenance={"version": version}))  # type: ignore[arg-type]


def _results(folder: Path) -> int:
    """Return the version of the last file that is written; all others are whole, of it or of the next."""
    import pandas as pd
    import pyarrow.parquet as pq

    out = folder / "out"
    versions = []
    if (out / "a_columns.csv").exists():
        assert len(pd.read_csv(out / "a_columns.csv")) > 50
    if (out / "a_columns.parquet").exists():
        table = pq.read_table(out / "a_columns.parquet", use_threads=False)
        versions.append(int(json.loads(table.schema.metadata[b"napari_stemprior"])["version"]))
    with suppress(FileNotFoundError):
        versions.append(int(json.loads((out / "a_results.json").read_text())["version"]))
    report = out / "a_report.html"
    if not report.exists():
        return 0
    assert report.read_text().rstrip().endswith("</html>")
    assert len(versions) == 2
    assert max(versions) - min(versions) <= 1
    return min(versions)


def warm() -> None:
    """Make and import what the writers share, so that no process does so by itself."""
    import_module("torch._dynamo")  # the first step of an optimiser asks for it
    _measured()
    _network()


WRITERS: list[KillWriter] = [
    KillWriter("journal", _journal, _edits, grows=True),
    *_exports(),
    KillWriter(
        "training pairs",
        partial(_each, lambda f, v: TrainingPairDataset(f / "set").save(_pair(v))),
        _pairs,
        grows=True,
    ),
    KillWriter("merged pairs", partial(_each, _merged), _pairs, grows=True),
    KillWriter(
        "weights",
        partial(_each, lambda f, v: save_network(_network(), f / "w.safetensors", {"version": v})),
        _weights,
    ),
    KillWriter("calibration", partial(_each, _calibrated), _weights),
    KillWriter("training", _train, _trained, grows=True),
    KillWriter("fine-tuning", _finetune, lambda f: _finetuner(f).step, grows=True),
    KillWriter(
        "simulate",
        partial(
            _each,
            lambda f, v: write_reference(f / "a.tif", IMAGE, {"pixel_size_angstrom": 0.1, "version": v}),
        ),
        _reference,
    ),
    KillWriter("scan cache", partial(_each, _cached), _cache),
    KillWriter(
        "structure bank",
        partial(_each, lambda f, v: save_bank([built_in("MoS2")] * v, f / "bank.npz")),
        _bank,
    ),
    KillWriter("measure", partial(_each, _measure), _results),
    KillWriter("batch", partial(_each, lambda f, v: segmented(f, v, atoms(v))), images_done, grows=True),
    KillWriter("session", partial(_each, saved_session), session_version),
]
