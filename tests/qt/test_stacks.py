"""A stack in the desk: placed, segmented and named with all of its layers."""

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, POSE, SHAPE, FakeSegmenter, add_image, fake_operations

from napari_stemprior.atoms import AtomTable
from napari_stemprior.progress import Progress, drain
from napari_stemprior.qt.layers.atom_layers import KEY
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.fit_text import fit_sentence
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.registration.multilayer.stack_fit import StackPose
from napari_stemprior.registration.multilayer.stack_lattice import stack_lattice
from napari_stemprior.structure import Stack, built_in, load_prior
from napari_stemprior.structure.lattice_sites import LatticeSites
from napari_stemprior.workflow.fit_lattice import refine_pose
from napari_stemprior.workflow.segment import SegmentSettings, segment
from napari_stemprior.workflow.segment_box import Box, segment_box

BELOW = Pose.from_angle(10.0, PIXEL_SIZE, (3.0, 4.0), score=0.7)
FOUND = StackPose((POSE, BELOW), 0.7)
CHOICE = SegmentSettings("small")


class StackSegmenter(FakeSegmenter):
    """Answers with the columns of the layers that are placed; `found` is what it fits."""

    found = None

    def steps(self, prior, *, trust=1.0, fit=None):
        yield Progress(0, 1, "Segmenting")
        assert isinstance(prior, Stack)
        self.asked.append(fit)
        self.fit = fit or self.found(prior)
        parts = [
            (layer, pose.columns(layer, self.shape))
            for layer, pose in zip(self.fit.layers, self.fit.poses, strict=True)
        ]
        columns = [layer.columns[i] for layer, (_, index) in parts for i in index]
        return AtomTable.from_positions(
            np.concatenate([yx for _, (yx, _) in parts]),
            self.pixel_size,
            provenance={"prior": prior.name, "prior_fits": True},
            element=[c.element for c in columns],
            site=[c.site for c in columns],
            layer=[c.layer for c in columns],
        )


@pytest.fixture
def bench(viewer):
    """Make a session on an image, with the stack chosen."""
    sessions = []

    def make(found=lambda stack: stack_lattice(stack, FOUND)):
        asked = []
        segmenter = type("Segmenter", (StackSegmenter,), {"found": staticmethod(found), "asked": asked})
        session = Session(viewer, fake_operations(segmenter=segmenter))
        sessions.append(session)
        add_image(viewer)
        session.set_prior(load_prior("MoS2/WS2 twist 3"))
        return session, asked

    yield make
    for session in sessions:
        session.close()


def run(session):
    work = segment(session.operations, session.micrograph(), session.prior, session.known_fit, CHOICE)
    return drain(work)


def test_a_stack_is_segmented_with_all_of_its_layers(bench):
    session, asked = bench()
    result = run(session)
    assert result.prior is session.prior
    assert asked == [None], "a stack that is not placed yet is placed first"
    session.take_segmentation(session.image, result)
    rows = session.editor.table().rows
    assert set(rows["layer"]) == {0, 1}
    assert set(rows.loc[rows["layer"] == 1, "element"]) == {"W", "S"}
    assert session.fit.poses[1] is BELOW, "the lattice of the lower layer is known from now on"
    session.show_overlay(True)
    assert len(session.overlay.data) == len(session.fit.lattice(SHAPE).yx)
    assert set(session.overlay.features["layer"]) == {0, 1}
    run(session)
    assert asked[-1] is session.fit, "where it lies is known now"


def test_a_stack_of_which_one_layer_is_seen_has_the_place_of_that_layer(bench):
    session, _ = bench(lambda stack: LatticeFit(stack, (BELOW,), only_layer=1))
    result = run(session)
    assert result.only_layer.name == "WS2"
    session.take_segmentation(session.image, result)
    assert session.fit.layers == (session.prior.layers[1],)
    assert "WS2 alone" in fit_sentence(session.fit)
    assert set(session.fit.lattice(SHAPE).layer) == {1}
    assert session.editor.layer.metadata[KEY]["role"] == "atoms"


def test_a_rectangle_is_segmented_with_the_place_of_every_layer(bench):
    session, _ = bench()
    session.set_fit(stack_lattice(session.prior, FOUND))
    box = Box((20.0, 20.0), (60.0, 70.0))
    work = segment_box(
        session.operations, session.micrograph(), session.prior, session.known_fit, CHOICE, box
    )
    result = drain(work)
    found = result.table.yx[result.table.rows["layer"] == 1]
    expected, _ = BELOW.columns(session.prior.layers[1], SHAPE)
    gaps = np.linalg.norm(found[:, None] - expected[None], axis=-1).min(axis=1)
    np.testing.assert_allclose(gaps, 0, atol=1e-6)
    assert result.fit is session.known_fit


def test_another_stack_has_no_place(bench):
    session, _ = bench()
    session.set_fit(stack_lattice(session.prior, FOUND))
    assert session.known_fit.poses[1] is BELOW
    session.set_prior(load_prior("MoS2/WS2 twist 8"))
    assert session.known_fit is None
    session.set_prior(built_in("MoS2"))
    assert session.known_fit is None
    assert session.prior == built_in("MoS2")


def test_the_layers_of_a_stack_are_refined_together(bench, viewer):
    session, _ = bench()
    asked = []

    def refine_fit(image, size, fit):
        asked.append(fit)
        return stack_lattice(fit.prior, StackPose(fit.poses, 0.3))

    hand = LatticeFit(session.prior, (POSE, BELOW), by_hand=True)
    placed = drain(refine_pose(fake_operations(refine_fit=refine_fit), session.micrograph(), hand))
    assert asked == [hand]
    assert not placed.by_hand
    assert not placed.is_fit, "a stack is judged as a whole"


def test_a_part_of_the_image_keeps_the_reservations_of_the_whole():
    pose = Pose(np.eye(2), np.zeros(2), 0.8, ("It may be another crystal.",))
    stack = load_prior("MoS2/WS2 twist 3")
    there = LatticeFit(stack, (pose, pose)).cropped((3, 4))
    assert there.reservations == pose.reservations
    for one in there.poses:
        assert (one.reservations, one.score, one.origin.tolist()) == (pose.reservations, 0.8, [-3.0, -4.0])


def test_the_sites_of_a_fit_go_with_the_part_of_the_image():
    prior = built_in("MoS2")
    yx, column = POSE.columns(prior, SHAPE)
    fit = LatticeFit(prior, (POSE,), LatticeSites.of(prior.columns, yx, column))
    there = fit.cropped((10, 20)).lattice((30, 40))
    inside = ((yx >= (9.5, 19.5)) & (yx < (39.5, 59.5))).all(axis=1)
    np.testing.assert_allclose(there.yx, yx[inside] - (10, 20))
