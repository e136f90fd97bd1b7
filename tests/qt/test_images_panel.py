"""All images of a desk in one table: segmented together, gone through, saved together."""

import threading
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
from desk_bench import Desk, said, why_not
from desk_fakes import PIXEL_SIZE, FakeSegmenter, add_image, picture
from napari.layers import Image
from qtpy.QtCore import Qt

from napari_stemprior.io import TrainingPairDataset
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs
from napari_stemprior.qt.widgets.image_table import ATOMS, DOUBTS, FIT, NAME, PRIOR, REVIEWED
from napari_stemprior.structure import built_in, names


class Fewer(FakeSegmenter):
    """Has more doubts where the image is brighter."""

    def steps(self, prior, *, trust=1.0, fit=None):
        table = yield from super().steps(prior, trust=trust, fit=fit)
        table.provenance.update(prior_fits=True, prior=prior.name)
        table.rows.loc[:, "status"] = "ok"
        table.rows.loc[: self.level - 10, "status"] = "review"
        return table

    def set_image(self, image, pixel_size):
        super().set_image(image, pixel_size)
        self.level = round(float(image.mean()))


@pytest.fixture
def desk(qtbot, viewer):
    desk = Desk(qtbot, viewer, segmenter=Fewer)
    yield desk
    desk.widget.close()


def add_stack(desk, count=3):
    frames = [Micrograph(picture() + 3 * i, PIXEL_SIZE, f"stack [{i}]") for i in range(count)]
    ((data, meta, _),) = layer_from_micrographs(frames)
    return desk.viewer.add_layer(Image(data, **meta))


def cells(desk, column):
    order = desk.images_panel.table.order
    return [order.index(row, column).data() for row in range(order.rowCount())]


def click(desk, row, column=NAME):
    table = desk.images_panel.table
    table.clicked.emit(table.order.index(row, column))
    desk.finish(desk.images_panel._opener)


def test_the_table_follows_the_layers(desk):
    assert "Open a micrograph" in why_not(desk.images_panel.segment)
    add_stack(desk)
    single = add_image(desk.viewer, name="single")
    assert cells(desk, NAME) == ["single", "stack [0]", "stack [1]", "stack [2]"]
    assert desk.images_panel.table.order.index(0, NAME).data(Qt.ItemDataRole.DecorationRole) is not None
    assert set(cells(desk, ATOMS)) == {""}
    desk.viewer.layers.remove(single)
    assert cells(desk, NAME) == ["stack [0]", "stack [1]", "stack [2]"]


def test_all_images_are_segmented_in_the_background_each_into_its_own_state(desk):
    stack = add_stack(desk)
    first = add_image(desk.viewer, name="first")
    assert "Pick a lattice prior" in why_not(desk.images_panel.segment)
    desk.prior_panel.pick("MoS2")
    active = desk.viewer.layers.selection.active
    desk.press(desk.images_panel.segment)
    assert desk.session.image is first, "what a person looks at stays"
    assert desk.viewer.layers.selection.active is active
    doubts = [int(number) for number in cells(desk, DOUBTS)]
    assert doubts == sorted(doubts, reverse=True), "the most doubtful first"
    assert len(set(doubts)) > 1
    assert set(cells(desk, FIT)) == {"✓"}
    assert set(cells(desk, PRIOR)) == {"MoS2"}
    session = desk.session
    assert session.specimen(stack).editor.frames == [(0,), (1,), (2,)]
    assert set(session.specimen(stack).fits) == {(0,), (1,), (2,)}
    assert session.editor.frames == [()]
    assert f"4 of 4 segmented, {sum(doubts)} doubts" in desk.sections["All images"].state
    for row, count in enumerate(doubts):
        click(desk, row)
        assert desk.sections["5 Correct"].state.endswith(f" · {count} doubts"), "one number, one word"
    assert [int(number) for number in cells(desk, DOUBTS)] == doubts, "nor does looking change it"
    click(desk, 0)
    desk.correct_panel.go_next()
    desk.correct_panel.accept_selected()
    assert cells(desk, DOUBTS)[0] == str(doubts[0] - 1)
    desk.correct_panel.undo_edit()
    assert cells(desk, DOUBTS)[0] == str(doubts[0])

    assert session.image is stack
    assert session.frame == (2,)
    assert session.prior.name == "MoS2"
    assert session.fit is session.specimen(stack).fits[2,]
    assert not first.visible
    assert not session.specimen(first).editor.layer.visible
    assert stack.visible
    desk.images_panel.next.click()
    assert session.frame == (1,)
    desk.images_panel.go(1)
    desk.images_panel.go(1)
    assert {session.image, first} == {first} or session.frame == (0,)


def test_corrections_stay_and_are_asked_about(desk, monkeypatch):
    add_image(desk.viewer, name="a")
    add_image(desk.viewer, name="b")
    desk.prior_panel.pick("MoS2")
    panel = desk.images_panel
    desk.press(panel.segment)
    editor = desk.session.editor
    editor.delete([5])
    gone = editor.rows.loc[5, ["y_px", "x_px"]].to_numpy(float)
    steps = len(editor.history.steps)
    asked = []
    for answer, more in ((None, 0), (False, 0), (True, 1)):
        monkeypatch.setattr(panel, "ask_corrected", lambda count, a=answer: (asked.append(count), a)[1])
        desk.press(panel.segment)
        assert len(editor.history.steps) == steps + more
    assert asked == [1, 1, 1]
    kept = editor.table().yx
    assert np.linalg.norm(kept - gone, axis=1).min() > 1, "a place that was rejected stays empty"
    editor.undo()
    assert len(editor.history.steps) == steps + 1


def test_prior_and_pixel_size_are_copied_to_all(desk):
    other = add_image(desk.viewer, pixel_size=None, name="other")
    add_image(desk.viewer, name="chosen")
    desk.prior_panel.pick("MoS2")
    desk.images_panel.copy.click()
    assert desk.session.specimen(other).prior.name == "MoS2"
    desk.viewer.layers.selection.active = other
    assert desk.session.pixel_size == pytest.approx(PIXEL_SIZE)
    assert desk.session.pixel_size_from == "given"


def test_a_folder_is_segmented_without_being_opened_and_opens_on_a_click(desk, tmp_path):
    for number in range(3):
        image = picture() + 3 * number
        tifffile.imwrite(tmp_path / f"f{number}.tif", image, photometric="minisblack")
    (tmp_path / "bad.tif").write_bytes(b"no image")
    add_image(desk.viewer, name="chosen")
    desk.prior_panel.pick("MoS2")
    panel = desk.images_panel
    panel.take_folder(tmp_path)
    desk.finish()
    assert cells(desk, NAME) == ["bad", "chosen", "f0", "f1", "f2"]
    panel.copy.click()
    desk.press(panel.segment)
    assert len(desk.session.images) == 1, "no file was opened"
    doubts = cells(desk, DOUBTS)
    assert int(doubts[0]) >= int(doubts[1]) >= int(doubts[2]) >= int(doubts[3]) > 0
    assert doubts[4] == ""
    assert "bad.tif" in panel.table.order.index(4, NAME).data(Qt.ItemDataRole.ToolTipRole)
    assert any("bad" in text for text in said())
    click(desk, 0)
    session = desk.session
    assert session.image.name == "f2"
    assert session.prior.name == "MoS2"
    assert session.pixel_size == pytest.approx(PIXEL_SIZE)
    assert session.micrograph().source == tmp_path / "f2.tif"
    assert (session.editor.history.column("status") == "review").sum() == 7
    assert cells(desk, DOUBTS) == doubts, "what was counted while the file was not open"
    assert desk.sections["5 Correct"].state.endswith(f" · {doubts[0]} doubts")
    session.editor.set_status([0], "accepted")
    assert cells(desk, DOUBTS)[0] == str(int(doubts[0]) - 1)
    click(desk, 4)
    assert "bad" in said()[-1]
    desk.viewer.layers.remove(session.image)
    assert "f2" in cells(desk, NAME), "it is a file still"


def test_ticked_images_are_the_training_set_and_all_are_the_results(desk, tmp_path):
    add_stack(desk)
    desk.prior_panel.pick("MoS2")
    panel = desk.images_panel
    desk.press(panel.segment)
    assert "Tick the images" in why_not(panel.pairs)
    order = panel.table.order
    assert order.setData(
        order.index(2, REVIEWED), Qt.CheckState.Checked.value, Qt.ItemDataRole.CheckStateRole
    )
    assert panel.pairs.isEnabled()
    panel.write_pairs(tmp_path / "pairs")
    desk.finish()
    assert len(TrainingPairDataset(tmp_path / "pairs")) == 1
    panel.write_results(tmp_path / "out")
    desk.finish()
    rows = pd.read_csv(tmp_path / "out" / "results.csv")
    shown = dict(zip(cells(desk, NAME), map(int, cells(desk, DOUBTS)), strict=True))
    assert dict(zip(rows["image"], rows["doubts"], strict=True)) == shown
    assert list(rows["frame"]) == [0, 1, 2]
    assert all((tmp_path / "out" / name).is_file() for name in rows["output"])


class Stuck(Fewer):
    """Waits before its second image."""

    go, count = threading.Event(), 0

    def steps(self, prior, *, trust=1.0, fit=None):
        type(self).count += 1
        if type(self).count > 1:
            while not self.go.wait(0.01):
                yield Progress(0, 1, "Waiting")
        return (yield from super().steps(prior, trust=trust, fit=fit))


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_what_is_done_stays_after_a_cancel_and_nothing_breaks_when_the_desk_is_closed(qtbot, viewer, how):
    Stuck.count = 0
    Stuck.go.clear()
    desk = Desk(qtbot, viewer, segmenter=Stuck)
    stack = add_stack(desk)
    desk.prior_panel.pick("MoS2")
    desk.images_panel.segment.click()
    session = desk.session
    qtbot.waitUntil(lambda: session.specimen(stack).editor is not None, timeout=60_000)
    assert desk.images_panel.job.ours
    if how == "close":
        desk.widget.close()
    else:
        desk.images_panel.job.cancel.click()
    desk.finish()
    if how == "cancel":
        assert session.specimen(stack).editor.frames == [(0,)]
        assert "1 of 3" in desk.sections["All images"].state
        desk.widget.close()


def test_images_without_a_prior_are_given_the_crystal_that_fits_best(desk):
    stack = add_stack(desk)
    panel = desk.images_panel
    first = add_image(desk.viewer, name="first")
    panel.show_image(panel.images.images[0])
    desk.session.set_prior(built_in("graphene"))
    waiting = {one.layer for one in panel.images.without_prior()}
    other = stack if desk.session.image is first else first
    assert waiting == {other}, "one of a stack stands for all, and what has a prior keeps it"
    desk.press(panel.suggest)
    assert desk.session.prior.name == "graphene"
    best = names()[-1]
    assert desk.session.specimen(other).prior.name == best
    assert set(cells(desk, PRIOR)) == {"graphene", best}
    assert "1 of 1 images have a prior now" in panel.said.text()
    assert "looks the same as" in panel.said.text()
    assert "has a prior or atoms already" in why_not(panel.suggest)


def test_a_prior_that_a_person_chose_meanwhile_stays(desk):
    layer = add_image(desk.viewer, name="first")
    panel = desk.images_panel
    (image,) = panel.images.without_prior()
    desk.session.set_prior(built_in("graphene"))
    panel.images.take_prior(image, built_in("MoS2"))
    panel.images.take_prior(image, None, "no crystal fits")
    assert desk.session.specimen(layer).prior.name == "graphene"
    assert not image.problem


def test_an_image_that_shows_no_crystal_says_so_in_its_row(desk):
    def nothing(image, pixel_size, priors):
        yield Progress(0, 1, "ranking")
        return []

    desk.session.operations = replace(desk.session.operations, rank_priors=nothing)
    add_image(desk.viewer, name="first")
    desk.press(desk.images_panel.suggest)
    assert desk.session.prior is None
    assert "no crystal of the library fits" in desk.images_panel.images.images[0].problem
    assert any("no crystal of the library fits" in sentence for sentence in said())
