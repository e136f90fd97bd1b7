"""Step 6 writes every format of the list, with the vacancies that a person marked."""

import pytest
from desk_fakes import PIXEL_SIZE, SHAPE, add_image

from napari_stemprior.atoms import AtomTable
from napari_stemprior.io import FORMATS, TrainingPairDataset, read_atoms
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.panels.export_panel import ExportPanel
from napari_stemprior.structure import built_in
from napari_stemprior.workflow.segment import Segmentation


@pytest.fixture
def panel(viewer, session, qtbot):
    image = add_image(viewer)
    table = AtomTable.from_positions(
        [(10, 70), (30.5, 20.25), (60, 44)],
        PIXEL_SIZE,
        provenance={"model": "small", "trust": 1.0, "pose": {"origin": [1.0, 2.0]}},
        element=["Mo", "S", "Mo"],
        status=["ok", "ok", "vacancy"],
        source=["model", "model", "manual"],
    )
    session.set_prior(built_in("MoS2"))
    session.take_segmentation(image, Segmentation(table))
    runner = JobRunner()
    panel = ExportPanel(session, runner)
    qtbot.addWidget(panel)
    panel.wait = lambda: qtbot.waitUntil(lambda: not runner.busy, timeout=60_000)
    return panel


@pytest.mark.parametrize("form", FORMATS, ids=lambda f: f.key)
def test_every_format_is_offered_and_written(panel, tmp_path, form):
    panel.format.setCurrentText(form.name)
    panel.write(tmp_path / "atoms")  # the ending is added
    panel.wait()
    assert [p.name for p in tmp_path.iterdir()] == [f"atoms{form.suffix}"]
    assert "Saved" in panel.done.text()


def test_vacancies_and_provenance_leave_with_the_atoms(panel, tmp_path):
    panel.write(tmp_path / "a.csv")
    panel.wait()
    assert read_atoms(tmp_path / "a.csv").rows["status"].tolist() == ["ok", "ok", "vacancy"]
    panel.write_pair(tmp_path / "pairs")
    panel.wait()
    (pair,) = TrainingPairDataset(tmp_path / "pairs")
    assert len(pair.atoms) == 2
    assert len(pair.vacancies) == 1
    assert pair.reviewed.shape == SHAPE
    told = pair.provenance
    assert len(told["network"]["sha256"]) == 64
    assert told["prior"]["name"] == "MoS2"
    assert told["pose"] == {"origin": [1.0, 2.0]}
    assert told["settings"]["trust"] == 1.0
    assert told["editor"]
    assert told["time"]


def test_atoms_that_the_threshold_hides_leave_files_but_not_pairs(panel, tmp_path):
    editor = panel.session.editor
    editor.threshold = 1.5
    panel.write(tmp_path / "a.csv")
    panel.wait()
    assert "ok" not in read_atoms(tmp_path / "a.csv").rows["status"].tolist()
    panel.write_pair(tmp_path / "pairs")
    panel.wait()
    (pair,) = TrainingPairDataset(tmp_path / "pairs")
    assert len(pair.atoms) == 2
