import re

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, POSE, SHAPE, add_image, fake_operations
from napari.layers import Image, Labels
from napari.utils.notifications import notification_manager

from napari_stemprior.errors import StempriorError
from napari_stemprior.optics import Instrument
from napari_stemprior.progress import drain
from napari_stemprior.qt.layers.atom_layers import owner_of, pixel_size_of, role_of
from napari_stemprior.qt.layers.comparison import Comparison
from napari_stemprior.qt.session import Session
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import built_in, load_prior
from napari_stemprior.structure.library import build_atoms, entries
from napari_stemprior.workflow.reference import Reference, ReferenceSettings
from napari_stemprior.workflow.segment import SegmentSettings, segment


def segmented(session, **settings):
    choice = SegmentSettings("small", **settings)
    prior = session.prior if choice.with_prior else None
    return drain(segment(session.operations, session.micrograph(), prior, session.known_fit, choice))


def test_the_last_opened_image_is_taken_and_a_closed_one_let_go(viewer, session):
    assert session.image is None
    with pytest.raises(StempriorError, match="no image"):
        session.micrograph()
    first = add_image(viewer, name="first")
    assert session.image is first
    second = add_image(viewer, name="second")
    assert session.image is second  # napari selects what was opened, and the desk follows the selection
    viewer.layers.selection.active = first
    assert session.image is first
    viewer.layers.remove(first)
    assert session.image is second
    viewer.layers.clear()
    assert session.image is None


def test_only_images_that_can_be_micrographs_are_offered(viewer, session):
    image = add_image(viewer)
    viewer.add_layer(Labels(np.zeros(SHAPE, int)))
    session.set_prior(built_in("MoS2"))
    settings = ReferenceSettings("MoS2", (session.prior,), (None,), Instrument(), PIXEL_SIZE, SHAPE, 100.0)
    comparison = Comparison(session)
    comparison.show(Reference(settings, np.ones(SHAPE, np.float32), "fast"))
    assert comparison.layer in viewer.layers
    assert session.images == [image]
    comparison.close()


def test_a_pixel_size_is_given_to_every_layer_of_the_image(viewer, session):
    image = viewer.add_layer(Image(np.random.default_rng(0).random(SHAPE)))
    assert session.pixel_size is None
    session.set_prior(built_in("MoS2"))
    session.set_fit(LatticeFit(session.prior, (POSE,)))
    session.show_overlay(True)
    session.set_pixel_size(0.21)
    assert session.pixel_size == pytest.approx(0.21)
    assert session.micrograph().pixel_size == pytest.approx(0.21)
    assert pixel_size_of(session.overlay) == pytest.approx(0.21)
    assert image.units[0] == session.overlay.units[0]
    session.set_pixel_size(0.5)
    assert session.pose is None, "a pose found at another scale counts no more"


def test_a_pose_belongs_to_one_image_and_one_prior(viewer, session):
    first = add_image(viewer, name="first")
    second = add_image(viewer, name="second")
    session.choose_image(first)
    session.set_prior(built_in("MoS2"))
    session.set_fit(LatticeFit(session.prior, (POSE,)))
    session.choose_image(second)
    assert session.pose is None
    session.choose_image(first)
    assert session.pose is POSE
    session.set_prior(built_in("WS2"))
    assert session.pose is None


def test_a_pose_that_is_no_fit_is_not_handed_on(viewer, session):
    add_image(viewer)
    session.set_prior(built_in("MoS2"))
    session.set_fit(LatticeFit(session.prior, (Pose(POSE.affine, POSE.origin, 0.2),)))
    assert session.pose is not None
    assert session.known_fit is None


def test_a_segmentation_becomes_an_atoms_layer_in_angstrom(viewer, session):
    image = add_image(viewer)
    session.set_prior(built_in("MoS2"))
    session.take_segmentation(image, segmented(session))
    layer = session.editor.layer
    assert viewer.layers.selection.active is layer
    assert (role_of(layer), owner_of(layer)) == ("atoms", str(image.unique_id))
    np.testing.assert_allclose(layer.scale, (PIXEL_SIZE, PIXEL_SIZE))
    assert [str(u) for u in layer.units] == ["angstrom", "angstrom"]
    assert session.editor.provenance["model"] == "small"
    assert session.pose is POSE


def test_a_second_run_keeps_edits_and_says_so(viewer, session):
    image = add_image(viewer)
    session.set_prior(built_in("MoS2"))
    session.take_segmentation(image, segmented(session))
    layer = session.editor.layer
    session.editor.set_status([3], "rejected")
    n = len(session.editor.table())
    session.take_segmentation(image, segmented(session, trust=0.5))
    assert session.editor.layer is layer
    assert len(session.editor.table()) == n
    assert "1 places held empty" in notification_manager.records[-1].message


def test_a_result_for_a_closed_image_is_dropped(viewer, session):
    image = add_image(viewer)
    session.set_prior(built_in("MoS2"))
    result = segmented(session)
    viewer.layers.remove(image)
    session.take_segmentation(image, result)
    assert len(viewer.layers) == 0


def test_a_new_desk_takes_up_the_atoms_of_the_old_one(viewer, session):
    image = add_image(viewer)
    session.set_prior(built_in("MoS2"))
    session.take_segmentation(image, segmented(session))
    rows = session.editor.rows
    session.close()
    again = Session(viewer, fake_operations())
    assert again.editor.rows.equals(rows)
    again.close()


def test_a_removed_atoms_layer_is_let_go(viewer, session):
    image = add_image(viewer)
    session.set_prior(built_in("MoS2"))
    session.take_segmentation(image, segmented(session))
    viewer.layers.remove(session.editor.layer)
    assert session.editor is None
    session.take_segmentation(image, segmented(session))
    assert len(session.editor.rows)
    assert not session.can_restore_atoms


def test_a_removed_atoms_layer_comes_back_with_its_history(viewer, session):
    image = add_image(viewer)
    session.set_prior(built_in("MoS2"))
    session.take_segmentation(image, segmented(session))
    editor = session.editor
    editor.layer.add((4, 4))
    viewer.layers.remove(editor.layer)
    assert session.can_restore_atoms
    session.restore_atoms()
    assert session.editor is editor
    assert editor.layer in viewer.layers
    n = len(editor.rows)
    editor.layer.add((6, 6))
    assert len(editor.rows) == n + 1
    editor.undo()
    editor.undo()
    assert len(editor.rows) == n - 1


def test_two_viewers_share_nothing(viewer, session):
    from napari.components import ViewerModel

    other = Session(ViewerModel(), fake_operations())
    add_image(viewer)
    session.set_prior(built_in("MoS2"))
    assert other.image is None
    assert other.prior is None
    other.close()


def test_the_shown_frame_of_a_stack_is_segmented(viewer, session):
    data = np.random.default_rng(0).random((3, *SHAPE)).astype(np.float32)
    viewer.add_layer(Image(data, scale=(1, 0.2, 0.2), units=("pixel", "angstrom", "angstrom")))
    viewer.dims.set_current_step(0, 2)
    np.testing.assert_array_equal(session.micrograph().image, data[2])
    viewer.dims.set_current_step(0, 1)
    np.testing.assert_array_equal(session.micrograph().image, data[1])


def test_segmenting_without_a_pixel_size_says_what_to_do(viewer, session):
    viewer.add_layer(Image(np.random.default_rng(0).random(SHAPE)))
    with pytest.raises(StempriorError, match="step 1"):
        segmented(session, with_prior=False)


def test_an_edited_structure_file_that_is_read_again_is_taken(session, tmp_path):
    path = tmp_path / "crystal.cif"
    told = []
    session.prior_changed.connect(lambda: told.append(session.prior.period))
    build_atoms(entries()["SrTiO3 [001]"]).write(path)
    session.set_prior(load_prior(path, (0, 0, 1)))
    session.set_prior(load_prior(path, (0, 0, 1)))
    edited = re.sub(r"(_cell_length_c\s+)\S+", r"\g<1>4.0", path.read_text())
    path.write_text(edited)  # across the beam nothing changes
    session.set_prior(load_prior(path, (0, 0, 1)))
    assert told == pytest.approx([3.905, 4.0])
