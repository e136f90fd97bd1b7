"""Images of a desk measured as one series: what stops one stops no other, and what is written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import ExportError, MicrographError
from napari_stemprior.io import Micrograph
from napari_stemprior.progress import drain
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import built_in
from napari_stemprior.structure.lattice_sites import LatticeSites
from napari_stemprior.workflow.measure import MeasureSettings
from napari_stemprior.workflow.measure_all import measure_all, series_of, write_all
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.save_all import FinishedImage

SIZE, SHAPE = 0.2, (110, 120)
PRIOR = built_in("MoS2")
#: Å (x, y) by which each frame has drifted.
DRIFT = ((0.0, 0.0), (0.5, -0.2), (1.0, -0.4))
ONLY_PLACES = MeasureSettings(False, False, False, False, False)


def _pose(number):
    return Pose.from_angle(7.0, SIZE, np.array([5.0, 9.0]) + np.array(DRIFT[number][::-1]) / SIZE, score=0.9)


def _fit(number):
    yx, column = _pose(number).columns(PRIOR, SHAPE)
    sites = LatticeSites.of(PRIOR.columns, yx, column, np.ones(len(yx)))
    return LatticeFit(PRIOR, (_pose(number),), sites=sites)


def _frame(number, **changes):
    """A frame of a stack whose fit is known, so that nothing is fitted."""
    fit = _fit(number)
    column = fit.sites.column
    table = AtomTable.from_positions(fit.sites.yx, SIZE, element=[PRIOR.columns[i].element for i in column])
    image = np.random.default_rng(number).normal(5, 1, SHAPE).astype(np.float32)
    path = Path("scan.tif")
    micrograph = Micrograph(image, SIZE, f"scan [{number}]", path)
    known = FinishedImage(
        micrograph.name, path, number, len(DRIFT), lambda: micrograph, table, PRIOR, fit=fit
    )
    return replace(known, **changes)


def _measured(images, settings=ONLY_PLACES):
    done = []
    told = []
    series = drain(measure_all(Operations(), images, PRIOR, settings, done.append), told.append)
    return series, done, told


def test_the_drift_of_frames_is_found_from_the_atoms_in_memory():
    series, done, told = _measured([_frame(number) for number in range(3)])
    assert series.table["frame"].tolist() == [0, 1, 2]
    assert series.table["image"].tolist() == ["scan.tif"] * 3
    np.testing.assert_allclose(series.table[["drift_x_angstrom", "drift_y_angstrom"]], DRIFT, atol=1e-6)
    assert [one.image.name for one in done] == ["scan [0]", "scan [1]", "scan [2]"]
    assert {(p.done, p.total) for p in told} == {(0, 3), (1, 3), (2, 3), (3, 3)}
    assert any(p.stage.startswith("scan [1]: ") for p in told)


def test_an_edited_table_is_what_is_measured():
    frame = _frame(1)
    fewer = frame.table.where(np.arange(len(frame.table)) != 7)
    series, _, _ = _measured([_frame(0), replace(frame, table=fewer)])
    assert series.table["atoms"].diff()[1] == series.table["atoms"][1] - series.table["atoms"][0]
    assert series.table["atoms"][1] == len(frame.table) - 1


def _cannot_be_read():
    raise MicrographError("scan.tif: the file is gone.")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"table": None}, "segment this image first"),
        ({"table": None, "error": "scan [1]: no such network."}, "no such network"),
        ({"load": _cannot_be_read}, "the file is gone"),
        ({"prior": built_in("WS2")}, "its prior is WS2 and the series is measured against MoS2"),
    ],
)
def test_a_frame_that_cannot_be_measured_is_named_and_the_others_go_on(changes, words):
    series, done, _ = _measured([_frame(0), _frame(1, **changes), _frame(2)])
    assert series.table["status"].tolist() == ["measured", "failed", "measured"]
    reason = series.table["reason"][1]
    assert words in reason
    assert reason.startswith("scan")
    assert reason.count("scan [1]:") <= 1
    assert done[1].found is None
    assert series.table["drift_x_angstrom"][2] == pytest.approx(1.0, abs=1e-6)


def test_atoms_in_the_mask_are_left_out():
    frame = _frame(0)
    mask = np.zeros(SHAPE, bool)
    mask[:, :60] = True
    micrograph = replace(frame.load(), excluded=mask)
    follow = Operations(follow_lattice=lambda image, size, fit: fit)
    done = []
    masked = replace(frame, load=lambda: micrograph)
    drain(measure_all(follow, [masked, _frame(1)], PRIOR, ONLY_PLACES, done.append))
    assert done[0].found.atoms.yx[:, 1].min() > 59
    assert len(done[0].found.atoms) < 0.6 * len(done[1].found.atoms)


def test_what_was_measured_before_it_was_closed_stays():
    done = []
    work = measure_all(Operations(), [_frame(n) for n in range(3)], PRIOR, ONLY_PLACES, done.append)
    while len(done) < 2:
        next(work)
    work.close()
    assert series_of(done).table["status"].tolist() == ["measured", "measured"]


def test_the_files_are_those_of_the_command(tmp_path):
    series, done, _ = _measured([_frame(0), _frame(1, table=None), _frame(2)])
    written = drain(write_all(done, series, tmp_path / "out", ()))
    names = {path.name for path in written}
    assert {"series.csv", "series_atoms.csv", "scan_000_columns.csv", "scan_002_report.html"} <= names
    assert not [name for name in names if name.startswith("scan_001")]
    table = pd.read_csv(tmp_path / "out" / "series.csv")
    assert table["status"].tolist() == ["measured", "failed", "measured"]
    assert set(names) == {path.name for path in (tmp_path / "out").iterdir()}
    assert drain(write_all(done, series, tmp_path / "out", ())) == written, "its own files are replaced"


def test_a_foreign_table_is_not_replaced(tmp_path):
    series, done, _ = _measured([_frame(0), _frame(1)])
    (tmp_path / "series.csv").write_text("mine\n")
    with pytest.raises(ExportError, match=r"series.csv"):
        drain(write_all(done, series, tmp_path, ()))
    assert [path.name for path in tmp_path.iterdir()] == ["series.csv"]
