"""The command line without its process and its network: a segmenter that answers at once."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest

from napari_stemprior.atoms import AtomTable
from napari_stemprior.commands import main as cli
from napari_stemprior.errors import DeviceError, ModelError
from napari_stemprior.progress import Progress
from napari_stemprior.recording import prepare
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import StructurePrior, built_in

#: Files beside the atoms where there are several images.
TOGETHER = ("results.csv", "results.jsonl")


class FakeSegmenter:
    """Answers with the lattice at a fixed place, and remembers what it was asked."""

    asked: list[dict[str, object]]

    def __init__(self, model: str | Path = "small", device: str = "auto", precision: str = "auto") -> None:
        if model == "none":
            raise ModelError("There is no model 'none'; choose small.")
        if device == "quantum":
            raise DeviceError("There is no device 'quantum'; choose one of auto, cpu.")
        self.fit = None

    def set_image(self, image: np.ndarray, pixel_size: float) -> None:
        self.shape, self.pixel_size = image.shape, pixel_size
        self.prepared = prepare(image)

    def steps(
        self, prior: StructurePrior | None, *, trust: float = 1.0, fit: LatticeFit | None = None
    ) -> Generator[Progress, None, AtomTable]:
        type(self).asked.append({"prior": prior, "trust": trust, "pixel_size": self.pixel_size})
        yield Progress(0, 2, "fitting the lattice")
        yield Progress(1, 2, "predicting")
        if prior is None:
            return AtomTable.from_positions([(3.25, 7.5)], self.pixel_size)
        yx, index = Pose.from_angle(0, self.pixel_size).columns(prior, self.shape)
        columns = [prior.columns[i] for i in index]
        return AtomTable.from_positions(
            yx,
            self.pixel_size,
            element=[c.element for c in columns],
            site=[c.site for c in columns],
            provenance={"prior_fits": prior.name != "W [111]"},
        )


def lattice_image(name: str = "MoS2", side: int = 96, pixel_size: float = 0.2) -> np.ndarray:
    """Gaussian columns with a little noise, uint8."""
    prior = built_in(name)
    yx, index = Pose.from_angle(7, pixel_size, (3, 5)).columns(prior, (side, side), margin=8)
    y, x = np.mgrid[:side, :side]
    image = np.zeros((side, side))
    for (py, px), weight in zip(yx, prior.z_weights[index] / prior.z_weights.max(), strict=True):
        image += weight * np.exp(-((y - py) ** 2 + (x - px) ** 2) * pixel_size**2 / (2 * 0.4**2))
    image += np.random.default_rng(0).normal(0, 0.03, image.shape)
    return np.clip(60 + 120 * image, 0, 255).astype(np.uint8)


def answer_with(monkeypatch: pytest.MonkeyPatch, fake: type[FakeSegmenter], table: AtomTable) -> None:
    """Let the fake answer with one table."""

    def steps(
        self: FakeSegmenter,
        prior: StructurePrior | None,
        *,
        trust: float = 1.0,
        fit: LatticeFit | None = None,
    ) -> Generator[Progress, None, AtomTable]:
        yield Progress(0, 1, "predicting")
        return dataclasses.replace(table, provenance=dict(table.provenance))

    monkeypatch.setattr(fake, "steps", steps)


def run(*arguments: object) -> int:
    try:
        return cli.main([str(a) for a in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


def one_sentence(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the only line on stderr; nothing may stand on stdout."""
    captured = capsys.readouterr()
    lines = captured.err.strip().splitlines()
    assert captured.out == ""
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("stemprior")
    return lines[0]


def stemprior(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "napari_stemprior", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
