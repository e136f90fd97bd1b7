"""Step 5: atoms that the image cannot show are one question."""

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, add_image
from qtpy.QtWidgets import QApplication

from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.inferred import inferred
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.atom_layers import new_atoms_layer
from napari_stemprior.qt.panels.correct_panel import CorrectPanel


@pytest.fixture
def panel(qtbot, viewer, session):
    image = add_image(viewer)
    viewer.add_layer(new_atoms_layer(image, PIXEL_SIZE, 1.0))
    session.editor.take_prediction(
        AtomTable.from_positions(
            [(10, 10), (10, 30), (10, 50), (40, 10), (40, 30)],
            PIXEL_SIZE,
            element=["O", "O", "O", "Sr", "Sr"],
            source=["lattice"] * 3 + ["model"] * 2,
            evidence=[0.0, 0.0, 0.0, 0.9, 0.9],
            confidence=[0.9, 0.9, 0.9, 0.95, 0.4],
            status=["ok", "ok", "ok", "ok", "review"],
        )
    )
    panel = CorrectPanel(session, JobRunner())
    qtbot.addWidget(panel)
    return panel


def statuses(panel):
    return panel.session.editor.rows["status"].tolist()


def test_the_group_comes_as_one_place_and_the_keys_answer_it(panel):
    panel.go_next()
    assert "3 O stand on the prior alone" in panel.queue.text()
    assert panel.review.progress() == "1 of 2"
    panel.accept_selected()
    assert statuses(panel) == ["accepted"] * 3 + ["ok", "review"]
    QApplication.processEvents()
    assert panel.inferred.isHidden()
    assert panel.session.editor.selected_rows == [4], "the review goes on"
    panel.undo_edit()
    assert statuses(panel) == ["ok"] * 4 + ["review"], "one edit"


def test_a_selected_atom_is_meant_rather_than_the_group(panel):
    panel.go_next()
    panel.session.editor.select([1])
    panel.reject_selected()
    assert statuses(panel) == ["ok", "rejected", "ok", "ok", "review"]
    QApplication.processEvents()
    assert panel.inferred.said.text().startswith("2 O")


def test_all_are_left_out_and_come_back(panel):
    panel.inferred.leave_out.click()
    editor = panel.session.editor
    assert editor.table().rows["element"].tolist() == ["Sr", "Sr"]
    panel.undo_edit()
    assert len(editor.table()) == 5
    assert not panel.inferred.isHidden()


def test_all_are_hidden_without_a_judgement(panel):
    editor = panel.session.editor
    panel.inferred.hide_all.click()
    assert editor.hidden.tolist() == [True] * 3 + [False] * 2
    assert not editor.layer.shown[:3].any()
    assert len(editor.table()) == 5
    assert len(editor.table(shown_only=True)) == 2
    assert [panel.review.queue.doubts[i].atom_id for i in panel.review.waiting()] == [4]
    assert inferred(editor.rows).sum() == 3
    panel.inferred.hide_all.click()
    assert not editor.hidden.any()
    assert np.asarray(editor.layer.shown).all()
