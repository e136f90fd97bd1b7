"""Step 1: what was set right, dark columns, and the pixel size of the lattice."""

import threading

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, SHAPE, add_image, fake_operations, picture
from napari.layers import Image, Labels

from napari_stemprior.io import TrainingPairDataset
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.panels.export_panel import ExportPanel
from napari_stemprior.qt.panels.image_panel import ImagePanel
from napari_stemprior.qt.panels.prior_panel import PriorPanel
from napari_stemprior.qt.panels.segment_panel import SegmentPanel
from napari_stemprior.qt.session import Session
from napari_stemprior.recording import PreparedImage, inverted, prepare
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import built_in

LARGER = Pose.from_angle(7.0, 1.05 * PIXEL_SIZE, (5.0, 9.0), score=0.9)


@pytest.fixture
def make(qtbot, viewer):
    made = []

    def build(panel=ImagePanel, **changes):
        session = made[0].session if made else Session(viewer, fake_operations(**changes))
        made.append(panel(session, JobRunner()))
        qtbot.addWidget(made[-1])
        return made[-1]

    def finish():
        def idle():
            runners = [panel.runner for panel in made]
            runners += [panel.recording.runner for panel in made if isinstance(panel, ImagePanel)]
            return not any(runner.busy for runner in runners)

        qtbot.waitUntil(idle, timeout=60_000)

    build.finish = finish
    yield build
    made[0].session.close()


def with_border(image):
    """Say that the first three rows hold no signal, and one pixel was filled."""
    prepared = prepare(np.array(image))
    valid, mended = np.ones(image.shape, bool), np.zeros(image.shape, bool)
    valid[:3] = False
    mended[20, 30] = True
    return PreparedImage(prepared.image, valid, mended, prepared.row_offsets)


def test_what_was_left_out_is_said_and_shown(make, viewer):
    panel = make(prepare=with_border)
    box = panel.recording
    image = add_image(viewer)
    image.translate = (3.0, 4.0)
    make.finish()
    assert box.said.text() == "Recording: 1 spoiled pixel was filled from its neighbours."
    box.show_left_out.click()
    layer = viewer.layers["specimen left out"]
    assert isinstance(layer, Labels)
    assert (layer.data[:3] == 1).all()
    assert layer.data[20, 30] == 2
    assert np.count_nonzero(layer.data) == 3 * SHAPE[1] + 1
    np.testing.assert_allclose(layer.scale, image.scale)
    np.testing.assert_allclose(layer.translate, image.translate)
    assert layer.units == image.units
    assert viewer.layers.selection.active is not layer
    panel.session.set_pixel_size(0.3)
    np.testing.assert_allclose(layer.scale, (0.3, 0.3))
    box.show_left_out.click()
    assert layer not in viewer.layers
    assert not box.show_left_out.isChecked()


def test_a_good_recording_needs_no_words(make, viewer):
    box = make().recording
    add_image(viewer)
    make.finish()
    assert box.recorded.sentences == ()
    assert box.said.isHidden()
    assert box.show_left_out.isHidden()


def test_the_window_does_not_wait_for_it(make, viewer, qtbot):
    gate, seen = threading.Event(), []

    def slow(image):
        seen.append(threading.current_thread())
        gate.wait(60)
        return with_border(image)

    box = make(prepare=slow).recording
    add_image(viewer)  # comes back at once
    qtbot.waitUntil(lambda: bool(seen), timeout=60_000)
    assert box.recorded is None
    second = add_image(viewer, name="second")
    box.session.choose_image(second)
    gate.set()
    qtbot.waitUntil(lambda: len(seen) == 2, timeout=60_000)
    make.finish()
    assert threading.main_thread() not in seen
    assert box.recorded is not None


def dark_picture():
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    bell = np.exp(-((y % 16 - 8) ** 2 + (x % 16 - 8) ** 2) / 8)
    return np.random.default_rng(0).poisson(200 - 120 * bell).astype(np.float32)


def test_inverting_changes_what_is_analysed_and_not_the_layer(make, viewer):
    box = make().recording
    session, pixels = box.session, dark_picture()
    layer = viewer.add_layer(Image(pixels.copy(), scale=(0.2, 0.2), units=("angstrom", "angstrom")))
    make.finish()
    assert "tick the box below" in box.said.text()
    session.set_prior(built_in("MoS2"))
    session.set_fit(LatticeFit(session.prior, (LARGER,)))
    box.invert.click()
    make.finish()
    assert "dark" not in box.said.text()
    assert session.fit is None, "it was fitted to the other contrast"
    np.testing.assert_array_equal(layer.data, pixels)
    np.testing.assert_array_equal(session.micrograph().image, inverted(pixels))
    np.testing.assert_array_equal(session.recording().image, pixels)
    box.invert.click()
    make.finish()
    np.testing.assert_array_equal(session.micrograph().image, pixels)


def test_a_pair_is_saved_as_it_was_analysed(make, viewer, tmp_path):
    box = make().recording
    session = box.session
    add_image(viewer)
    box.invert.click()
    segment, export = make(SegmentPanel), make(ExportPanel)
    session.set_prior(built_in("MoS2"))
    make.finish()
    segment.start()
    make.finish()
    assert session.editor.provenance["inverted"] is True
    box.invert.click()  # the atoms were found on the inverted image all the same
    export.write_pair(tmp_path / "pairs")
    make.finish()
    dataset = TrainingPairDataset(tmp_path / "pairs")
    (entry,) = dataset.latest_entries()
    pair = dataset.load(entry.hash)
    np.testing.assert_array_equal(pair.micrograph.image, inverted(picture()))
    assert pair.provenance["settings"]["inverted"] is True


@pytest.mark.parametrize("wanted", [True, False])
def test_a_fit_calibrates_the_image_if_that_is_wanted(make, viewer, wanted):
    panel = make(fit_lattice=lambda image, size, prior: LatticeFit(prior, (LARGER,)))
    prior_panel = make(PriorPanel)
    session, image = panel.session, add_image(viewer)
    camera = viewer.scene.camera
    camera.center, camera.zoom = (0.0, 6.0, 12.0), 20.0
    panel.from_lattice.setChecked(wanted)
    session.set_prior(built_in("MoS2"))
    prior_panel.start_fit()
    make.finish()
    assert session.pixel_size == pytest.approx((1.05 if wanted else 1.0) * PIXEL_SIZE)
    assert session.pixel_size_from == ("lattice" if wanted else "file")
    assert session.pose is LARGER
    # the same pixel in the middle, as large as before
    np.testing.assert_allclose(image.world_to_data(camera.center[-2:]), (30, 60))
    assert camera.zoom * image.scale[-1] == pytest.approx(20 * PIXEL_SIZE)
    panel.pixel_size.setValue(0.3)
    assert session.pixel_size_from == "given"
