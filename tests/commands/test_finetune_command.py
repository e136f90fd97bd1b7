"""``stemprior finetune``: from saved pairs to a network that says what it is worth."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_stemprior.adaptation import corrected_dataset as room
from napari_stemprior.adaptation.augmentation import Move
from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.metrics import score
from napari_stemprior.commands import finetune as command
from napari_stemprior.commands.main import main
from napari_stemprior.errors import TrainingError
from napari_stemprior.inference.canonical import CanonicalImage
from napari_stemprior.inference.models import available_models, model_label, new_model_path
from napari_stemprior.io import Micrograph, TrainingPair, TrainingPairDataset
from napari_stemprior.network.checkpoint import load_network, save_network
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in

TINY = NetworkConfig(widths=(8, 8, 16, 16), token_width=16, embedding_width=8, heads=2)
SHAPE, SIZE = (150, 210), 0.137
STEPS = ["--steps", "2", "--device", "cpu"]


def micrograph(seed=0):
    """MoS2 on pixels that are no round number, brighter on one side; a vacancy in the middle."""
    prior = built_in("MoS2")
    pose = Pose.from_angle(11.0 + seed, SIZE, (3.0, 5.0), score=0.9)
    yx, index = pose.columns(prior, SHAPE)
    inside = ((yx > 0) & (yx < np.array(SHAPE) - 1)).all(axis=1)
    yx, index = yx[inside], index[inside]
    gone = int(np.argmin(((yx - np.array(SHAPE) * 0.4) ** 2).sum(1)))
    grid = np.stack(np.indices(SHAPE), -1)
    image = np.zeros(SHAPE)
    for number, place in enumerate(yx):
        if number != gone:
            distance2 = ((grid - place) ** 2).sum(-1) * SIZE**2
            image += (2 if prior.columns[index[number]].element == "Mo" else 1) * np.exp(-distance2 / 0.3)
    image += 0.3 * grid[..., 1] / SHAPE[1]
    counts = np.random.default_rng(seed).poisson(20 * image).astype(np.float32)
    keep = np.arange(len(yx)) != gone
    status = np.where(keep, "accepted", "vacancy").astype(object)
    atoms = AtomTable.from_positions(
        yx,
        SIZE,
        element=[prior.columns[i].element for i in index],
        site=[prior.columns[i].site for i in index],
        status=status,
        source="manual",
    )
    return Micrograph(counts, SIZE, f"flake {seed}"), atoms, prior, index[keep], pose


def saved_pair(seed=0, reviewed=None, with_prior=True):
    image, atoms, prior, _, pose = micrograph(seed)
    told = {"pose": {"affine": pose.affine.tolist(), "origin": pose.origin.tolist(), "score": 0.9}}
    mask = np.ones(SHAPE, bool) if reviewed is None else reviewed
    return TrainingPair(image, atoms, mask, prior if with_prior else None, told if with_prior else {})


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(2)
    path = tmp_path_factory.mktemp("network") / "tiny.safetensors"
    save_network(StructurePromptedNet(TINY), path, {"steps": 7})
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    dataset = TrainingPairDataset(tmp_path / "pairs")
    dataset.save(saved_pair(0, with_prior=False))
    return tmp_path / "pairs"


def test_a_pair_becomes_what_the_network_sees(weights):
    pair = saved_pair()
    trained = np.zeros(SHAPE, bool)
    trained[20:140, 30:110] = True
    view = room.view_of(pair, trained, np.random.default_rng(0))
    canonical = CanonicalImage.from_array(pair.micrograph.image, SIZE)
    # the crop around the region, found again in the whole image: that fixes where pixels have gone
    corner = (canonical.to_canonical(pair.atoms.yx) - view.yx)[0]
    np.testing.assert_allclose(corner, np.round(corner), atol=1e-9)
    top, left = np.round(corner).astype(int)
    height, width = view.known.shape
    torch.testing.assert_close(view.images[0], canonical.image[top : top + height, left : left + width])
    # known is the reviewed rectangle less its edge, at the scale of the network
    rows, columns = (np.flatnonzero(view.known.any(axis=axis)) for axis in (1, 0))
    low = canonical.to_pixels(np.array([[rows[0] + top, columns[0] + left]]))[0]
    high = canonical.to_pixels(np.array([[rows[-1] + top, columns[-1] + left]]))[0]
    edge = 0.5 / SIZE
    np.testing.assert_allclose(low, [20 + edge, 30 + edge], atol=2.5)
    np.testing.assert_allclose(high, [139 - edge, 109 - edge], atol=2.5)
    # every atom shows the column of the prior that it was made from
    index = micrograph()[3]
    np.testing.assert_array_equal(view.token, index)
    # the bright spots of the image are the atoms; the confirmed vacancy is known and has no target
    example = view.moved(Move(np.eye(2), np.zeros(2), np.zeros(2)), view.images[0], 128)
    heat = example.heat[0, 0].numpy()
    inside = view.yx[room.within(view.yx, view.known) & (view.yx < 127).all(axis=1)]
    pixel = np.round(inside).astype(int)
    assert (heat[pixel[:, 0], pixel[:, 1]] > 0.75).all()
    image = view.images[0].numpy()
    assert image[pixel[:, 0], pixel[:, 1]].mean() > image.mean() + 0.8 * image.std()
    (vacancy,) = np.round(canonical.to_canonical(pair.vacancies.yx) - corner).astype(int)
    assert heat[vacancy[0], vacancy[1]] < 0.05
    # where the prior was placed there are the columns, the vacancy's too
    sites = view.prompt.sites[0].numpy()
    off = [float(np.hypot(*(sites - place).T).min()) for place in inside]
    assert np.median(off) * 0.2 < 0.3


def test_thinned_counts_keep_their_mean_and_gain_noise():
    counts = np.random.default_rng(0).poisson(20, (64, 64)).astype(np.float32)
    for image in room.noisier(counts, np.random.default_rng(1)):
        assert image.mean() == pytest.approx(20, rel=0.02)
        assert image.var() > 1.4 * counts.var()
    smooth = np.random.default_rng(0).normal(5.5, 1, (64, 64)).astype(np.float32)
    for image in room.noisier(smooth, np.random.default_rng(1)):
        assert 1.2 < image.std() / smooth.std() < 2.5


def test_a_single_pair_is_cut_in_two_and_several_are_kept_whole(tmp_path):
    dataset = TrainingPairDataset(tmp_path / "one")
    dataset.save(saved_pair())
    (split,) = room.held_out_splits(tmp_path / "one")
    assert not (split.training & split.held_out).any()
    assert (split.training | split.held_out).all()
    assert split.held_out.mean() == pytest.approx(room.HELD_PART, abs=0.01)
    assert split.held_out[:, -1].all()  # across the longer side
    dataset.save(saved_pair(1))
    both = room.held_out_splits(tmp_path / "one")
    assert sorted(one.training.any() for one in both) == [False, True]
    assert all(one.training.any() != one.held_out.any() for one in both)


def test_the_score_of_a_region_is_the_strict_one(weights):
    pair = saved_pair()
    rng = np.random.default_rng(0)
    yx = pair.atoms.yx + rng.normal(0, 1.5, pair.atoms.yx.shape)
    found = AtomTable.from_positions(yx[3:], SIZE)
    whole = room.region_score(found, pair, np.ones(SHAPE, bool))
    strict = score(found, pair.atoms, SHAPE)
    assert (whole.fp, whole.fn) == pytest.approx((strict.fp, strict.fn), abs=3)
    assert whole.f1 == pytest.approx(strict.f1, abs=0.02)
    part = np.zeros(SHAPE, bool)
    part[:, :100] = True
    elsewhere = AtomTable.from_positions(pair.atoms.yx[pair.atoms.yx[:, 1] < 110], SIZE)
    assert room.region_score(elsewhere, pair, part).f1 == 1.0
    assert room.region_score(AtomTable.empty(SIZE), pair, part).fn > 20


def test_the_command_writes_a_network_with_its_parentage(folder, weights, tmp_path, capsys):
    output = tmp_path / "new.safetensors"
    assert main(["finetune", str(folder), "-o", str(output), "--model", str(weights), *STEPS]) == 0
    assert "strict F1" in capsys.readouterr().out
    _, notes = load_network(output)
    record = notes["finetuned"]
    assert record["parent"]["name"] == "tiny"
    assert len(record["parent"]["sha256"]) == 64
    (entry,) = TrainingPairDataset(folder).latest_entries()
    assert [pair["hash"] for pair in record["pairs"]] == [entry.hash]
    assert record["settings"]["steps"] == 2
    assert {"f1", "tp", "fp", "fn"} <= record["before"].keys()
    assert notes["steps"] == 7
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.safetensors", "pairs"]
    second = tmp_path / "child.safetensors"
    assert main(["finetune", str(folder), "-o", str(second), "--model", str(output), *STEPS]) == 0
    _, notes = load_network(second)
    assert notes["finetuned"]["parent"]["name"] == "new"
    assert notes["ancestry"][0]["parent"]["name"] == "tiny"
    before = output.read_bytes()
    assert main(["finetune", str(folder), "-o", str(output), "--model", str(weights), *STEPS]) == 2
    assert output.read_bytes() == before


def test_a_worse_network_is_offered_with_that_said(folder, weights, tmp_path, monkeypatch, capsys):
    answers = iter([command.EvaluationResult(0.9, 90, 10, 10), command.EvaluationResult(0.8, 80, 20, 20)])
    monkeypatch.setattr(command.EvaluationResult, "of", lambda scores: next(answers))
    monkeypatch.setenv("STEMPRIOR_MODELS", str(tmp_path / "mine"))
    path = new_model_path("my flakes")
    assert main(["finetune", str(folder), "-o", str(path), "--model", str(weights), *STEPS]) == 0
    assert "WORSE" in capsys.readouterr().out
    assert available_models() == ["small", "paper", "my flakes"]
    assert model_label("my flakes") == "my flakes: F1 0.900 → 0.800 (WORSE)"
    assert model_label("small") == "small"
    with pytest.raises(Exception, match="already"):
        new_model_path("My Flakes")
    with pytest.raises(Exception, match="cannot name"):
        new_model_path("../flakes")


def test_too_little_to_judge_by_is_said(tmp_path, weights):
    mask = np.zeros(SHAPE, bool)
    mask[60:70, 60:75] = True
    TrainingPairDataset(tmp_path / "pairs").save(saved_pair(reviewed=mask))
    with pytest.raises(TrainingError, match="review a larger region"):
        room.held_out_splits(tmp_path / "pairs")


#: The command, which says that 25 steps are done and then waits for a signal, so that it cannot end before.
STOPS_AT_25 = """
import sys, time
from contextlib import contextmanager
from napari_stemprior.commands import finetune
from napari_stemprior.commands import main as cli

say, catch, signals = finetune._tell_json, finetune.stop_between_steps, []

@contextmanager
def catch_and_show():
    with catch() as noted:
        signals.append(noted)
        yield noted

def say_and_wait(progress):
    say(progress)
    while progress.done == 25 and hasattr(progress, "loss") and not signals[0]:
        time.sleep(0.01)

finetune._tell_json, finetune.stop_between_steps = say_and_wait, catch_and_show
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_leaves_nothing_half_written_and_goes_on(folder, weights, tmp_path, how):
    output = tmp_path / "new.safetensors"
    words = [str(folder), "-o", str(output), "--model", str(weights), "--steps", "27", "--device", "cpu"]
    call = ["finetune", *words, "--json-progress"]
    waiting = [sys.executable, "-c", STOPS_AT_25, *call]
    with subprocess.Popen(waiting, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if json.loads(line).get("done", 0) >= 25:
                process.send_signal(how)
                break
        rest = process.communicate(timeout=900)[0]
    assert "path" not in rest
    assert process.returncode == (143 if how == signal.SIGTERM else -signal.SIGKILL)
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == [".new.unfinished.safetensors", "pairs"]
    again = [sys.executable, "-m", "napari_stemprior", *call, "--resume"]
    done = subprocess.run(again, capture_output=True, text=True, timeout=900, check=True)
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert next(s for s in steps if "loss" in s)["done"] >= 21  # it did not begin anew
    assert "path" in steps[-1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new.safetensors", "pairs"]
