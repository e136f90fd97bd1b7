"""A grain locked in a real window, with the mouse and with the keyboard, and found locked by the next window.

Set ``STEMPRIOR_SHOTS`` to a folder to keep screenshots.
"""

import os
from pathlib import Path

import pytest
import tifffile
from desk_fakes import PIXEL_SIZE, POSE, SHAPE, fake_operations, picture
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_stemprior.qt.demo import dismiss, settle
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.registration.grain import Grain
from napari_stemprior.registration.lattice_fit import straight_sites
from napari_stemprior.registration.locked_grains import holding

PATIENCE = 60_000
OTHER = Pose.from_angle(25.0, PIXEL_SIZE, (9.0, 2.0), score=0.8)


def two_grains(prior, pose):
    """Lay one lattice on the left and on the right of the image."""
    sites = straight_sites(LatticeFit(prior, (pose,)), SHAPE)
    left, right = (sites.where((sites.yx[:, 1] < 50) == side) for side in (True, False))
    grains = Grain.of(prior, pose, left, None), Grain.of(prior, pose, right, None)
    return LatticeFit(prior, (pose,), left.joined(right), grains=grains)


@pytest.fixture
def window(make_napari_viewer_proxy, qtbot):
    """Open a window with a desk; the network and the fits are fakes."""

    def make():
        viewer = make_napari_viewer_proxy(strict_qt=True, show=True)
        real = viewer.__wrapped__
        real.window.resize(1366, 768)
        operations = fake_operations(
            fit_lattice=lambda image, size, prior: two_grains(prior, POSE),
            fit_around=lambda image, size, prior, locked: holding(two_grains(prior, OTHER), locked),
            follow_lattice=lambda image, size, fit: holding(two_grains(fit.prior, fit.pose), fit.locked),
        )
        desk = StempriorDesk(viewer, operations)
        real.window.add_dock_widget(desk, area="right", name="desk")
        qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=PATIENCE)
        return viewer, desk

    return make


def shot(viewer, folder, name):
    folder = Path(os.environ.get("STEMPRIOR_SHOTS", folder))
    folder.mkdir(parents=True, exist_ok=True)
    dismiss()
    settle()
    viewer.screenshot(str(folder / f"grains_{name}.png"), canvas_only=False, flash=False)


def click(button):
    assert button.isEnabled(), button.toolTip()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def tick(lines, row):
    """Click the box of a line."""
    line = lines.visualItemRect(lines.item(row))
    place = QPoint(line.left() + 10, line.center().y())
    QTest.mouseClick(lines.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)


def checked(lines):
    return [lines.item(row).checkState() == Qt.CheckState.Checked for row in range(lines.count())]


def sites(grain):
    return set(map(tuple, grain.sites.yx.tolist()))


def test_locked_by_hand_kept_by_all_and_saved(window, qtbot, tmp_path):
    tifffile.imwrite(tmp_path / "flake.tif", picture(), photometric="minisblack")
    viewer, desk = window()
    viewer.__wrapped__.open(tmp_path / "flake.tif")
    session, panel = desk.session, desk.prior_panel
    session.set_pixel_size(PIXEL_SIZE)
    panel.pick("MoS2")
    desk.show_step("2 Lattice prior")
    lines = panel.grains.list
    settle()
    assert not panel.grains.isVisible()
    done = lambda: not desk.runner.busy  # noqa: E731
    click(panel.fit)
    qtbot.waitUntil(done, timeout=PATIENCE)
    settle()
    assert panel.grains.isVisible()
    assert lines.count() == 2
    assert lines.item(0).text().startswith("Grain 1 · 7.0° · ")
    desk.scroll_area.ensureWidgetVisible(lines)
    settle()
    tick(lines, 0)
    assert checked(lines) == [True, False]
    (grain,) = session.locked
    assert session.pointed is grain
    shot(viewer, tmp_path, "1_locked")

    click(desk.segment_panel.segment)
    qtbot.waitUntil(done, timeout=PATIENCE)
    atoms = {tuple(yx) for yx in session.editor.yx[grain.holds(session.editor.yx)].tolist()}
    assert len(atoms) > 10
    click(panel.fit)
    qtbot.waitUntil(done, timeout=PATIENCE)
    assert session.locked == (grain,)
    assert session.pose.angle == pytest.approx(25.0)
    assert sites(session.fit.grains[0]) == sites(grain)
    click(desk.segment_panel.segment)
    qtbot.waitUntil(done, timeout=PATIENCE)
    after = session.editor.yx
    assert {tuple(yx) for yx in after[grain.holds(after)].tolist()} == atoms
    shot(viewer, tmp_path, "2_fitted_around")

    path = tmp_path / "work.stemprior.json"
    desk.session_bar.write(path)
    qtbot.waitUntil(done, timeout=PATIENCE)
    desk.close()
    viewer.close()
    viewer, desk = window()
    desk.session_bar.open(path)
    qtbot.waitUntil(lambda: not desk.runner.busy and desk.session.fit is not None, timeout=PATIENCE)
    session, lines = desk.session, desk.prior_panel.grains.list
    assert checked(lines) == [True]
    assert sites(session.locked[0]) == sites(grain)
    assert {tuple(yx) for yx in session.editor.yx[grain.holds(session.editor.yx)].tolist()} == atoms
    desk.show_step("2 Lattice prior")
    desk.scroll_area.ensureWidgetVisible(lines)
    settle()
    lines.setFocus()
    QTest.keyClick(lines, Qt.Key.Key_Down)
    QTest.keyClick(lines, Qt.Key.Key_Space)
    assert session.locked == ()
    assert checked(lines) == [False]
    shot(viewer, tmp_path, "3_unlocked")
    desk.close()
