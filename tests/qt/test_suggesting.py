"""Choosing a prior: searched, suggested, stacked."""

import threading

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, POSE, SHAPE, add_image, fake_operations
from napari.layers import Image
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from napari_stemprior.progress import Progress
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.view import pixels_in_view
from napari_stemprior.qt.panels.prior_panel import PriorPanel
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.column_table import ColumnTable, rows_of
from napari_stemprior.qt.widgets.fit_text import fit_sentence, second_lattice
from napari_stemprior.qt.widgets.prior_choice import PriorCombo, StackChoice
from napari_stemprior.qt.widgets.suggestions import SuggestionList
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.registration.multilayer.stack_fit import StackPose
from napari_stemprior.registration.multilayer.stack_lattice import stack_lattice
from napari_stemprior.registration.ranking import Suggestion
from napari_stemprior.structure import built_in, load_prior, names
from napari_stemprior.workflow.prior_groups import prior_groups


@pytest.fixture
def make(qtbot, viewer):
    panels = []

    def build(**changes):
        session = Session(viewer, fake_operations(**changes))
        panel = PriorPanel(session, JobRunner())
        qtbot.addWidget(panel)
        panels.append(panel)
        notification_manager.records.clear()
        return panel

    def finish(panel):
        qtbot.waitUntil(lambda: not panel.runner.busy, timeout=60_000)

    build.finish = finish
    yield build
    for panel in panels:
        finish(panel)
        panel.manual_fit.close_mode()
        panel.session.close()


def said():
    return [n.message for n in notification_manager.records]


def test_every_entry_of_the_library_is_in_one_group():
    groups = prior_groups()
    grouped = [name for group in groups.values() for name in group]
    assert sorted(grouped) == sorted(names())
    assert "MoS2" in groups["Layers"]
    assert "SrTiO3 [001]" in groups["Oxides"]


def test_headings_cannot_be_chosen(qtbot):
    combo = PriorCombo({"Layers": ["MoS2"], "Metals": ["Au [001]"]}, "search")
    qtbot.addWidget(combo)
    seen = []
    combo.chosen.connect(seen.append)
    heading = combo.findText("METALS")
    assert heading >= 0
    assert not combo.model().item(heading).flags() & Qt.ItemFlag.ItemIsEnabled
    combo.activated.emit(heading)
    combo.activated.emit(combo.findText("MoS2"))
    assert seen == ["MoS2"]


def test_a_stack_is_named_as_the_structure_room_reads_it(qtbot):
    choice = StackChoice(["MoS2", "WS2"])
    qtbot.addWidget(choice)
    assert not choice.build.isEnabled()
    choice.upper_layer.setCurrentText("MoS2")
    choice.lower_layer.setCurrentText("WS2")
    choice.twist.setValue(-3.1)
    seen = []
    choice.chosen.connect(seen.append)
    choice.build.click()
    assert [p.name for p in load_prior(seen[0]).layers] == ["MoS2", "WS2"]
    assert load_prior(seen[0]).twists == (0.0, pytest.approx(-3.1))
    choice.how.setCurrentText("AB")
    assert not choice.build.isEnabled()
    assert "one crystal" in choice.build.toolTip()
    choice.lower_layer.setCurrentText("")
    choice.build.click()
    assert set(load_prior(seen[1]).layer_numbers) == {0, 1}


def test_a_suggestion_is_taken_with_its_lattice_and_pixel_size(make, viewer, qtbot):
    panel = make()
    viewer.add_layer(Image(np.random.default_rng(0).random(SHAPE)))
    assert panel.session.pixel_size is None
    panel.suggest.click()
    make.finish(panel)
    assert panel.suggestions.rowCount() == 3
    assert panel.suggestions.item(1, 0).text().startswith("≈ "), "two that the image does not tell apart"
    best = names()[-1]
    assert best in said()[-1]
    panel.suggestions.cellClicked.emit(0, 0)
    assert panel.session.prior.name == best
    assert panel.session.pixel_size == pytest.approx(PIXEL_SIZE)
    assert panel.session.known_fit.pose is POSE
    qtbot.waitUntil(lambda: panel.session.overlay in viewer.layers, timeout=60_000)
    make.finish(panel)
    assert panel.session.fit.field is not None, "it follows strain"
    panel.session.choose_image(add_image(viewer, name="second"))
    assert panel.suggestions.isHidden(), "they were for another image"


def test_suggesting_can_be_cancelled(make, viewer, qtbot):
    gate = threading.Event()

    def slow(image, size, priors):
        yield Progress(0, 2, "Ranking")
        gate.wait(60)
        yield Progress(1, 2, "Ranking")
        return []

    panel = make(rank_priors=slow)
    add_image(viewer)
    panel.suggest.click()
    assert panel.job.ours
    qtbot.waitUntil(lambda: "Ranking" in panel.job.stage.text(), timeout=60_000)
    panel.job.cancel.click()
    assert not panel.job.cancel.isEnabled()
    gate.set()
    make.finish(panel)
    assert not panel.job.ours
    assert panel.suggestions.isHidden()
    assert said() == []


def test_nothing_fits_is_said(make, viewer):
    def nothing(image, size, priors):
        yield Progress(0, 1, "Ranking")
        return []

    panel = make(rank_priors=nothing)
    add_image(viewer)
    panel.suggest.click()
    make.finish(panel)
    assert "No crystal of the library fits" in said()[-1]


def test_a_stack_is_fitted_layer_by_layer(make, viewer):
    below = Pose.from_angle(10.0, PIXEL_SIZE, (3.0, 4.0), score=0.7)
    panel = make(
        load_prior=lambda name, axis: load_prior(name),
        fit_lattice=lambda image, size, stack: stack_lattice(stack, StackPose((POSE, below), 0.7)),
    )
    add_image(viewer)
    panel.pick("MoS2/WS2 twist 3")
    session = panel.session
    assert session.prior.name == panel.names.currentText()
    assert [layer.name for layer in session.prior.layers] == ["MoS2", "WS2"], "prompted with all layers"
    assert panel.columns.rowCount() == 4
    panel.fit.click()
    make.finish(panel)
    lattice = session.fit.lattice(SHAPE)
    np.testing.assert_allclose(
        lattice.yx[lattice.layer == 1], below.columns(session.prior.layers[1], SHAPE)[0]
    )
    assert session.pose.score == 0.7, "a stack fits as well as its worst layer"
    assert len(np.unique(session.overlay.face_color[:, :3], axis=0)) == 2
    assert "WS2 +3.00°" in panel.status.text()
    panel.pick("WS2")
    assert session.prior == load_prior("WS2")
    assert session.overlay is None, "it showed another prior"


def test_the_overlay_follows_strain_and_fades_where_nothing_is_seen(make, viewer):
    panel = make()
    add_image(viewer)
    panel.pick("MoS2")
    panel.fit.click()
    make.finish(panel)
    session = panel.session
    rigid, _ = POSE.columns(session.prior, SHAPE, 1)
    shown = session.overlay.data
    gaps = np.abs(shown[:, None] - (rigid + np.array((0, 0.5)))[None]).sum(-1).min(1)
    np.testing.assert_allclose(gaps, 0, atol=1e-6)
    opacity = session.overlay.face_color[:, 3]
    assert opacity[shown[:, 1] < 40].min() > 0.9
    assert opacity[shown[:, 1] > 95].max() < 0.3


def test_two_lattices_are_said(make, viewer):
    second = Pose.from_angle(POSE.angle + 20, PIXEL_SIZE, score=0.85)
    panel = make(fit_lattice=lambda image, size, prior: LatticeFit(prior, (POSE,), rivals=(second,)))
    add_image(viewer)
    panel.pick("MoS2")
    panel.fit.click()
    make.finish(panel)
    assert "Two lattices of MoS2 fit, turned by 20.0°" in said()[-1]


def test_a_lattice_turned_by_its_symmetry_is_no_second_one():
    def placed(angle, name="MoS2"):
        rival = Pose.from_angle(POSE.angle + angle, PIXEL_SIZE, score=0.9)
        return LatticeFit(built_in(name), (POSE,), rivals=(rival,))

    assert second_lattice(placed(60.2)) is None
    assert second_lattice(placed(-119.8)) is None
    assert second_lattice(placed(30)) is not None
    assert second_lattice(placed(90, "SrTiO3 [001]")) is None
    assert second_lattice(placed(60, "SrTiO3 [001]")) is not None


def test_the_table_shows_what_differs(qtbot):
    table = ColumnTable()
    qtbot.addWidget(table)
    table.set_prior(built_in("SrTiO3 [001]"))
    headers = [table.horizontalHeaderItem(i).text() for i in range(table.columnCount())]
    assert table.isColumnHidden(headers.index("Layer")), "there is one"
    texts = [
        [table.item(row, i).text() for i in range(table.columnCount())] for row in range(table.rowCount())
    ]
    assert texts == [list(row) for row in rows_of(built_in("SrTiO3 [001]"))]
    (titanium,) = [t for t in texts if "Ti" in t[0]]
    assert titanium[headers.index("Occ.")] == "2"
    assert [float(n) for n in titanium[headers.index("a, b")].split(", ")] == pytest.approx([0.5, 0.5])
    table.set_prior(load_prior("MoS2/WS2 twist 3"))
    assert not table.isColumnHidden(headers.index("Layer"))
    table.set_prior(None)
    assert table.rowCount() == 0


DOUBT = "Its columns hardly agree; it may be another crystal."


def doubted(pose):
    return Pose(pose.affine, pose.origin, pose.score, (DOUBT,))


def test_a_reservation_is_marked_in_the_list(qtbot):
    suggestions = SuggestionList()
    qtbot.addWidget(suggestions)
    suggestions.show_suggestions(
        [
            Suggestion("WS2", POSE, PIXEL_SIZE, 0.9, 0.6, 0),
            Suggestion("MoS2", doubted(POSE), PIXEL_SIZE, 0.9, 0.7, 1),
        ]
    )
    assert [suggestions.item(row, 1).text() for row in range(2)] == ["0.90", "0.90 ?"]
    assert "fits with a reservation" in suggestions.item(1, 0).toolTip()
    assert DOUBT in suggestions.item(1, 0).toolTip()
    assert "reservation" not in suggestions.item(0, 0).toolTip()


def test_a_fit_with_a_reservation_says_so(make, viewer):
    panel = make(fit_lattice=lambda image, size, prior: LatticeFit(prior, (doubted(POSE),)))
    states = []
    panel.state_changed.connect(states.append)
    add_image(viewer)
    panel.pick("MoS2")
    panel.start_fit()
    make.finish(panel)
    assert panel.status.text().startswith(f"<b>Fits with a reservation</b>: {DOUBT}")
    assert DOUBT.rstrip(".") in said()[-1]
    assert states[-1] == "reservation: MoS2"


def test_a_layer_below_may_have_the_reservation():
    stack = load_prior("MoS2/WS2 twist 3.1")
    placed = stack_lattice(stack, StackPose((POSE, doubted(POSE)), 0.8))
    assert placed.reservations == (DOUBT,)
    assert DOUBT in fit_sentence(placed)


def test_what_is_in_view_is_asked_alone(make, viewer):
    asked = []

    def rank(image, pixel_size, priors):
        yield Progress(0, 1, "ranking")
        asked.append(np.shape(image))
        return [Suggestion("MoS2", POSE, PIXEL_SIZE, 0.9, 0.9, 0)]

    panel = make(rank_priors=rank)
    layer = add_image(viewer)
    assert "the rest of the image is not looked at" in panel.in_view.toolTip()
    panel.in_view.setChecked(True)
    camera = viewer.scene.camera
    camera.center, camera.zoom = layer.data_to_world((40, 60)), 20.0 / layer.scale[-1]
    low, high = pixels_in_view(viewer, layer)
    panel.suggest.click()
    make.finish(panel)
    assert asked == [tuple(np.minimum(np.floor(high + 0.5) + 1, SHAPE) - np.maximum(np.floor(low + 0.5), 0))]
    assert np.prod(asked[0]) < np.prod(SHAPE)
    found = panel.suggestions._suggestions[0]
    assert found.pose.origin == pytest.approx(POSE.origin + np.maximum(np.floor(low + 0.5), 0))
    camera.center = layer.data_to_world((4000, 60))
    panel.suggest.click()
    assert len(asked) == 1
    assert "take one with at least 16 along each side" in said()[-1]
