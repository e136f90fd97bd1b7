"""Step 3 on a viewer without a window."""

import sys
import threading

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, POSE, SHAPE, add_image, fake_operations
from napari.utils.notifications import notification_manager

from napari_stemprior.errors import StructureError
from napari_stemprior.io import read_micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.atom_layers import KEY
from napari_stemprior.qt.layers.comparison import ComparisonMode
from napari_stemprior.qt.panels.reference_panel import ReferencePanel
from napari_stemprior.qt.session import Session
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import built_in, load_prior
from napari_stemprior.workflow.operations import Operations


@pytest.fixture
def make(qtbot, viewer):
    panels = []

    def idle(panel):
        runners = (panel.runner, panel.background, panel._counter)

        def check():
            qtbot.wait(1)  # what follows a job is started by the event loop
            return not any(runner.busy for runner in runners)

        qtbot.waitUntil(check, timeout=60_000)

    def build(prior="MoS2", **changes):
        session = Session(viewer, fake_operations(**changes))
        panel = ReferencePanel(session, JobRunner())
        panels.append(panel)
        add_image(viewer)
        session.set_prior(built_in(prior))
        notification_manager.records.clear()
        panel.idle = lambda: idle(panel)
        return panel

    yield build
    for panel in panels:
        panel.idle()
        panel.close_views()
        panel.close()
        panel.deleteLater()
        panel.session.close()


@pytest.fixture
def shown(make):
    """A panel whose fast reference is shown."""
    panel = make()
    panel.session.set_fit(LatticeFit(panel.session.prior, (POSE,)))
    panel.simulate.click()
    panel.idle()
    return panel


def choose(panel, mode):
    panel.mode.activated.emit(panel.mode.findData(mode))
    panel.idle()


def press(viewer):
    keys = {str(key): call for key, call in viewer.keymap.items()}
    keys["F"](viewer)


def grid_of(viewer):
    return viewer.canvas.grid


def test_the_reference_is_seen_beside_the_micrograph_with_one_zoom(shown, viewer):
    image, layer = shown.session.image, shown.comparison.layer
    assert layer.data.shape == SHAPE
    np.testing.assert_allclose(layer.extent.world, image.extent.world)
    grid = grid_of(viewer)
    assert grid.enabled
    assert grid.position(viewer.layers.index(image), viewer.layers) == (0, 0)
    assert grid.position(viewer.layers.index(layer), viewer.layers) == (0, 1)
    shown.session.show_overlay(True)
    viewer.add_points(np.zeros((1, 2)))
    positions = [grid.position(i, viewer.layers) for i in range(len(viewer.layers))]
    assert positions.count((0, 1)) == 1, "what is added lies on the micrograph"
    viewer.layers.remove(layer)
    assert not grid.enabled
    assert shown.comparison.mode is ComparisonMode.ALONE
    assert "Simulate a reference first" in shown.mode.toolTip()


def test_both_are_shown_in_turn(shown, viewer):
    choose(shown, ComparisonMode.FLICKER)
    image = shown.session.image
    assert shown.comparison_box._timer.isActive()
    assert not grid_of(viewer).enabled
    shown.turn.click()
    assert not shown.comparison_box._timer.isActive(), "turning by hand stops the flicker"
    assert not image.visible
    press(viewer)
    assert image.visible
    press(viewer)
    choose(shown, ComparisonMode.ALONE)
    assert image.visible


def test_the_difference_has_a_diverging_scale_around_zero(shown, viewer):
    choose(shown, ComparisonMode.DIFFERENCE)
    layer = shown.comparison.difference_layer
    low, high = layer.contrast_limits
    assert low == -high < 0
    assert viewer.layers.index(layer) == viewer.layers.index(shown.session.image) + 1
    assert shown.mode.currentData() is ComparisonMode.DIFFERENCE
    choose(shown, ComparisonMode.BESIDE)
    assert shown.comparison.difference_layer is None


def test_a_removed_reference_takes_its_difference_along(shown, viewer, qtbot):
    choose(shown, ComparisonMode.DIFFERENCE)
    viewer.layers.remove(shown.comparison.layer)
    qtbot.waitUntil(lambda: shown.comparison.difference_layer is None, timeout=60_000)
    assert shown.comparison.mode is ComparisonMode.ALONE


def test_a_stack_without_a_place_is_simulated_whole(make):
    panel = make()
    panel.session.set_prior(load_prior("MoS2/WS2 twist 5"))
    wanted = panel.wanted()
    assert wanted.priors == panel.session.prior.layers
    assert abs((wanted.poses[1].angle - wanted.poses[0].angle + 180) % 360 - 180) == pytest.approx(5.0)


def test_another_image_ends_the_comparison(shown, viewer):
    first = shown.session.image
    choose(shown, ComparisonMode.FLICKER)
    shown.comparison.turn()
    second = add_image(viewer, name="second")
    shown.session.choose_image(second)
    assert first.visible
    assert shown.comparison.mode is ComparisonMode.ALONE
    assert shown.comparison.reference is None
    shown.session.choose_image(first)
    assert shown.comparison.reference is not None, "it comes back with its image"


def test_noise_is_added_and_taken_away(shown):
    clean = shown.comparison.layer.data
    shown.noise.setChecked(True)
    shown.idle()
    assert "10000 e/" in shown.note.text()
    assert (shown.comparison.layer.data == np.rint(shown.comparison.layer.data)).all()
    shown.dose.setValue(500)
    shown.dose.setValue(600)
    shown.idle()
    assert shown.comparison.reference.dose == 600, "the last number typed is the one that counts"
    shown.noise.setChecked(False)
    shown.idle()
    assert shown.comparison.layer.data is clean


def test_multislice_shows_a_preview_and_refines_it_beside_other_work(make, viewer, qtbot):
    gate, asked = threading.Event(), []

    def slow(prior, instrument, pixel_size, shape, pose, thickness, quality):
        asked.append((quality, pose))
        yield Progress(0, 2, "Multislice")
        if quality == "final":
            gate.wait(60)
        yield Progress(1, 2, "Multislice")
        return np.full(shape, 1.0 if quality == "final" else 2.0, np.float32) + np.eye(
            *shape, dtype=np.float32
        )

    panel = make(multislice_reference=slow)
    panel.session.set_fit(LatticeFit(panel.session.prior, (POSE,)))
    panel.engine.setCurrentIndex(1)
    panel.simulate.click()
    qtbot.waitUntil(lambda: panel.comparison.layer is not None, timeout=60_000)
    assert panel.comparison.layer.data[0, 1] == 2.0
    qtbot.waitUntil(lambda: len(asked) == 2, timeout=60_000)
    assert not panel.runner.busy, "fitting and segmenting stay possible"
    assert not panel.simulate.isEnabled()
    gate.set()
    panel.idle()
    assert panel.comparison.layer.data[0, 1] == 1.0
    assert [quality for quality, _ in asked] == ["preview", "final"]
    assert asked[0][1] is POSE
    assert "ready" in notification_manager.records[-1].message


def test_multislice_is_cancelled_and_the_preview_stays(make, viewer, qtbot):
    gate = threading.Event()

    def slow(prior, instrument, pixel_size, shape, pose, thickness, quality):
        yield Progress(0, 2, f"Multislice {quality}")
        if quality == "final":
            gate.wait(60)
        yield Progress(1, 2, "Multislice")
        return np.eye(*shape, dtype=np.float32)

    panel = make(multislice_reference=slow)
    panel.engine.setCurrentIndex(1)
    panel.simulate.click()
    qtbot.waitUntil(lambda: "Multislice final" in panel.job.stage.text(), timeout=60_000)
    panel.job.cancel.click()
    gate.set()
    panel.idle()
    assert panel.comparison.reference.engine == "multislice, preview"
    assert panel.simulate.isEnabled()


def test_a_reference_of_another_image_is_not_shown(make, viewer, qtbot):
    gate = threading.Event()

    def slow(prior, instrument, pixel_size, shape, pose, thickness, quality):
        yield Progress(0, 2, "Multislice")
        gate.wait(60)
        return np.eye(*shape, dtype=np.float32)

    panel = make(multislice_reference=slow)
    panel.engine.setCurrentIndex(1)
    panel.simulate.click()
    panel.session.choose_image(add_image(viewer, name="second"))
    gate.set()
    panel.idle()
    assert panel.comparison.layer is None


def test_a_failure_in_the_background_is_told(make):
    def broken(*a):
        raise StructureError("ReS2: the crystal has no small cell across the beam; use the fast engine.")
        yield

    panel = make(multislice_reference=broken)
    panel.engine.setCurrentIndex(1)
    panel.simulate.click()
    panel.idle()
    assert "use the fast engine" in notification_manager.records[-1].message


def test_multislice_without_abtem_is_told(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "abtem", None)
    panel = make(multislice_reference=Operations().multislice_reference)
    panel.engine.setCurrentIndex(1)
    panel.simulate.click()
    panel.idle()
    message = notification_manager.records[-1].message
    assert "needs abTEM" in message
    assert "\n" not in message
    assert panel.comparison.layer is None


def test_bright_field_asks_for_multislice(make):
    panel = make()
    model, find = panel.instrument.model(), panel.instrument.findText
    assert not model.item(find("200 kV BF")).isEnabled()
    assert "Multislice" in model.item(find("200 kV ABF")).toolTip()
    assert not model.item(find("Bright field: needs Multislice")).isEnabled()
    assert model.item(find("200 kV MAADF")).isEnabled()
    panel.engine.setCurrentIndex(1)
    assert model.item(find("200 kV BF")).isEnabled()
    assert not model.item(find("Bright field")).isEnabled(), "it is a heading"
    panel.instrument.setCurrentText("200 kV BF")
    assert panel.simulate.isEnabled()
    panel.engine.setCurrentIndex(0)
    assert panel.instrument.currentText() == "200 kV HAADF"
    assert panel.instrument_form.instrument.detector_inner == 70
    assert "needs the multislice engine" in notification_manager.records[-1].message
    panel.instrument_form.boxes["detector_inner"].setValue(0)
    assert "needs the multislice engine" in panel.simulate.toolTip(), "own numbers are judged as well"


def test_the_microscope_is_changed_number_by_number(make):
    panel = make()
    form = panel.instrument_form
    assert form.instrument.name == "80 kV HAADF"
    form.boxes["defocus"].setValue(40)
    assert form.instrument.defocus == 40
    assert form.instrument.name == "own settings"
    assert "defocus 40 Å" in form.summary.text()
    form.boxes["detector_outer"].setValue(20)
    assert "inner angle below the outer" in form.summary.text()
    assert "inner angle below the outer" in panel.simulate.toolTip()
    form.preset.setCurrentText("300 kV MAADF")
    assert form.instrument.beam_energy == 300
    assert panel.simulate.isEnabled()


def test_the_beam_energy_of_the_file_is_taken(make, viewer):
    panel = make()
    second = add_image(viewer, name="second")
    second.metadata[KEY]["source"] = {"beam_energy_kev": 200.0}
    panel.session.choose_image(second)
    assert panel.instrument.currentText() == "200 kV HAADF"
    panel.instrument.setCurrentText("60 kV HAADF")
    panel.session.set_pixel_size(0.3)
    assert panel.instrument.currentText() == "60 kV HAADF", "a person's choice stays"


def test_the_thickness_is_asked_of_a_crystal_alone(make):
    panel = make()
    assert not panel.thickness.isEnabled()
    panel.session.set_prior(built_in("SrTiO3 [001]"))
    assert panel.thickness.isEnabled()


def test_the_montage_is_a_calibrated_layer_beside_the_image(make, viewer):
    panel = make("SrTiO3 [001]")
    panel.montage_form.thicknesses.setText("50, 100")
    panel.montage_form.simulate.click()
    panel.idle()
    layer = viewer.layers["SrTiO3 [001] montage"]
    assert layer.scale == pytest.approx((PIXEL_SIZE, PIXEL_SIZE))
    assert layer.translate[1] > SHAPE[1] * PIXEL_SIZE
    assert panel.session.images == [panel.session.image]
    labels = viewer.layers["SrTiO3 [001] montage labels"].features["label"].tolist()
    assert labels == ["50 Å", "100 Å", "df -50 Å", "df 0 Å", "df 50 Å", "df 100 Å"]
    panel.montage_form.defoci.setText("ten")
    panel.montage_form.simulate.click()
    assert "no list of numbers" in notification_manager.records[-1].message


def test_the_reference_is_exported_as_it_is_shown(shown, tmp_path):
    shown.export(tmp_path / "reference")
    shown.idle()
    back = read_micrograph(tmp_path / "reference.tif")
    np.testing.assert_array_equal(back.image, shown.comparison.layer.data)
    assert back.pixel_size == pytest.approx(PIXEL_SIZE)
    assert back.metadata["rotation_degrees"] == pytest.approx(POSE.angle)
    assert "reference.tif" in notification_manager.records[-1].message
