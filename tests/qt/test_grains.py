"""Locking a grain on the desk, without a window: what stays, and what another fit or segmentation changes."""

from dataclasses import replace

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, POSE, SHAPE, add_image, fake_operations
from napari.layers import Image

from napari_stemprior.atoms import AtomTable
from napari_stemprior.progress import drain
from napari_stemprior.qt.editing.review import Review
from napari_stemprior.qt.image_context import ImageContext
from napari_stemprior.qt.image_list import ImageList
from napari_stemprior.qt.session import Session
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.registration.grain import Grain
from napari_stemprior.registration.lattice_fit import straight_sites
from napari_stemprior.structure import built_in
from napari_stemprior.workflow.segment import Segmentation
from napari_stemprior.workflow.segment_all import segment_all
from napari_stemprior.workflow.segment_frame import FrameResult

PRIOR = built_in("MoS2")


def grain_of(pose: Pose, low: float, high: float) -> Grain:
    """Make a grain of the columns of the image between two x."""
    sites = straight_sites(LatticeFit(PRIOR, (pose,)), SHAPE)
    return Grain.of(PRIOR, pose, sites.where((sites.yx[:, 1] >= low) & (sites.yx[:, 1] < high)), None)


def fit_of(pose: Pose = POSE) -> LatticeFit:
    grains = grain_of(pose, -10, 45), grain_of(pose, 55, 120)
    return LatticeFit(PRIOR, (pose,), grains[0].sites.joined(grains[1].sites), grains=grains)


@pytest.fixture
def known(session: Session, viewer) -> Image:
    """Return an image whose lattice is fitted, and of which the left grain is locked."""
    image = add_image(viewer)
    session.set_prior(PRIOR)
    session.set_fit(fit_of())
    session.lock_grain(session.fit.grains[0], on=True)
    return image


OTHER = Pose.from_angle(25.0, PIXEL_SIZE, (9.0, 2.0), score=0.8)


def found(*yx, fit=None):
    return Segmentation(AtomTable.from_positions(yx, PIXEL_SIZE), PRIOR, fit)


def places(session):
    return sorted(map(tuple, session.editor.yx.tolist()))


def test_any_other_fit_leaves_the_locked_grain(session, known):
    (grain,) = session.locked
    session.set_fit(fit_of(OTHER))
    assert session.locked == (grain,)
    assert session.pose is OTHER
    inner = session.fit.sites.where(grain.holds(session.fit.sites.yx))
    assert set(map(tuple, inner.yx)) == set(map(tuple, grain.sites.yx))
    session.set_fit(None)
    assert session.locked == (grain,)
    assert session.pose is grain.pose
    session.lock_grain(grain, on=False)
    assert session.locked == ()
    session.set_fit(None)
    assert session.fit is None


def test_another_prior_has_no_part_in_it_and_leaves_it_for_later(session, known):
    (grain,) = session.locked
    session.set_prior(built_in("WS2"))
    assert session.locked == ()
    session.set_prior(PRIOR)
    assert session.locked == (grain,)


def test_the_network_is_told_the_locked_grain_where_a_hand_has_moved_the_rest(session, known):
    (grain,) = session.locked
    session.set_fit(session.fit.moved(lambda pose, _: replace(pose.moved((3, 3)), score=0.0)))
    told = session.known_fit
    assert told is not None
    assert told.pose is grain.pose
    assert told.sites is None, "the rest is fitted anew"
    assert told.locked == (grain,)


def test_its_atoms_stay_and_the_others_are_found_anew(session, known):
    session.take_segmentation(known, found((40, 20), (40, 80), fit=session.fit))
    assert places(session) == [(40, 20), (40, 80)], "the first segmentation fills it"
    session.take_segmentation(known, found((41, 22), (40, 30), (42, 84), fit=session.fit))
    assert places(session) == [(40, 20), (42, 84)]
    session.editor.undo()
    assert places(session) == [(40, 20), (40, 80)]
    session.lock_grain(session.locked[0], on=False)
    session.take_segmentation(known, found((41, 22), (42, 84), fit=session.fit))
    assert places(session) == [(41, 22), (42, 84)]


def test_a_rectangle_changes_what_is_not_locked(session, known):
    session.take_segmentation(known, found((40, 20), (40, 80), fit=session.fit))
    inside = lambda yx: yx[:, 1] > 10  # noqa: E731
    session.take_segmentation(known, found((41, 22), (42, 84), fit=session.fit), inside=inside)
    assert places(session) == [(40, 20), (42, 84)]


def test_all_images_are_segmented_around_it(session, known):
    asked = []

    class Told:
        fit = prepared = None
        strict = True

        def set_image(self, image, pixel_size):
            pass

        def steps(self, prior, *, trust=1.0, fit=None):
            asked.append(fit)
            yield from ()
            self.fit = fit
            return AtomTable.from_positions([(41, 22), (42, 84)], PIXEL_SIZE)

    session.take_segmentation(known, found((40, 20), (40, 80), fit=session.fit))
    fit = session.fit
    listed = ImageList(session)
    results: list[FrameResult] = []
    work = segment_all(
        fake_operations(segmenter=lambda *_: Told()),
        listed.waiting(listed.images),
        _settings(),
        results.append,
    )
    assert drain(work) == 1
    assert asked == [fit]
    listed.take(listed.images[0], results[0])
    assert session.locked == fit.locked
    assert places(session) == [(40, 20), (42, 84)]
    listed.close()


def _settings():
    from napari_stemprior.workflow.segment import SegmentSettings

    return SegmentSettings()


def test_grains_of_one_frame_are_not_locked_on_another(session, viewer):
    from napari_stemprior.io.micrograph import Micrograph
    from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs

    frames = [Micrograph(np.random.default_rng(n).random(SHAPE), PIXEL_SIZE, "series") for n in range(2)]
    data, meta, _ = layer_from_micrographs(frames)[0]
    viewer.add_layer(Image(data, **meta))
    session.set_prior(PRIOR)
    viewer.dims.set_current_step(0, 0)
    session.set_fit(fit_of())
    session.lock_grain(session.fit.grains[0], on=True)
    viewer.dims.set_current_step(0, 1)
    assert session.locked == ()
    session.set_fit(fit_of(OTHER))
    assert session.fit.locked == ()
    viewer.dims.set_current_step(0, 0)
    assert len(session.locked) == 1


def test_a_locked_grain_outlives_another_pixel_size(session, known):
    (grain,) = session.locked
    session.set_pixel_size(0.4)
    assert session.locked == (grain,)
    assert session.pose is grain.pose


def test_to_lock_asks_no_question_anew(session, known):
    session.take_segmentation(known, found((40, 20), (40, 80), fit=session.fit))
    review = Review(ImageContext(session))
    assert review.waiting()
    queue = review.queue
    session.lock_grain(session.fit.grains[1], on=True)
    assert review.waiting()
    assert review.queue is queue
    session.set_fit(fit_of(OTHER))
    assert review.waiting()
    assert review.queue is not queue


def test_its_sites_are_squares_and_those_pointed_at_are_larger(session, known):
    session.show_overlay(True)
    first, second = session.fit.grains
    overlay = session.overlay
    square = np.array([symbol.value == "square" for symbol in overlay.symbol])
    np.testing.assert_array_equal(square, first.holds(overlay.data))
    session.point_at(second)
    large = session.overlay.size > session.overlay.size.min() * 1.2
    np.testing.assert_array_equal(large, second.holds(session.overlay.data))
    session.lock_grain(first, on=False)
    assert {symbol.value for symbol in session.overlay.symbol} == {"cross"}
