"""A stack in the desk: placed, segmented and named with all of its layers."""

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, POSE, SHAPE, FakeSegmenter, add_image, fake_operations

from napari_stemprior.atoms import AtomTable
from napari_stemprior.progress import Progress, drain
from napari_stemprior.qt.jobs.rerun import Box, _seen_from, segment_box
from napari_stemprior.qt.layers.atom_layers import KEY
from napari_stemprior.qt.session import Session
from napari_stemprior.registration import Pose
from napari_stemprior.registration.multilayer.stack_fit import StackPose
from napari_stemprior.structure import Stack, built_in, load_prior
from napari_stemprior.workflow.fit_lattice import refine_pose
from napari_stemprior.workflow.lattice_fit import LatticeFit
from napari_stemprior.workflow.segment import SegmentSettings, segment

BELOW = Pose.from_angle(10.0, PIXEL_SIZE, (3.0, 4.0), score=0.7)
FOUND = StackPose((POSE, BELOW), 0.7)
CHOICE = SegmentSettings("small")


class StackSegmenter(FakeSegmenter):
    """Answers with the columns of all layers of a stack, or of the lower one where no place is given."""

    def steps(self, prior, *, trust=1.0, pose=None, together=True):
        yield Progress(0, 1, "Segmenting")
        assert isinstance(prior, Stack)
        assert together != (pose is None), "the desk has looked for the layers together"
        poses = pose.poses if pose is not None else (None, BELOW)
        self.pose = poses[0] or poses[1]
        parts = [
            (lay, at.columns(lay, self.shape)) for lay, at in zip(prior.layers, poses, strict=True) if at
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

    def make(found=FOUND):
        asked = []

        def register_stack(image, size, stack):
            asked.append(stack)
            return [found]

        session = Session(viewer, fake_operations(segmenter=StackSegmenter, register_stack=register_stack))
        sessions.append(session)
        add_image(viewer)
        session.set_prior(load_prior("MoS2/WS2 twist 3"))
        return session, asked

    yield make
    for session in sessions:
        session.close()


def run(session):
    work = segment(session.operations, session.micrograph(), session.chosen, session.known_pose, CHOICE)
    return drain(work)


def test_a_stack_is_segmented_with_all_of_its_layers(bench):
    session, asked = bench()
    result = run(session)
    assert result.prior is session.stack
    assert len(asked) == 1, "a stack that is not placed yet is placed first"
    session.take_segmentation(session.image, result)
    rows = session.editor.table().rows
    assert set(rows["layer"]) == {0, 1}
    assert set(rows.loc[rows["layer"] == 1, "element"]) == {"W", "S"}
    assert session.placed.poses[1] is BELOW, "the lattice of the lower layer is known from now on"
    session.show_overlay(True)
    assert len(session.overlay.data) == len(session.placed.lattice(SHAPE).yx)
    assert set(session.overlay.features["layer"]) == {0, 1}
    run(session)
    assert len(asked) == 1, "where it lies is known now"


def test_a_stack_of_which_one_layer_is_seen_has_no_place(bench):
    session, _ = bench(StackPose((POSE, BELOW), 0.1))
    result = run(session)
    assert result.pose is None
    assert result.only_layer.name == "WS2"
    session.take_segmentation(session.image, result)
    assert session.placed is None
    assert session.editor.layer.metadata[KEY]["role"] == "atoms"


def test_a_rectangle_is_segmented_with_the_place_of_every_layer(bench):
    session, _ = bench()
    session.set_placed(LatticeFit.of(session.stack, FOUND))
    box = Box((20.0, 20.0), (60.0, 70.0))
    work = segment_box(
        session.operations, session.micrograph(), session.chosen, session.known_pose, CHOICE, box
    )
    result = drain(work)
    found = result.table.yx[result.table.rows["layer"] == 1]
    expected, _ = BELOW.columns(session.stack.layers[1], SHAPE)
    gaps = np.linalg.norm(found[:, None] - expected[None], axis=-1).min(axis=1)
    np.testing.assert_allclose(gaps, 0, atol=1e-6)
    assert result.pose is session.known_pose or result.pose.poses[1] is BELOW


def test_another_stack_has_no_place(bench):
    session, _ = bench()
    session.set_placed(LatticeFit.of(session.stack, FOUND))
    assert session.known_pose.poses[1] is BELOW
    session.set_prior(load_prior("MoS2/WS2 twist 8"))
    assert session.known_pose is None
    session.set_prior(built_in("MoS2"))
    assert session.known_pose is None
    assert session.chosen is session.prior


def test_the_layers_of_a_stack_are_refined_together(bench, viewer):
    session, _ = bench()
    asked = []

    def refine_stack_poses(image, size, stack, poses):
        asked.append((stack, poses))
        return StackPose(poses, 0.3)

    hand = LatticeFit(POSE, session.prior, stack=session.stack, lower=(BELOW,), by_hand=True)
    operations = fake_operations(refine_stack_poses=refine_stack_poses)
    placed = drain(refine_pose(operations, session.micrograph(), hand))
    assert asked == [(session.stack, (POSE, BELOW))]
    assert not placed.by_hand
    assert not placed.pose.is_fit, "a stack is judged as a whole"


def test_a_part_of_the_image_keeps_the_reservations_of_the_whole():
    pose = Pose(np.eye(2), np.zeros(2), 0.8, ("It may be another crystal.",))
    low = np.array([3, 4])
    there = _seen_from(StackPose((pose, pose), 0.8), low)
    assert there.reservations == pose.reservations
    for one in (there.poses[1], _seen_from(pose, low)):
        assert (one.reservations, one.score, one.origin.tolist()) == (pose.reservations, 0.8, [-3.0, -4.0])
