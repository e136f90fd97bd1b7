"""Step 8: what it asks, what it refuses, and how its numbers and the atoms on the image belong together."""

import json

import numpy as np
import pytest
from desk_bench import Desk, said, why_not
from desk_fakes import PIXEL_SIZE, fake_fit_lattice
from napari.layers import Image, Points, Vectors
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs
from napari_stemprior.qt.layers.measurement_layers import map_layer
from napari_stemprior.structure import built_in

SIDE = 160


def crystal_image():
    """MoS2 where the fakes place it, bright columns with noise."""
    prior = built_in("MoS2")
    yx, column = fake_fit_lattice(None, PIXEL_SIZE, prior).pose.columns(prior, (SIDE, SIDE))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    image = np.random.default_rng(0).normal(1, 0.05, (SIDE, SIDE))
    for (y, x), which in zip(yx, column, strict=True):
        high = 3.0 if prior.columns[which].element == "Mo" else 1.0
        image += high * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 2.2**2))
    return image.astype(np.float32)


@pytest.fixture
def desk(qtbot, viewer):
    desk = Desk(qtbot, viewer, fit_lattice=fake_fit_lattice, follow_lattice=lambda image, size, fit: fit)
    data, meta, _ = layer_from_micrographs([Micrograph(crystal_image(), PIXEL_SIZE, "flake")])[0]
    viewer.add_layer(Image(data, **meta))
    desk.prior_panel.pick("MoS2")
    desk.press(desk.segment_panel.segment)
    yield desk
    desk.measure_panel.close_views()


@pytest.fixture
def measured(desk):
    desk.press(desk.measure_panel.measure)
    panel = desk.measure_panel
    assert panel.measured is not None, said()
    desk.bot.waitUntil(lambda: map_layer(desk.viewer, desk.session.image) is not None)
    return desk


def test_it_says_what_is_missing(qtbot, viewer):
    panel = Desk(qtbot, viewer).measure_panel
    assert "Open a micrograph" in why_not(panel.measure)
    assert "Measure first" in why_not(panel.box.figures)
    assert "Measure first" in why_not(panel.box.report)


def test_half_a_pair_of_sites_is_refused(desk):
    panel = desk.measure_panel
    panel.questions.centre.setCurrentText("Mo")
    assert "both sites of the off-centring" in why_not(panel.measure)
    panel.questions.cage.setCurrentText("S")
    assert panel.measure.isEnabled()


@pytest.mark.parametrize(
    ("choose", "words"),
    [
        (lambda p: p.reference.setCurrentText("Drawn region"), "Draw a rectangle"),
        (lambda p: p.questions.statistics.setChecked(True), "Draw a rectangle"),
        (lambda p: p.questions.profiles.setChecked(True), "Draw a line"),
        (lambda p: p.questions.picked.setChecked(True), "Select two or three atoms"),
    ],
)
def test_what_must_be_drawn_or_selected_first_is_said(desk, choose, words):
    choose(desk.measure_panel)
    desk.measure_panel.measure.click()
    assert words in said()[-1]
    assert not desk.runner.busy
    assert desk.measure_panel.measured is None


def test_a_reference_region_beside_the_crystal_is_refused_in_a_sentence(desk):
    panel = desk.measure_panel
    panel.draw.click()
    panel._layer.add_rectangles(np.array([[0.0, 0.0], [0.0, 4.0], [4.0, 4.0], [4.0, 0.0]]))
    panel.reference.setCurrentText("Drawn region")
    desk.press(panel.measure)
    assert "reference region holds" in said()[-1]
    assert panel.measured is None


def test_maps_arrows_and_numbers_lie_on_the_image(measured):
    panel, viewer = measured.measure_panel, measured.viewer
    image = measured.session.image
    text = panel.box.text.text()
    assert "atoms on sites" in text
    assert "Strain scatters" in text
    names = [view.name for view in panel.measured.views]
    assert names[0] == "εxx"
    layer = map_layer(viewer, image)
    assert layer.name == "εxx (%)"
    assert layer.colorbar.visible
    np.testing.assert_allclose(layer.extent.world[1], image.extent.world[1], atol=1e-6)
    assert tuple(map(str, layer.units)) == tuple(map(str, image.units))
    arrows = panel.box.show_view(panel.measured.views[names.index("displacements")])
    assert isinstance(arrows, Vectors)
    assert panel.box.gain.value() == pytest.approx(arrows.length)
    panel.box.gain.setValue(7)
    assert arrows.length == 7
    assert arrows.name.endswith("× 7")
    rotation = panel.box.show_view(panel.measured.views[names.index("rotation")])
    assert rotation is layer, "maps cover each other: one layer shows them all"
    assert layer.name == "rotation (°)"
    low, high = panel.box.range.minimum() / 4, panel.box.range.maximum() / 3
    panel.box.range.setValue((low, high))
    np.testing.assert_allclose(layer.contrast_limits, (low, high), atol=1e-6)


def test_a_range_of_the_histogram_selects_atoms_and_selected_atoms_are_marked_in_it(measured):
    box, editor = measured.measure_panel.box.intensities, measured.session.editor
    assert box.site.count() == 2
    box.site.setCurrentText("Mo1")
    histogram = box.histogram
    histogram.resize(300, 120)
    middle = float(np.median(histogram.values))
    y = histogram.height() // 2
    QTest.mousePress(histogram, Qt.MouseButton.LeftButton, pos=QPoint(round(histogram.place_of(middle)), y))
    QTest.mouseMove(histogram, QPoint(290, y))
    QTest.mouseRelease(histogram, Qt.MouseButton.LeftButton, pos=QPoint(299, y))
    chosen = set(editor.rows["atom_id"].iloc[editor.selected_rows])
    known = dict(zip(box._ids.tolist(), box._values.tolist(), strict=True))
    above = {one for one, value in known.items() if value >= histogram.range[0]}
    assert chosen == above
    assert 0 < len(chosen) < len(known)
    box.species.setCurrentText("S")
    box.set_species.click()
    assert set(editor.rows.loc[editor.rows["atom_id"].isin(above), "element"]) == {"S"}
    assert "changed since" in measured.sections["8 Measure"].state
    seen = next(one for one, value in known.items() if np.isfinite(value))
    editor.select(np.flatnonzero(editor.rows["atom_id"] == seen).tolist())
    np.testing.assert_allclose(histogram.marked, [known[seen]])
    QTest.mouseClick(histogram, Qt.MouseButton.LeftButton, pos=QPoint(20, y))
    assert editor.selected_rows == []


def test_a_row_of_the_table_is_shown_on_the_image(measured):
    box, editor = measured.measure_panel.box, measured.session.editor
    box.table.click()
    (window,) = box._windows
    view = window.views[0]
    assert view.model().rowCount() == len(measured.measure_panel.measured.found.columns)
    view.clicked.emit(view.model().index(5, 0))
    chosen = editor.rows["atom_id"].iloc[editor.selected_rows].tolist()
    assert chosen == [measured.measure_panel.measured.found.columns["atom_id"].iloc[5]]
    texts = [view.model().data(view.model().index(5, i)) for i in range(view.model().columnCount())]
    assert "nan" not in texts


def test_figures_and_report_are_those_of_the_command(measured, tmp_path):
    panel = measured.measure_panel
    panel.box.figures.click()
    measured.finish()
    (window,) = panel.box._windows
    names = [one.name for one in window.figures]
    assert "strain" in names
    assert window.caption.text()
    window._save(window.shown, tmp_path / "one.svg")
    measured.finish()
    assert (tmp_path / "one.svg").read_text().lstrip().startswith("<?xml")
    panel.write_report(tmp_path / "out")
    measured.finish()
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"flake_columns.csv", "flake_results.json", "flake_report.html", "flake_strain.png"} <= written
    assert json.loads((tmp_path / "out" / "flake_results.json").read_text())["prior"] == "MoS2"
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "flake_columns.csv").write_text("mine")
    panel.write_report(tmp_path / "taken")
    measured.finish()
    assert "stemprior did not write" in said()[-1]
    assert (tmp_path / "taken" / "flake_columns.csv").read_text() == "mine"


def test_measuring_again_replaces_the_layers_and_another_image_has_none(measured):
    panel, viewer = measured.measure_panel, measured.viewer
    names = [view.name for view in panel.measured.views]
    panel.box.show_view(panel.measured.views[names.index("displacements")])
    before = len(viewer.layers)
    measured.press(panel.measure)
    measured.bot.waitUntil(lambda: len(viewer.layers) == before)
    assert sum(isinstance(layer, Vectors) for layer in viewer.layers) == 1
    data, meta, _ = layer_from_micrographs([Micrograph(crystal_image(), PIXEL_SIZE, "other")])[0]
    viewer.add_layer(Image(data, **meta))
    assert measured.session.image.name == "other"
    assert panel.measured is None
    assert panel.box.text.isHidden()


def test_defects_are_marked_by_kind(desk):
    editor, panel = desk.session.editor, desk.measure_panel
    inner = np.flatnonzero((np.abs(editor.yx - SIDE / 2) < SIDE / 4).all(axis=1))
    editor.set_status(inner[:2].tolist(), "vacancy")
    desk.press(panel.measure)
    found = panel.measured.found.defects.of("vacancy")
    assert len(found) == 2
    view = next(one for one in panel.measured.views if one.name == "defects")
    layer = panel.box.show_view(view)
    assert isinstance(layer, Points)
    assert "vacancy" in panel.box.about.text()
    assert not layer.editable


def test_a_drawn_line_and_selected_atoms_are_measured(desk):
    panel, editor = desk.measure_panel, desk.session.editor
    panel.draw.click()
    panel._layer.add_lines(np.array([[20.0, 20.0], [20.0, 120.0]]))
    panel.questions.profiles.setChecked(True)
    panel.questions.picked.setChecked(True)
    inner = np.flatnonzero((np.abs(editor.yx - SIDE / 2) < SIDE / 4).all(axis=1))
    editor.select(inner[:2].tolist())
    desk.press(panel.measure)
    found = panel.measured.found
    assert found.profiles[0].position[-1] == pytest.approx(100 * PIXEL_SIZE, abs=2 * PIXEL_SIZE)
    truth = np.linalg.norm(np.diff(editor.yx[inner[:2]], axis=0)) * PIXEL_SIZE
    assert found.picked[0].distance[0] == pytest.approx(truth)
    assert "Atoms " in panel.box.text.text()
