"""Step 8 in a real window, on the MoS2 sample, the bilayer and SrTiO3.

Set ``STEMPRIOR_SHOTS`` to a folder to keep a screenshot of each. SrTiO3 is ``srtio3_001.jpg`` in the folder
``STEMPRIOR_MICROGRAPHS``, which is no part of the project; without it, it is skipped.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from napari_stemprior.qt.demo import dismiss, pick_prior, segment, settle, wait
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.layers.measurement_layers import map_layer

#: Its pixel size is fitted from a = 3.905 Å.
STO = Path(os.environ.get("STEMPRIOR_MICROGRAPHS", "micrographs"), "srtio3_001.jpg")
STO_PIXEL_SIZE = 0.077


@pytest.fixture
def desk(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy(strict_qt=True, show=True)
    viewer.__wrapped__.window.resize(1366, 768)
    desk = StempriorDesk(viewer)
    viewer.__wrapped__.window.add_dock_widget(desk, area="right", name="desk")
    yield desk
    desk.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sample", "prior", "theme"),
    [
        ("mos2", "MoS2", "dark"),
        ("mos2_bilayer", "MoS2_twisted_bilayer", "light"),
        pytest.param(
            "", "SrTiO3 [001]", "light", marks=pytest.mark.skipif(not STO.is_file(), reason="not at hand")
        ),
    ],
)
def test_a_person_measures(desk, qtbot, tmp_path, sample, prior, theme):
    viewer = desk.session.viewer
    viewer.theme = theme
    if sample:
        viewer.open_sample("napari-stemprior", sample)
    else:
        viewer.open(STO)
        desk.session.set_pixel_size(STO_PIXEL_SIZE)
    settle()
    viewer.reset_view()
    pick_prior(desk, prior)
    editor = segment(desk)
    for title, section in desk.sections.items():
        section.set_expanded(title == "8 Measure")
    panel, questions = desk.measure_panel, desk.measure_panel.questions
    if not sample:
        questions.centre.setCurrentText("Ti")
        questions.cage.setCurrentText("Sr")
    panel.measure.click()
    wait(desk)
    measured = panel.measured
    assert measured is not None
    assert measured.found.indices.known.mean() > 0.95
    qtbot.waitUntil(lambda: map_layer(viewer, desk.session.image) is not None, timeout=60_000)
    for view in measured.views:
        panel.box.show_view(view)
    low, high = np.nanquantile(panel.box.intensities._values, (0.7, 1.0))
    panel.box.intensities.histogram.choose(float(low), float(high))
    assert editor.selected_rows
    if not sample:
        assert measured.found.polarisation.state != "ordered", "SrTiO3 is not polar"
    bar = desk._scroll_bar
    settle()
    bar.setValue(bar.maximum())
    dismiss()
    settle()
    shots = Path(os.environ.get("STEMPRIOR_SHOTS", tmp_path))
    shots.mkdir(parents=True, exist_ok=True)
    path = shots / f"measure_{sample or 'sto'}_{theme}.png"
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    assert path.is_file()
    panel.write_report(tmp_path / "report")
    wait(desk)
    assert list((tmp_path / "report").glob("*_report.html"))
