"""The desk follows the selected image and keeps a state of its own for each, frames of a stack included."""

import numpy as np
import pytest
from desk_bench import Desk
from desk_fakes import PIXEL_SIZE, POSE, add_image, picture
from napari.layers import Image

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs
from napari_stemprior.registration import LatticeFit


@pytest.fixture
def desk(qtbot, viewer):
    desk = Desk(qtbot, viewer)
    yield desk
    desk.widget.close()


def select(desk, layer):
    desk.viewer.layers.selection.active = layer


def test_each_image_has_its_own_state(desk, tmp_path):
    first = add_image(desk.viewer, name="first")
    desk.prior_panel.pick("MoS2")
    desk.press(desk.prior_panel.suggest)
    desk.press(desk.segment_panel.segment)
    desk.export_panel.write(tmp_path / "a.csv")
    desk.finish()
    titles = ("4 Segment", "5 Correct", "6 Export")
    states = [desk.sections[title].state for title in titles]
    assert "atoms" in states[0]
    assert states[2] == "saved"
    prior, message = desk.session.prior, desk.segment_panel.stage.text()
    assert not desk.prior_panel.suggestions.isHidden()

    second = add_image(desk.viewer, name="second")
    assert desk.session.image is second
    assert desk.session.prior is None
    assert [desk.sections[title].state for title in titles] == ["", "", ""]
    assert desk.segment_panel.stage.isHidden()
    assert desk.prior_panel.suggestions.isHidden()
    assert desk.prior_panel.names.currentIndex() == -1
    assert desk.export_panel.done.isHidden()
    desk.prior_panel.pick("WS2")

    select(desk, first)
    assert desk.session.prior is prior
    assert [desk.sections[title].state for title in titles] == states
    assert desk.segment_panel.stage.text() == message
    assert not desk.prior_panel.suggestions.isHidden()
    select(desk, second)
    assert desk.session.prior.name == "WS2"


def test_the_atoms_of_an_image_bring_their_image(desk):
    desk.segmented()
    first, atoms = desk.session.image, desk.session.editor.layer
    add_image(desk.viewer, name="second")
    assert desk.session.image is not first
    select(desk, atoms)
    assert desk.session.image is first
    assert desk.session.editor.layer is atoms


def test_a_result_comes_to_the_image_that_it_was_made_for(desk):
    first = add_image(desk.viewer, name="first")
    desk.prior_panel.pick("MoS2")
    desk.prior_panel.fit.click()
    second = add_image(desk.viewer, name="second")
    desk.finish()
    assert desk.session.image is first
    assert desk.session.fit is not None
    select(desk, second)
    assert desk.session.fit is None
    assert desk.session.overlay is None


def test_a_prior_chosen_before_there_is_an_image_waits_for_the_first(desk):
    desk.prior_panel.pick("MoS2")
    add_image(desk.viewer)
    assert desk.session.prior.name == "MoS2"


def test_an_untouched_frame_of_a_stack_has_nothing_to_review(desk):
    frames = [Micrograph(picture() + i, PIXEL_SIZE, f"stack [{i}]") for i in range(3)]
    ((data, meta, _),) = layer_from_micrographs(frames)
    desk.viewer.add_layer(Image(data, **meta))
    desk.viewer.dims.set_current_step(0, 0)
    desk.prior_panel.pick("MoS2")
    desk.session.set_fit(LatticeFit(desk.session.prior, (POSE,)))
    desk.press(desk.segment_panel.segment)
    assert " doubts" in desk.sections["5 Correct"].state
    desk.viewer.dims.set_current_step(0, 1)
    assert desk.session.frame == (1,)
    assert desk.sections["5 Correct"].state == "not segmented"
    assert "not been segmented" in desk.correct_panel.counts.text()
    assert not desk.correct_panel.review.waiting()
    assert desk.correct_panel.queue.isHidden()
    desk.session.editor.add(np.array([[20.0, 30.0]]), "add")  # from now on a person works here
    desk.turn()
    assert desk.sections["5 Correct"].state.startswith("1 atoms")
    desk.viewer.dims.set_current_step(0, 0)
    assert " doubts" in desk.sections["5 Correct"].state


def test_suggestions_say_how_they_differ_and_outlast_a_fit_of_the_pixel_size(desk):
    add_image(desk.viewer, pixel_size=0.21)
    desk.press(desk.prior_panel.suggest)
    table = desk.prior_panel.suggestions
    headers = [table.horizontalHeaderItem(i).text() for i in range(table.columnCount())]
    assert headers == ["Prior", "Fit", "Pattern", "Å/px", "Size"]
    first = [table.item(0, i).text() for i in range(1, table.columnCount())]
    assert first == ["0.90", "60 %", "0.2000", "-4.8 %"]
    table.cellClicked.emit(0, 0)
    desk.finish()
    desk.press(desk.image_panel.fit)
    assert desk.session.pixel_size == pytest.approx(0.2)
    assert not table.isHidden()
    assert [table.item(0, i).text() for i in range(1, table.columnCount())] == first
