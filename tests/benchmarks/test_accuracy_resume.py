from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from answers import answers

from benchmarks.accuracy import accuracy
from benchmarks.accuracy.accuracy import Comparison, joined, read, remaining, write
from benchmarks.accuracy.statistics import LOG, OURS, STAMP

ITEMS = [SimpleNamespace(name="0 a perfect"), SimpleNamespace(name="1 b perfect")]


def test_what_is_there_is_not_measured_again() -> None:
    comparison = Comparison(methods=(LOG, STAMP))
    done = answers(LOG, "classical", {300: 0.5}, views={"0 a perfect": ("a", "perfect")})
    kept, work = remaining(comparison, ITEMS, [300.0], 1, done)  # type: ignore[arg-type]
    assert len(kept) == 1
    assert work == {
        "0 a perfect": [(300.0, 0, STAMP)],
        "1 b perfect": [(300.0, 0, LOG), (300.0, 0, STAMP)],
    }


def test_answers_of_other_weights_are_measured_anew(tmp_path: Path) -> None:
    weights = tmp_path / "mine.safetensors"
    weights.write_bytes(b"first")
    comparison = Comparison(methods=(OURS,), model=str(weights))
    ((kind, source),) = comparison.sources().values()
    assert (kind, source.split()[0]) == ("network", "mine")
    done = pd.concat(
        [
            answers(OURS, "network", {300: 0.5}, source=source),
            answers("other", "rival", {300: 0.5}, source="x"),
        ]
    )
    assert remaining(comparison, ITEMS[:1], [300.0], 1, done)[1] == {}  # type: ignore[arg-type]
    weights.write_bytes(b"second")
    kept, work = remaining(comparison, ITEMS[:1], [300.0], 1, done)  # type: ignore[arg-type]
    assert set(kept["method"]) == {"other"}
    assert work == {"0 a perfect": [(300.0, 0, OURS)]}


def test_a_rival_is_asked_for_what_its_file_holds(tmp_path: Path) -> None:
    np.savez(tmp_path / "rival.npz", **{"0 a perfect|300|0": np.zeros((1, 2))})
    comparison = Comparison(methods=(), rivals={"AtomAI": tmp_path / "rival.npz"})
    _, work = remaining(comparison, ITEMS, [300.0, 1000.0], 2, read(tmp_path))  # type: ignore[arg-type]
    assert work == {"0 a perfect": [(300.0, 0, "AtomAI")]}
    assert comparison.unanswered(ITEMS, [300.0, 1000.0], 2) == {"AtomAI": 7}  # type: ignore[arg-type]
    assert comparison.unanswered(ITEMS[:1], [300.0], 1) == {}  # type: ignore[arg-type]


def test_of_two_answers_the_later_counts() -> None:
    first, second = answers(LOG, "classical", {300: 0.5, 1000: 0.6}), answers(LOG, "classical", {300: 0.7})
    both = joined([first, pd.DataFrame(), second])
    assert len(both) == len(first)
    assert both.groupby("dose")["f1"].mean().to_dict() == pytest.approx({300: 0.7, 1000: 0.6})


def test_the_file_gives_back_what_was_written(tmp_path: Path) -> None:
    rows = answers(LOG, "classical", {300: 0.5}, chamfer_angstrom=np.inf)
    write(rows, tmp_path / "new")
    pd.testing.assert_frame_equal(read(tmp_path / "new"), rows, check_dtype=False)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["accuracy.csv"]


def test_a_table_of_an_older_version_is_refused(tmp_path: Path) -> None:
    answers(LOG, "classical", {300: 0.5}).drop(columns=["source", "kind"]).to_csv(tmp_path / "accuracy.csv")
    with pytest.raises(SystemExit, match="older version"):
        read(tmp_path)


def test_a_run_that_is_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def measured(_: Comparison, work: dict[str, object], workers: int) -> Iterator[pd.DataFrame]:
        for view in work:
            asked.append(view)
            if asked == ["0 a perfect", "1 b perfect"]:
                raise KeyboardInterrupt
            yield answers(LOG, "classical", {1e3: 0.5, 1e4: 0.6}, views={view: (view[2], "perfect")})

    monkeypatch.setattr(accuracy, "items", lambda chosen: ITEMS)
    monkeypatch.setattr(accuracy, "measured", measured)
    command = ["accuracy.py", "--methods", "log", "--quick", "-o", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(KeyboardInterrupt):
        accuracy.main()
    assert set(read(tmp_path)["item"]) == {"0 a perfect"}
    accuracy.main()
    assert asked == ["0 a perfect", "1 b perfect", "1 b perfect"]
    assert "| LoG | 0.550 (0.550 to 0.550) | 4 |" in (tmp_path / "accuracy.md").read_text(encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["accuracy.py", "--join", str(tmp_path), "-o", str(tmp_path / "all")])
    accuracy.main()
    assert len(read(tmp_path / "all")) == 4
    assert len(asked) == 3


def test_one_view_is_scored() -> None:
    rows = accuracy.measure(
        Comparison(methods=(LOG, STAMP)), "00 wse2 perfect", [(1e4, 0, LOG), (1e3, 0, STAMP)]
    )
    assert rows[["method", "dose", "kind"]].to_numpy().tolist() == [
        [LOG, 1e4, "classical"],
        [STAMP, 1e3, "classical"],
    ]
    assert (rows["f1"] > 0.98).all()
    assert rows["ece"].isna().all()
    # peaks have no element, a stamped column has that of its site
    assert rows["element_f1"].isna().tolist() == [True, False]
