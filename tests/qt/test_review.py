import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, add_image

from napari_stemprior.atoms import AtomTable
from napari_stemprior.qt.editing.review import Review
from napari_stemprior.qt.image_context import ImageContext
from napari_stemprior.qt.layers.atom_layers import new_atoms_layer
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import built_in


@pytest.fixture
def review(viewer, session):
    image = add_image(viewer)
    viewer.add_layer(new_atoms_layer(image, PIXEL_SIZE, 1.0))
    table = AtomTable.from_positions(
        [(10, 10), (10, 30), (30, 10), (30, 30)],
        PIXEL_SIZE,
        confidence=[0.3, 0.1, 0.2, 0.9],
        status=["review", "review", "review", "ok"],
    )
    session.editor.take_prediction(table)
    return Review(ImageContext(session))


def selected(review):
    return review.editor.selected_rows


def test_the_most_doubtful_comes_first_and_is_centred(viewer, review):
    review.step(viewer, 1)
    assert selected(review) == [1]
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (10 * PIXEL_SIZE, 30 * PIXEL_SIZE))
    seen = []
    for by in (1, 1, 1, -1):
        review.step(viewer, by)
        seen += selected(review)
    assert seen == [2, 0, 1, 0]


def test_a_judgement_goes_on_to_the_next(viewer, review):
    editor = review.editor
    review.step(viewer, 1)
    assert review.progress() == "1 of 3"
    for status, following in (("accepted", [2]), ("rejected", [0]), ("accepted", [])):
        editor.set_status(selected(review), status)
        review.judged(viewer)
        assert selected(review) == following
    assert review.step(viewer, 1) is None
    assert review.progress() == ""
    editor.undo()
    assert review.progress() == "3 of 3"


def test_hidden_atoms_do_not_wait(review):
    review.editor.threshold = 0.15
    assert [review.queue.doubts[i].atom_id for i in review.waiting()] == [2, 0]


def test_an_atom_that_a_person_clicks_is_where_they_are(viewer, review):
    review.step(viewer, 1)
    review.editor.layer.selected_data = {0}
    review.look_at_selected()
    assert review.progress() == "3 of 3"


def test_an_empty_site_is_a_place_to_look_at(viewer, session, review):
    prior = built_in("MoS2")
    pose = Pose.from_angle(0.0, PIXEL_SIZE, (5.0, 9.0), score=0.9)
    session.set_prior(prior)
    session.set_fit(LatticeFit(prior, (pose,)))
    yx, index = pose.columns(prior, (80, 100))
    gap = int(np.argmin(np.hypot(*(yx - (40, 50)).T)))
    keep = np.arange(len(yx)) != gap
    elements = np.array([prior.columns[i].element for i in index], object)[keep]
    review.editor.begin((), session.editor.history.__class__(AtomTable.empty(PIXEL_SIZE).rows), {})
    review.editor.take_prediction(AtomTable.from_positions(yx[keep], PIXEL_SIZE, element=elements))
    doubt = review.step(viewer, 1)
    assert doubt.site >= 0
    assert "no atom on a site of" in doubt.reasons[0]
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], yx[gap] * PIXEL_SIZE, atol=0.05)
    assert selected(review) == []
