"""What a person reads in a real window: layers, places, notifications, names, bars, widths."""

from time import sleep

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, POSE, add_image, fake_operations
from napari.utils.notifications import show_info
from qtpy.QtCore import QPoint, QRectF
from qtpy.QtGui import QFontMetrics, QImage, QPainter, QPalette
from qtpy.QtWidgets import QProgressBar, QStyleOptionViewItem

from napari_stemprior.progress import Progress
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.layers.colouring import LAYER, Colouring
from napari_stemprior.qt.layers.palette import layer_colour
from napari_stemprior.qt.panels.section import Fold
from napari_stemprior.qt.widgets.cell_picture import draw_stack
from napari_stemprior.qt.widgets.column_table import ColumnTable
from napari_stemprior.qt.widgets.image_table import NAME
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import built_in, load_prior


@pytest.fixture
def window(make_napari_viewer_proxy, qtbot):
    desks = []

    def build(theme="dark", name="specimen", **changes):
        viewer = make_napari_viewer_proxy(strict_qt=True, show=True)
        viewer.theme = theme
        viewer.window.resize(1366, 768)
        add_image(viewer, name=name)
        desk = StempriorDesk(viewer, fake_operations(**changes), at_once=False)  # as the dock makes it
        viewer.window.add_dock_widget(desk, area="right", name="desk")
        desks.append(desk)
        qtbot.waitUntil(lambda: desk.ready, timeout=60_000)
        qtbot.waitUntil(lambda: desk.isVisible() and not desk.segment_panel._lister.busy, timeout=60_000)
        qtbot.wait(100)
        return viewer, desk

    yield build
    for desk in desks:
        qtbot.waitUntil(lambda d=desk: not d.runner.busy, timeout=60_000)


def test_picture_table_lattice_and_atoms_show_a_layer_alike(window, qtbot):
    _, desk = window()
    stack = load_prior("MoS2/WS2 twist 5")
    desk.session.set_prior(stack)
    table = desk.prior_panel.columns
    assert isinstance(table, ColumnTable)
    picture = QImage(280, 150, QImage.Format.Format_RGB32)
    picture.fill(0)
    painter = QPainter(picture)
    draw_stack(painter, QRectF(picture.rect()), stack, QPalette())
    painter.end()
    drawn = {picture.pixelColor(x, y).getRgb()[:3] for x in range(280) for y in range(150)}
    seen = set()
    for row in range(table.rowCount()):
        number = int(table.item(row, 2).text())
        swatch = table.item(row, 2).icon().pixmap(10).toImage().pixelColor(5, 5).getRgb()[:3]
        colour = tuple(round(255 * part) for part in layer_colour(number))
        assert np.abs(np.subtract(swatch, colour)).max() <= 10, "an icon is drawn in the colours of the style"
        assert min(np.abs(np.subtract(d, colour)).max() for d in drawn) <= 1
        seen.add(number)
    assert seen == {0, 1}
    desk.prior_panel.pick("MoS2")
    desk.segment_panel.segment.click()
    qtbot.waitUntil(lambda: not desk.runner.busy, timeout=60_000)
    colouring = Colouring(desk.correct_panel.context)
    colouring.choose(LAYER)
    atoms = desk.session.editor.rows.assign(layer=np.arange(len(desk.session.editor.rows)) % 2)
    np.testing.assert_allclose(colouring(atoms)[:2, :3], [layer_colour(0), layer_colour(1)])
    assert colouring.legend().names[0] == (layer_colour(0), "0 (entrance side)")


def test_the_status_bar_names_pixels_and_angstrom(window, qtbot):
    viewer, desk = window()
    model = viewer.__wrapped__
    model.cursor.position = (30 * PIXEL_SIZE, 41 * PIXEL_SIZE)
    model.status = model._calc_status_from_cursor()[0]  # as napari's thread does, which tests do without
    told = model.window._status_bar._coordinates.text()
    value = desk.session.micrograph().image[30, 41]
    assert told.startswith(f"y 30.0, x 41.0 px = y {30 * PIXEL_SIZE:.2f}, x {41 * PIXEL_SIZE:.2f} Å: ")
    assert float(told.split(":")[1]) == pytest.approx(value, rel=0.01)
    model.status = {**model._calc_status_from_cursor()[0], "coordinates": "[6.0 8.2]: "}
    told = model.window._status_bar._coordinates.text()
    assert told.rstrip().endswith("Å"), "a layer without a value there leaves no colon"


def test_the_desk_keeps_its_width_and_scrolls_to_what_is_unfolded(window, qtbot):
    _, desk = window()
    width = desk.width()
    bar, inner = desk.scroll_area.verticalScrollBar(), desk.scroll_area.widget()
    for part in (*desk.sections.values(), *desk.findChildren(Fold)):
        part.set_expanded(False)
        qtbot.wait(20)
        part.set_expanded(True)
        qtbot.wait(60)
        assert desk.width() == width
        if part.isVisible():
            top = part.mapTo(inner, QPoint(0, 0)).y() - bar.value()
            assert top >= 0
            assert top + min(part.height(), bar.pageStep()) <= bar.pageStep() + 1
    for panel in (desk.segment_panel, desk.measure_panel):
        panel.state_changed.emit("a sentence about the state of this step that is longer than the desk " * 3)
        qtbot.wait(40)
        assert desk.width() == width


def test_notifications_are_whole_and_do_not_pile_up(window, qtbot):
    _, desk = window()
    long = "A sentence that is longer than one line of a notification, and that must be read to its end. " * 2
    for sentence in (long, long, "another", long):
        show_info(sentence)
        qtbot.wait(120)
    toasts = desk._toasts.shown()
    assert sorted(t.message.text() for t in toasts) == sorted([long, "another"])
    first, second = (t.geometry() for t in toasts)
    assert not first.intersects(second)
    for toast in toasts:
        label = toast.message
        assert "…" not in super(type(label), label).text()
        text = label.fontMetrics().boundingRect(0, 0, label.width(), 9999, 0x1000, toast.message.text())
        assert label.height() >= text.height()
        assert toast.parentWidget().rect().contains(toast.geometry())
    for toast in toasts:
        toast.close()


def test_one_bar_shows_one_job(window, qtbot):
    def slow(*_, **__):
        for step in range(40):
            yield Progress(step, 40, "looking")
            sleep(0.03)
        return []

    _, desk = window(rank_priors=slow)
    most = []
    desk.prior_panel.suggest.click()

    def over():
        if desk.runner.busy:
            bars = [b for b in desk.findChildren(QProgressBar) if b.isVisible()]
            most.append(len(bars))
        return not desk.runner.busy

    qtbot.waitUntil(over, timeout=60_000)
    assert max(most) == 1
    assert desk.segment_panel.bar.isVisible(), "step 4 has its bar again"


def test_the_name_of_an_image_is_read_over_its_lines(window, qtbot):
    name = "simulated_WS2_vacancies_1000e"
    _, desk = window(name=name)
    desk.session.set_prior(built_in("WS2"))
    desk.sections["All images"].set_expanded(True)
    qtbot.wait(100)
    table = desk.images_panel.table
    index = table.order.index(0, NAME)
    option = table._name_lines
    drawn = QStyleOptionViewItem()
    drawn.rect, drawn.font = table.visualRect(index), table.font()
    drawn.decorationSize = table.iconSize()
    option.initStyleOption(drawn, index)
    lines = drawn.text.split("\u2028")
    assert "".join(lines[:-1]) == name
    assert lines[-1] == "WS2"
    assert len(lines) * QFontMetrics(drawn.font).lineSpacing() <= drawn.rect.height()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_current_atom_is_filled(window, qtbot, theme):
    _, desk = window(theme)
    desk.prior_panel.pick("MoS2")
    desk.segment_panel.segment.click()
    qtbot.waitUntil(lambda: not desk.runner.busy, timeout=60_000)
    editor = desk.session.editor
    desk.correct_panel.next.click()
    (current,) = editor.layer.selected_data
    filled = np.flatnonzero(editor.layer.face_color[:, 3])
    assert filled.tolist() == [current]
    editor.select([])
    assert not editor.layer.face_color[:, 3].any()


def test_the_montage_is_ranked_beside_the_image(window, qtbot):
    viewer, desk = window()
    desk.prior_panel.pick("MoS2")
    desk.session.set_fit(LatticeFit(desk.session.prior, (POSE,)))
    assert desk.session.fit.is_fit
    panel = desk.reference_panel
    desk.show_step("3 Reference")
    panel.montage_fold.set_expanded(True)
    panel.montage_form.simulate.click()
    qtbot.waitUntil(lambda: not panel.background.busy, timeout=60_000)
    labels = viewer.layers["MoS2 montage labels"].features["label"].tolist()
    best = [text for text in labels if text.startswith("best ")]
    assert len(best) == 1
    assert viewer.layers["MoS2 montage, most alike"].data.shape == (4, 2, 2)
    assert panel.montage_form.said.isVisible()
    assert best[0].split()[1] in panel.montage_form.said.text()
