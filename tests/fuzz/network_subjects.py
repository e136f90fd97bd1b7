"""Weights, calibrations, states of runs, logs, configurations, banks and caches, damaged."""

from __future__ import annotations

import json
import os
import shutil
import struct
from dataclasses import fields
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mutations import NUMBERS, WRONG, Rng, damaged_file, on_bytes, on_json, on_text
from subjects import Change, Seed, Subject

from napari_stemprior.inference import Segmenter
from napari_stemprior.inference.calibration import Calibration
from napari_stemprior.inference.models import model_label
from napari_stemprior.network.checkpoint import save_network
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.optics.multislice import reference, scan_cache
from napari_stemprior.progress import drain
from napari_stemprior.structure import built_in
from napari_stemprior.training.config import TrainingConfig, read_config
from napari_stemprior.training.loss_log import append_losses, forget_after
from napari_stemprior.training.structure_bank import load_bank, save_bank
from napari_stemprior.training.train import Trainer

TINY = NetworkConfig(widths=(8, 8, 8, 8), token_width=16, embedding_width=8, heads=2)
#: Sizes up to which a network is built from a configuration that was damaged.
_BUILT = 64


# --- weights and their calibration -----------------------------------------------------------------------


def weights(folder: Path) -> list[Seed]:
    torch.manual_seed(0)
    tuned = {"before": {"f1": 0.5}, "after": {"f1": 0.6}, "worse": False}
    notes = {"steps": 3, "calibration": Calibration().to_notes(), "finetuned": tuned}
    save_network(StructurePromptedNet(TINY), folder / "w.safetensors", notes)
    header = 8 + struct.unpack("<Q", (folder / "w.safetensors").read_bytes()[:8])[0]
    return [Seed(folder / "w.safetensors", None, None, ((0, 8), (8, header)))]


def damaged_weights(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    """Damage the bytes, the header as JSON, the notes in it, or numbers among the weights."""

    def change(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
        (length,) = struct.unpack("<Q", data[:8])
        header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
        way = rng.random()
        if way < 0.3:
            return on_bytes(data, rng, seed)
        if way < 0.6:
            which = ("notes", "config")[int(rng.integers(2))]
            text, what = on_json(header["__metadata__"][which].encode(), rng)
            header["__metadata__"][which] = text.decode("utf-8", "replace")
            new = json.dumps(header).encode()
        elif way < 0.85:
            new, what = on_json(data[8 : 8 + length], rng)
        else:
            numbers = np.frombuffer(body, np.float16).copy()
            at = rng.integers(len(numbers), size=int(rng.integers(1, 500)))
            numbers[at] = [np.nan, np.inf, 65504, -65504, 6e-8][int(rng.integers(5))]
            new, body, what = data[8 : 8 + length], numbers.tobytes(), Change("weights")
        return struct.pack("<Q", len(new)) + new + body, what

    return damaged_file(seed, folder, rng, change)


def judge_weights(path: Path, seed: Seed, change: Change) -> str:
    model_label(str(path))
    segmenter = Segmenter(path, "cpu")
    if not all(bool(torch.isfinite(t).all()) for t in segmenter.network.state_dict().values()):
        return "weights that are not finite"
    if change.kind == "weights":
        image = np.random.default_rng(0).normal(100, 9, (40, 48)).astype(np.float32)
        segmenter.set_image(image, 0.2)
        table = segmenter.segment(None)
        if not table.rows["confidence"].between(0, 1).all():
            return "a confidence that is none"
    return ""


def weight_words(path: Path, seed: Seed, out: Path) -> list[list[str]]:
    import tifffile

    out.mkdir()
    tifffile.imwrite(out / "a.tif", np.random.default_rng(0).normal(100, 9, (40, 48)).astype(np.float32))
    return [
        ["segment", str(out / "a.tif"), "--no-prior", "--pixel-size", "0.2", "--device", "cpu",
         f"--model={path}", "-o", str(out / "found")],
    ]  # fmt: skip


# --- states and logs --------------------------------------------------------------------------------------


def _settings(steps: int) -> TrainingConfig:
    return TrainingConfig(steps=steps, batch=1, side=32, warmup=1, workers=0, device="cpu", network=TINY)


def states(folder: Path) -> list[Seed]:
    run = folder / "run"
    drain(Trainer(_settings(1), run, [built_in("graphene")]).run())
    for step in range(0, 60, 20):
        append_losses(run / "log.csv", step, step, 1.5 * step, 1e-3, {"total": 0.5, "heat": 0.25})
    return [Seed(run, None)]


def damaged_state(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    run = folder / "run"
    shutil.copytree(seed.path, run)
    name = ("state.safetensors", "log.csv", "weights.safetensors")[int(rng.choice(3, p=[0.5, 0.4, 0.1]))]
    path = run / name
    data = path.read_bytes()
    if name == "log.csv":
        data, change = on_text(data, rng, (lambda d: d.replace(b"\r\n", b"\n"),))
    elif rng.random() < 0.4:
        (length,) = struct.unpack("<Q", data[:8])
        new, change = on_json(data[8 : 8 + length], rng)
        data = struct.pack("<Q", len(new)) + new + data[8 + length :]
    else:
        data, change = on_bytes(data, rng, Seed(path, None, None, ((0, 8), (8, 3000))))
    path.unlink()
    if rng.random() < 0.04:
        path.mkdir() if rng.random() < 0.5 else path.symlink_to(path.name)
        return run, Change("no file", note=name)
    path.write_bytes(data)
    return run, Change(change.kind, change.harmless, note=f"{name}: {change.note}")


def judge_state(run: Path, seed: Seed, change: Change) -> str:
    """Go on with the run by no step: what it keeps must be finite, and of the log only whole rows."""
    trainer = Trainer(_settings(1), run, [built_in("graphene")])
    if trainer.step < 0 or not isfinite(trainer.seconds):
        return f"step {trainer.step} after {trainer.seconds} s"
    forget_after(run / "log.csv", trainer.step)
    if (run / "log.csv").is_file():
        lines = (run / "log.csv").read_bytes().splitlines()
        steps = [line.split(b",")[0] for line in lines[1:] if line]
        if any(step.isdigit() and int(step) > trainer.step for step in steps):
            return "rows past the step are still there"
    drain(trainer.run())
    Segmenter(run / "weights.safetensors", "cpu")
    return ""


def state_words(run: Path, seed: Seed, out: Path) -> list[list[str]]:
    (run.parent / "c.toml").write_text(
        "[training]\nsteps = 1\nbatch = 1\nside = 32\nworkers = 0\n[network]\nwidths = [8, 8, 8, 8]\n"
        "token_width = 16\nembedding_width = 8\nheads = 2\n"
    )
    return [["train", "-o", str(run), "--config", str(run.parent / "c.toml"), "--device", "cpu"]]


# --- configurations ---------------------------------------------------------------------------------------


def configurations(folder: Path) -> list[Seed]:
    path = folder / "c.toml"
    path.write_text(
        "[training]\nsteps = 4\nbatch = 2\nside = 64\nlearning_rate = 2e-3\nwarmup = 2\ndecay = 0.3\n"
        'weight_decay = 0.02\nseed = 1\nworkers = 0\nrecorded = 0.2\ndevice = "cpu"\n'
        "[network]\nwidths = [8, 8, 8, 8]\ntoken_width = 16\nembedding_width = 8\nheads = 2\n"
        "neighbours_fine = 2\nneighbours_coarse = 3\nself_attention = true\n"
        "[losses]\nheat = 1.0\n[prompts]\nmatched = 0.5\nabsent = 0.3\nwrong = 0.1\nhalf_right = 0.1\n"
    )
    try:
        read_config(path)
    except Exception:  # the names of losses and prompts are those of the classes
        path.write_text(path.read_text().split("[losses]")[0])
    return [Seed(path, read_config(path))]


def damaged_configuration(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    def change(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
        lines = data.decode().splitlines()
        at = int(rng.integers(len(lines)))
        if "=" in lines[at] and rng.random() < 0.6:
            name = lines[at].partition("=")[0]
            value = WRONG[int(rng.integers(len(WRONG)))] if rng.random() < 0.5 else None
            text = NUMBERS[int(rng.integers(len(NUMBERS)))] if value is None else json.dumps(value)
            lines[at] = f"{name}= {text}"
            return "\n".join(lines).encode("utf-8", "surrogatepass"), Change("value", note=lines[at][:50])
        return on_text(data, rng, (lambda d: d.replace(b"\n", b"\r\n"), lambda d: d + b"# end\n"))

    return damaged_file(seed, folder, rng, change)


def judge_configuration(path: Path, seed: Seed, change: Change) -> str:
    config = read_config(path)
    if change.harmless and config != seed.expected:
        return "another configuration"
    for part in (config, config.network, config.losses, config.prompts):
        for field in fields(part):  # type: ignore[arg-type]
            value = getattr(part, field.name)
            if isinstance(value, float) and not isfinite(value):
                return f"{field.name} is {value}"
    network = config.network
    if max(*network.widths, network.token_width, network.embedding_width, network.heads) <= _BUILT:
        Trainer(config, path.parent / "run", [built_in("graphene")])
        [config.rate_factor(step) for step in range(min(config.steps, 50))]
    return ""


def configuration_words(path: Path, seed: Seed, out: Path) -> list[list[str]]:
    """Training stops at a folder that is not its own, after the configuration was read."""
    out.mkdir()
    (out / "config.json").write_text("foreign")
    return [["train", "-o", str(out), f"--config={path}"]]


# --- banks and caches -------------------------------------------------------------------------------------


def banks(folder: Path) -> list[Seed]:
    save_bank([built_in("graphene"), built_in("MoS2")], folder / "bank.npz")
    return [Seed(folder / "bank.npz", 2)]


def damaged_arrays(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    """Damage an ``.npz``: its bytes, or one of its arrays."""
    if rng.random() < 0.5:
        return damaged_file(seed, folder, rng)
    path = folder / seed.path.name
    with np.load(seed.path) as file:
        arrays: dict[str, Any] = dict(file)
    name = sorted(arrays)[int(rng.integers(len(arrays)))]
    old = arrays.pop(name)
    new: list[Any] = [
        None, np.zeros(0), np.full(old.shape, np.nan), np.zeros(old.shape), np.full(old.shape, -1),
        old[..., None],
        np.array("x"), np.full(old.shape, 1e300), np.array([b"\xff"]), np.full(old.shape, 999), old.T * 1j
        if old.dtype.kind in "if" else old, np.array([{}], object), np.full((3, 3, 3), 2**62),
    ]  # fmt: skip
    chosen = new[int(rng.integers(len(new)))]
    if chosen is not None:
        arrays[name] = chosen
    np.savez_compressed(path, **arrays)
    return path, Change("array", note=f"{name}: {chosen is not None and chosen.dtype} {np.shape(chosen)}")


def judge_bank(path: Path, seed: Seed, change: Change) -> str:
    bank = load_bank(path)
    for prior in bank:
        places = np.array([c.position for c in prior.columns])
        numbers = [n for c in prior.columns for _, n in c.composition]
        if not (np.isfinite(prior.cell).all() and np.isfinite(places).all() and np.isfinite(numbers).all()):
            return f"{prior.name} is not finite"
        if not isfinite(prior.period) or min(numbers) <= 0 or abs(np.linalg.det(prior.cell)) < 1e-6:
            return f"{prior.name} is no crystal"
        if not all(np.isfinite(c.height) for c in prior.columns):
            return f"{prior.name} has a height that is none"
    return "" if not change.harmless or len(bank) == seed.expected else "crystals are missing"


def bank_words(path: Path, seed: Seed, out: Path) -> list[list[str]]:
    out.mkdir()
    (out / "config.json").write_text("foreign")
    return [["train", "-o", str(out), f"--bank={path}"]]


def caches(folder: Path) -> list[Seed]:
    rng = np.random.default_rng(0)
    np.savez_compressed(
        folder / "key.npz", intensity=rng.random((1, 2, 8, 9)), cell=np.array([3.0, 4.0]), turn=np.array(0.0)
    )
    return [Seed(folder / "key.npz")]


def judge_cache(path: Path, seed: Seed, change: Change) -> str:
    os.environ[scan_cache.FOLDER_VARIABLE] = str(path.parent)
    found = scan_cache.load(path.stem)
    if found is None or not reference._is_whole(found, (1, 2)):
        return "a good entry is passed over" if change.harmless else ""
    if not all(np.isfinite(array).all() for array in found.values() if array.dtype.kind == "f"):
        return "an entry that is not finite"
    return ""


SUBJECTS = [
    Subject("weights, calibrations", weights, damaged_weights, judge_weights, weight_words, 0.03, 1.2),
    Subject("states, logs", states, damaged_state, judge_state, state_words, 0.2, 0.6),
    Subject(
        "configurations", configurations, damaged_configuration, judge_configuration, configuration_words,
        0.3, ends_refused=True,
    ),
    Subject("structure banks", banks, damaged_arrays, judge_bank, bank_words, 0.1, 0.6, ends_refused=True),
    Subject("scan caches", caches, damaged_arrays, judge_cache, weight=0.4),
]  # fmt: skip
