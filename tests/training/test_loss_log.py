"""The log of losses across a run that was stopped and resumed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from napari_stemprior.training.loss_log import append_losses, forget_after


def test_a_resumed_run_writes_no_step_twice(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for step in (20, 40, 60):
        append_losses(path, step, 16 * step, float(step), 1e-3, {"total": 1 / step})
    forget_after(path, 50)
    append_losses(path, 60, 960, 61.0, 1e-3, {"total": 0.5})
    log = pd.read_csv(path)
    assert log["step"].tolist() == [20, 40, 60]
    assert log["total"].tolist() == [0.05, 0.025, 0.5]
    assert [p.name for p in tmp_path.iterdir()] == ["log.csv"]


def test_nothing_is_forgotten_of_a_log_that_ends_earlier_or_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    forget_after(path, 10)
    assert not path.exists()
    append_losses(path, 20, 320, 1.0, 1e-3, {"total": 1.0})
    before = path.read_bytes()
    forget_after(path, 20)
    assert path.read_bytes() == before


def test_a_quote_in_a_damaged_line_swallows_no_other(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for step in (20, 40, 60):
        append_losses(path, step, 16 * step, float(step), 1e-3, {"total": 1 / step})
    path.write_bytes(path.read_bytes().replace(b"learning_rate", b'"'))
    forget_after(path, 50)
    assert [line.split(b",")[0] for line in path.read_bytes().splitlines()] == [b"step", b"20", b"40"]
