"""A painted mask is heeded everywhere and kept with its image."""

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, SHAPE, add_image, picture
from napari.layers import Image

from napari_stemprior.qt.image_context import ImageContext
from napari_stemprior.qt.image_list import ImageList
from napari_stemprior.qt.jobs.journal_service import JournalService
from napari_stemprior.qt.layers.atom_layers import mask_of, micrograph_from_layer
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.mask_box import MaskBox
from napari_stemprior.recording.mask_text import mask_to_dict
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import built_in
from napari_stemprior.workflow.segment import Segmentation

MASK = np.zeros(SHAPE, bool)
MASK[20:50, 30:70] = True


@pytest.fixture
def box(session, viewer, qtbot):
    add_image(viewer)
    box = MaskBox(session)
    qtbot.addWidget(box)
    box.bot = qtbot
    return box


def paint(box, mask=MASK):
    box.start()
    box.layer.data_setitem(np.nonzero(mask), 1)
    box.bot.waitUntil(lambda: box.session.mask is not None, timeout=5000)


def test_what_is_painted_is_in_the_micrograph_and_in_every_frame(box, session, viewer):
    assert session.micrograph().excluded is None
    paint(box)
    np.testing.assert_array_equal(session.micrograph().excluded, MASK)
    np.testing.assert_array_equal(session.recording().excluded, MASK)
    assert box.said.text() == f"Mask: {100 * MASK.mean():.1f} % of the image."
    stack = viewer.add_layer(Image(np.stack([picture(), picture() + 1]), scale=(1, 0.2, 0.2)))
    session.choose_image(stack)
    assert session.mask is None, "each image has its own"
    assert box.layer is None
    paint(box, MASK[::-1])
    for frame in (0, 1):
        np.testing.assert_array_equal(micrograph_from_layer(stack, (frame, 0, 0)).excluded, MASK[::-1])


def test_undo_of_napari_clear_and_a_deleted_layer(box, session, viewer, qtbot):
    paint(box)
    box.layer.undo()
    qtbot.waitUntil(lambda: session.mask is None, timeout=5000)
    box.layer.redo()
    qtbot.waitUntil(lambda: session.mask is not None, timeout=5000)
    viewer.layers.remove(box.layer)
    np.testing.assert_array_equal(session.mask, MASK)
    box.start()
    np.testing.assert_array_equal(box.layer.data, MASK)
    box.clear.click()
    assert session.mask is None
    assert not box.layer.data.any()
    assert box.said.isHidden()
    assert not box.clear.isEnabled()
    box.layer.undo()
    qtbot.waitUntil(lambda: session.mask is not None, timeout=5000)


def test_sites_and_questions_in_the_mask_go_and_come_back(box, session):
    from desk_fakes import fake_fit_lattice

    prior = built_in("MoS2")
    session.set_prior(prior)
    session.set_fit(fake_fit_lattice(None, PIXEL_SIZE, prior))
    context = ImageContext(session)
    before = len(context.lattice)
    paint(box)
    assert session.fit.sites is None, "they are listed anew with the mask"
    assert isinstance(session.fit, LatticeFit)
    at = np.rint(context.lattice.inside(SHAPE).yx).astype(int)
    assert not MASK[at[:, 0], at[:, 1]].any()
    assert len(context.lattice) < before
    box.clear.click()
    at = np.rint(context.lattice.inside(SHAPE).yx).astype(int)
    assert MASK[at[:, 0], at[:, 1]].any()


def test_atoms_in_the_mask_are_counted(box, session):
    from napari_stemprior.atoms import AtomTable

    table = AtomTable.from_positions([(30, 40), (31, 60), (5, 5)], PIXEL_SIZE)
    session.take_segmentation(session.image, Segmentation(table))
    paint(box)
    assert "2 atoms lie in it; they go when you segment again" in box.said.text()
    session.take_segmentation(session.image, Segmentation(table.where(np.array([False, False, True]))))
    assert box.said.text() == f"Mask: {100 * MASK.mean():.1f} % of the image."


def test_all_images_segments_with_the_mask(box, session):
    paint(box)
    images = ImageList(session)
    images.update()
    (waiting,) = images.waiting(images.images)
    np.testing.assert_array_equal(waiting.load().excluded, MASK)


def test_the_journal_brings_the_mask_back(box, session, viewer, operations, qtbot):
    from napari_stemprior.atoms import AtomTable

    service = JournalService(session)
    session.take_segmentation(session.image, Segmentation(AtomTable.from_positions([(5, 5)], PIXEL_SIZE)))
    paint(box)
    session.editor.add([(9, 9)])
    service.close()
    session.close()
    viewer.layers.clear()
    image = add_image(viewer)
    assert mask_of(image) is None
    again = Session(viewer, operations)
    service = JournalService(again)
    assert service.offers
    service.restore()
    np.testing.assert_array_equal(again.mask, MASK)
    assert image.metadata["stemprior"]["mask_text"] == mask_to_dict(MASK)
    service.close()
    again.close()
