"""Laying the lattice by hand, on a viewer without a window."""

from dataclasses import replace

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, POSE, SHAPE, add_image, fake_operations
from napari.utils._test_utils import read_only_mouse_event
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from napari.utils.notifications import notification_manager

from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.panels.manual_fit_panel import ManualFitPanel
from napari_stemprior.qt.session import Session
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import built_in, load_prior


@pytest.fixture
def make(qtbot, viewer):
    panels = []

    def build(**changes):
        session = Session(viewer, fake_operations(**changes))
        panel = ManualFitPanel(session, JobRunner())
        qtbot.addWidget(panel)
        panels.append(panel)
        add_image(viewer)
        session.set_prior(built_in("MoS2"))
        return panel

    yield build
    for panel in panels:
        qtbot.waitUntil(lambda p=panel: not p.runner.busy, timeout=60_000)
        panel.close_mode()
        panel.session.close()


def drag(viewer, layer, start, end, *modifiers):
    """Drag from one pixel (y, x) to another on the layer."""

    def event(kind, yx):
        position = tuple(np.asarray(yx, float) * layer.scale + layer.translate)
        return read_only_mouse_event(
            type=kind, is_dragging=True, modifiers=list(modifiers), button=1, position=position
        )

    mouse_press_callbacks(layer, event("mouse_press", start))
    for part in (0.5, 1.0):
        mouse_move_callbacks(
            layer, event("mouse_move", np.asarray(start) + part * (np.asarray(end) - np.asarray(start)))
        )
    mouse_release_callbacks(layer, event("mouse_release", end))


def test_dragging_begins_in_the_middle_and_moves_the_lattice(make, viewer):
    panel = make()
    session = panel.session
    panel.drag.setChecked(True)
    layer = session.overlay
    assert viewer.layers.selection.active is layer
    assert not layer.mouse_pan, "a drag moves the lattice, not the view"
    before = session.pose
    drag(viewer, layer, (30, 40), (33, 38))
    shift = session.pose.to_pixels(before.to_angstrom((30, 40))) - (33, 38)
    steps = lattice_steps(session, shift)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9, err_msg="moved by the drag and whole cells")
    np.testing.assert_allclose(session.pose.affine, before.affine)
    np.testing.assert_allclose(layer.affine.affine_matrix, np.eye(3))
    np.testing.assert_allclose(layer.data, session.fit.lattice(SHAPE).yx)
    assert session.fit.by_hand
    assert session.known_fit is None, "nobody has judged it"
    panel.drag.setChecked(False)
    assert layer.mouse_pan
    assert not layer.mouse_drag_callbacks
    assert viewer.layers.selection.active is session.image


def lattice_steps(session, shift):
    """Return by how many cells (first, second vector) two points lie apart that are `shift` px apart."""
    return (np.linalg.inv(session.pose.affine) @ shift) @ np.linalg.inv(session.prior.cell)


def test_shift_turns_and_control_scales_about_where_it_was_moved_last(make, viewer):
    panel = make()
    session = panel.session
    session.set_fit(LatticeFit(session.prior, (POSE,)))
    panel.drag.setChecked(True)
    layer = session.overlay
    drag(viewer, layer, (40, 50), (41, 50))
    pivot = np.array((41.0, 50.0))
    here = session.pose.to_angstrom(pivot)
    drag(viewer, layer, pivot + np.array((0, 20)), pivot + np.array((20, 0)), "Shift")
    assert session.pose.angle == pytest.approx(POSE.angle + 90)
    np.testing.assert_allclose(session.pose.to_pixels(here) - pivot, 0, atol=1e-9)
    drag(viewer, layer, pivot + np.array((0, 20)), pivot + np.array((0, 25)), "Control")
    assert session.pose.pixel_size == pytest.approx(PIXEL_SIZE / 1.25)
    np.testing.assert_allclose(session.pose.to_pixels(here) - pivot, 0, atol=1e-9)
    sizes = np.asarray(layer.size)
    assert np.argmax(sizes) == np.argmin(np.linalg.norm(layer.data - pivot, axis=1))


def test_a_click_and_other_buttons_change_nothing(make, viewer):
    panel = make()
    session = panel.session
    session.set_fit(LatticeFit(session.prior, (POSE,)))
    panel.drag.setChecked(True)
    drag(viewer, session.overlay, (40, 50), (40, 50))
    assert session.pose is POSE
    assert session.known_fit.pose is POSE


def test_numbers_are_typed(make, viewer):
    panel = make()
    session = panel.session
    assert not panel.angle.isEnabled()
    sheared = Pose(POSE.affine @ np.array([[1, 0.02], [0, 1]]), POSE.origin, 0.9)
    session.set_fit(LatticeFit(session.prior, (sheared,)))
    assert panel.angle.value() == pytest.approx(POSE.angle)
    assert panel.offset_x.value() == pytest.approx(POSE.origin[1] * PIXEL_SIZE)
    panel.angle.setValue(10.0)
    assert session.pose.angle == pytest.approx(10.0)
    panel.scale.setValue(105.0)
    assert session.pose.pixel_size == pytest.approx(PIXEL_SIZE / 1.05)
    panel.offset_x.setValue(4.0)
    assert session.pose.origin[1] == pytest.approx(4.0 / PIXEL_SIZE)
    strain = np.linalg.svd(sheared.affine)[1]
    np.testing.assert_allclose(
        np.linalg.svd(session.pose.affine)[1] / 1.05, strain, rtol=1e-3, err_msg="the shear of the fit stays"
    )
    panel.mirrored.click()
    assert session.pose.mirrored
    assert session.pose.angle == pytest.approx(10.0)
    assert session.overlay is not None


def test_refining_tells_what_changed(make, viewer, qtbot):
    panel = make()
    session = panel.session
    session.set_fit(LatticeFit(session.prior, (POSE,)))
    panel.angle.setValue(9.0)
    notification_manager.records.clear()
    panel.refine_pose.click()
    qtbot.waitUntil(lambda: not panel.runner.busy, timeout=60_000)
    assert session.pose.score == 0.8
    assert not session.fit.by_hand
    assert session.fit.field is not None, "the refined lattice follows strain"
    message = notification_manager.records[-1].message
    assert "score 0.80" in message
    assert f"moved by {PIXEL_SIZE:.2f} Å" in message
    assert not panel.result.isHidden()
    assert f"moved by {PIXEL_SIZE:.2f} Å" in panel.result.text()
    panel.refine_pose.click()
    qtbot.waitUntil(lambda: not panel.runner.busy, timeout=60_000)


def test_a_refinement_that_fails_says_what_to_do(make, viewer, qtbot):
    panel = make(refine_fit=lambda image, size, fit: LatticeFit(fit.prior, (replace(fit.pose, score=0.1),)))
    panel.session.set_fit(LatticeFit(panel.session.prior, (POSE,)))
    panel.refine_pose.click()
    qtbot.waitUntil(lambda: not panel.runner.busy, timeout=60_000)
    assert "does not fit there" in notification_manager.records[-1].message
    assert panel.session.fit.field is None


def test_another_layer_another_image_and_a_removed_overlay_end_the_mode(make, viewer):
    panel = make()
    session = panel.session
    panel.drag.setChecked(True)
    layer = session.overlay
    viewer.layers.selection = {session.image}
    assert not panel.drag.isChecked()
    assert not layer.mouse_drag_callbacks
    panel.drag.setChecked(True)
    viewer.layers.remove(session.overlay)
    assert not panel.drag.isChecked()
    panel.drag.setChecked(True)
    session.choose_image(add_image(viewer, name="second"))
    assert not panel.drag.isChecked()
    panel.drag.setChecked(True)
    session.set_prior(built_in("WS2"))
    assert not panel.drag.isChecked()


def test_the_layers_of_a_stack_move_together(make, viewer):
    panel = make()
    session = panel.session
    session.set_prior(load_prior("MoS2/WS2 twist 5"))
    panel.drag.setChecked(True)
    first, second = session.fit.poses
    assert (second.angle - first.angle) % 360 in (pytest.approx(5.0), pytest.approx(355.0))
    assert set(session.fit.lattice(SHAPE).layer) == {0, 1}
    panel.angle.setValue(12.0)
    turned = session.fit.poses
    assert turned[0].angle == pytest.approx(12.0)
    assert turned[1].angle - turned[0].angle == pytest.approx(second.angle - first.angle)
