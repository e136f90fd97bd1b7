import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, add_image

from napari_stemprior.atoms import AtomTable
from napari_stemprior.qt import review
from napari_stemprior.qt.editing import AtomEditor
from napari_stemprior.qt.layers import new_atoms_layer


@pytest.fixture
def editor(viewer):
    layer = new_atoms_layer(add_image(viewer), PIXEL_SIZE, 1.0)
    viewer.add_layer(layer)
    editor = AtomEditor(layer, PIXEL_SIZE)
    table = AtomTable.from_positions(
        [(10, 10), (10, 30), (30, 10), (30, 30)],
        PIXEL_SIZE,
        confidence=[0.3, 0.1, 0.2, 0.9],
        status=["review", "review", "review", "ok"],
    )
    editor.take_prediction(table)
    return editor


def test_the_most_doubtful_comes_first_and_is_centred(viewer, editor):
    assert review.queue(editor) == [1, 2, 0]
    assert review.step(viewer, editor, 1) == 1
    assert editor.layer.selected_data == {1}
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (10 * PIXEL_SIZE, 30 * PIXEL_SIZE))
    assert [review.step(viewer, editor, 1) for _ in range(3)] == [2, 0, 1]
    assert review.step(viewer, editor, -1) == 0


def test_a_judgement_goes_on_to_the_next(viewer, editor):
    review.step(viewer, editor, 1)
    review.judge(viewer, editor, "accepted")
    assert editor.layer.selected_data == {2}
    review.judge(viewer, editor, "rejected")
    assert editor.layer.selected_data == {0}
    review.judge(viewer, editor, "accepted")
    assert review.queue(editor) == []
    assert review.step(viewer, editor, 1) is None
    assert editor.rows["status"].tolist() == ["accepted", "accepted", "rejected", "ok"]


def test_hidden_atoms_do_not_wait(editor):
    editor.threshold = 0.15
    assert review.queue(editor) == [2, 0]
