"""What a person sees stays where it is while the image gets another pixel size, in a real window."""

import numpy as np
import pytest
import tifffile
from desk_fakes import PIXEL_SIZE, fake_operations, picture
from napari.layers import Image

from napari_stemprior.qt.desk import StempriorDesk

NM = {"scale": (0.02, 0.02), "units": ("nm", "nm")}


def on_screen(viewer, image):
    """Return where two pixels of an image are on the canvas."""
    canvas = viewer.__wrapped__.window._qt_viewer.canvas  # there is no public way to a place on the screen
    transform = canvas.layer_to_visual[image].node.get_transform("visual", "canvas")
    places = np.array([transform.map([x, y]) for y, x in ((0, 0), (60, 70))])
    return places[:, :2] / places[:, 3:]


def looked_at(viewer, image, qtbot):
    """Zoom in as a person does, and tell where the image then is."""
    qtbot.wait(100)
    camera = viewer.__wrapped__.scene.camera
    camera.zoom = 1.7 * camera.zoom
    seen = []

    def still():
        viewer.__wrapped__.window._qt_viewer.canvas.native.repaint()
        seen.append(on_screen(viewer, image))
        return len(seen) > 3 and np.allclose(seen[-3:], seen[-1], atol=0.01)

    qtbot.waitUntil(still, timeout=60_000)
    return seen[-1]


@pytest.mark.parametrize("placed", [{}, NM, {"translate": (30, 40)}], ids=["pixels", "nm", "shifted"])
def test_the_view_stays_when_the_pixel_size_is_fitted(make_napari_viewer_proxy, qtbot, placed):
    viewer = make_napari_viewer_proxy(strict_qt=True, show=True)
    image = viewer.add_layer(Image(picture((300, 400)), **placed))
    desk = StempriorDesk(viewer, fake_operations())
    viewer.window.add_dock_widget(desk, area="right", name="desk")
    desk.prior_panel.pick("MoS2")
    qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=60_000)
    before = looked_at(viewer, image, qtbot)
    if placed == NM:
        desk.session.set_pixel_size(0.3)
    else:
        desk.image_panel.fit.click()
        qtbot.waitUntil(lambda: not desk.runner.busy, timeout=60_000)
        assert desk.session.pixel_size == pytest.approx(PIXEL_SIZE)
    qtbot.waitUntil(lambda: np.allclose(on_screen(viewer, image), before, atol=1), timeout=60_000)


def test_the_view_stays_when_the_desk_opens_on_an_image_of_another_reader(
    make_napari_viewer_proxy, qtbot, tmp_path
):
    path = tmp_path / "image.tif"  # napari's own reader leaves the pixel size in the file
    tifffile.imwrite(path, picture((300, 400)), imagej=True, resolution=(50, 50), metadata={"unit": "nm"})
    viewer = make_napari_viewer_proxy(strict_qt=True, show=True)
    (image,) = viewer.open(path, plugin="napari")
    before = looked_at(viewer, image, qtbot)
    desk = StempriorDesk(viewer, fake_operations())
    viewer.window.add_dock_widget(desk, area="right", name="desk")
    qtbot.waitUntil(lambda: desk.session.pixel_size is not None, timeout=60_000)
    qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=60_000)
    qtbot.wait(100)
    after = on_screen(viewer, image)
    # the canvas is narrower by the dock; what is seen is as large as it was
    np.testing.assert_allclose(np.diff(after, axis=0), np.diff(before, axis=0), rtol=0.02)
