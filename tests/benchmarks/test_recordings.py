"""The recordings benchmark as a command: what it asks for, resumes and reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.recording import real_micrographs as real
from benchmarks.recording.artefacts import CLEAN, STRONG, WEAK
from benchmarks.recording.recordings import KEYS, VIEWS, collect, read, wanted
from benchmarks.recording.report import against_clean, report
from benchmarks.validation.validation_set import items
from napari_stemprior.atoms import AtomTable


def _row(key: tuple, f1: float = 0.9, **others: Any) -> dict[str, Any]:
    return dict(zip(KEYS, key, strict=True)) | {
        "specimen": "wse2",
        "f1": f1,
        "placed": True,
        "reservation": "",
        "message": "",
        "vacancies": 5,
        "filled": 1,
        "on_mask": 0,
        "seconds": 1.0,
        **others,
    }


def test_every_view_is_there() -> None:
    for name in VIEWS:
        (item,) = items(name)
        assert item.scene in ("perfect", "vacancies")  # what `recorded` can draw


def test_a_run_that_is_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    todo = wanted(("JPEG",), ["04 a"], (1e3, 3e3), 1)
    assert len(todo) == 6
    asked: list[tuple] = []

    def some(left: list[tuple]) -> Iterator[dict[str, Any]]:
        for key in left:
            if len(asked) == 2:
                raise KeyboardInterrupt
            asked.append(key)
            yield _row(key)

    def all_of(left: list[tuple]) -> Iterator[dict[str, Any]]:
        for key in left:
            asked.append(key)
            yield _row(key)

    path = tmp_path / "recordings.csv"
    with pytest.raises(KeyboardInterrupt):
        collect(path, KEYS, todo, "a", some, False)
    assert len(read(path, KEYS)) == 2
    assert len(collect(path, KEYS, todo, "a", all_of, False)) == 6
    assert asked == todo
    collect(path, KEYS, todo, "a", all_of, False)
    assert len(asked) == 6
    collect(path, KEYS, todo[:1], "a", all_of, True)
    assert len(asked) == 7
    assert len(read(path, KEYS)) == 6
    collect(path, KEYS, todo, "other weights", all_of, False)
    assert len(asked) == 13


def test_the_report_compares_with_the_clean_recording() -> None:
    rows = pd.DataFrame(
        [
            _row(("a", 3e3, 0, CLEAN, ""), 0.95),
            _row(("a", 3e3, 0, "JPEG", WEAK), 0.945),
            _row(("a", 3e3, 0, "JPEG", STRONG), 0.90, placed=False, message="Error: no", on_mask=7),
        ]
    )
    assert against_clean(rows)["lost"].to_numpy() == pytest.approx([0.005, 0.05])
    text = report(rows, pd.DataFrame(), ["x was skipped."])
    assert "| JPEG | weak | 1 of 1 | – | 0.945 | +0.0050 | +0.0050 | 1 of 5 | 1 of 5 | 0 |" in text
    assert "| JPEG | weak | +0.0050 | 1 of 1 | yes |" in text
    assert "| JPEG | strong | +0.0500 | 0 of 1 | **no** |" in text
    assert "- 1 ×: Error: no" in text
    assert "x was skipped." in text


def test_boxes_count_what_lies_in_them() -> None:
    box = real.Box(10, 20, 5, 8, 2, 0)
    assert box.count(np.array([(10, 20), (14.9, 27.9), (15, 21), (12, 28)])) == 2
    for micrograph in real.MICROGRAPHS:
        assert len(real.boxes(micrograph.file)) == 2


def test_faults_leave_the_boxes_of_a_real_micrograph_alone() -> None:
    micrograph = real.MICROGRAPHS[-1]
    path = real.find(micrograph, Path("nowhere"))
    assert path is not None
    plain = real.variant(micrograph, path, real.AS_IT_IS)
    for name in real.VARIANTS:
        found = real.variant(micrograph, path, name)
        for box in real.boxes(micrograph.file):
            part = np.s_[int(box.y0) : int(box.y0 + box.height), int(box.x0) : int(box.x0 + box.width)]
            np.testing.assert_array_equal(found.image[part], plain.image[part])
            assert not found.bad[part].any()


def test_columns_that_cannot_be_seen_are_not_counted() -> None:
    micrograph = next(m for m in real.MICROGRAPHS if m.unseen)
    (first, _) = real.boxes(micrograph.file)
    middle = (first.y0 + 5, first.x0 + 5)
    found = AtomTable.from_positions([middle, middle, middle], 0.077, element=["Sr", "O", "?"])
    assert [count for _, count in real.counts(found, micrograph)] == [2, 0]
