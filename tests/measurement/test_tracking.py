"""Atoms that keep their numbers while a specimen drifts by more than half a lattice constant a frame."""

import numpy as np
import pytest

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.tracking import AtomTracker, track_table
from napari_stemprior.optics import Instrument
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in

PIXEL = 0.2
SHAPE = (150, 170)
PRIOR = built_in("MoS2")
#: Å; the lattice constant of MoS2 is 3.16.
CELL = float(np.linalg.norm(PRIOR.cell[0]))
#: Å around a place within which there is always an atom: the middle of a hexagon is 1.82 Å from its corners.
HOLE = 1.9
BRIGHT = {"Mo": 1.0, "S": 0.35}


def frame(drift, seed, *, missing=(), noise=0.3, dust=None, strain=0.0):
    """MoS2 moved by (y, x) Å and compressed; `missing` and `dust` are places (y, x) of the specimen, Å."""
    rng = np.random.default_rng(seed)
    by = np.asarray(drift, float) / PIXEL
    pose = Pose.from_angle(11.0, PIXEL * (1 + strain), np.array([7.0, 4.0]) + by)
    yx, column = pose.columns(PRIOR, SHAPE)
    elements = np.array([PRIOR.columns[i].element for i in column])
    place = (yx - by) * PIXEL
    keep = np.ones(len(yx), bool)
    for hole in missing:
        keep &= np.linalg.norm(place - hole, axis=1) > HOLE
    yx, elements, place = yx[keep], elements[keep], place[keep]
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = np.zeros(SHAPE)
    for at, element in zip(yx, elements, strict=True):
        image += BRIGHT[element] * np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * 2.5**2))
    for spot in () if dust is None else dust:
        at = np.asarray(spot) / PIXEL + by
        image += 0.8 * np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / (2 * 9.0**2))
    image = (image + rng.normal(0, noise, SHAPE)).astype(np.float32)
    table = AtomTable.from_positions(yx + rng.normal(0, 0.2, yx.shape), PIXEL, element=elements)
    return table, image, place


def follow(frames, *, with_images=True):
    tracker = AtomTracker()
    found = [tracker.add(table, image if with_images else None) for table, image, _ in frames]
    return tracker, found


def check(frames, found, drifts):
    """The drift is right, and one number is one place of the specimen."""
    drifts = np.array(drifts) - drifts[0]
    np.testing.assert_allclose([one.drift * PIXEL for one in found], drifts, atol=0.05)
    places = {}
    for (_, _, place), one in zip(frames, found, strict=True):
        assert len(set(one.track)) == len(one.track)
        for number, at in zip(one.track, place, strict=True):
            places.setdefault(int(number), []).append(at)
    assert max(np.ptp(at, axis=0).max() for at in places.values()) < 0.1


#: Jumps back and forth by more than half a lattice constant: nothing goes on evenly.
JUMPS = [(0, 0), (0.8 * CELL, -1.3 * CELL), (-0.2 * CELL, -0.1 * CELL), (0.9 * CELL, 0.8 * CELL)]


def test_jumps_are_told_by_what_is_not_periodic_in_the_images():
    holes = [(12, 14), (20, 22), (9, 26)]
    frames = [frame(d, i, missing=holes, dust=[(15, 9)]) for i, d in enumerate(JUMPS)]
    _, found = follow(frames)
    assert [one.decided_by for one in found] == ["first", "image", "image", "image"]
    check(frames, found, JUMPS)


def test_the_same_jumps_without_images_are_wrong_by_whole_cells_alone():
    holes = [(12, 14), (20, 22), (9, 26)]
    frames = [frame(d, i, missing=holes) for i, d in enumerate(JUMPS)]
    _, found = follow(frames, with_images=False)
    off = found[1].drift * PIXEL - JUMPS[1]
    assert np.linalg.norm(off) > 1, "this is why images are compared"
    turned = Pose.from_angle(11.0, PIXEL, np.zeros(2)).affine * PIXEL
    cells = np.linalg.solve((PRIOR.cell @ turned.T).T, off)
    np.testing.assert_allclose(cells, np.rint(cells), atol=0.03)


def test_a_perfect_crystal_that_speeds_up_is_followed_by_continuity():
    steps = np.array([0.0, 0.3, 0.6, 0.9, 1.2, 1.4]) * CELL
    drifts = [(s, -0.5 * s) for s in np.cumsum(steps)]
    frames = [frame(d, i, noise=1.0) for i, d in enumerate(drifts)]
    _, found = follow(frames, with_images=False)
    assert {one.decided_by for one in found[1:]} == {"continuity"}
    check(frames, found, drifts)
    _, with_images = follow(frames)
    check(frames, with_images, drifts)


def _simulated(turn, strain, drift, rng):
    """A perfect crystal with the tails and the noise of an image, turned by degrees and compressed."""
    size, shape = 0.12, (300, 300)
    pose = Pose.from_angle(17 + turn, size * (1 + strain), np.array([5.0, 5.0]) + np.array(drift) / size)
    clean = reference_image(PRIOR, Instrument(), size, shape, pose)
    yx, column = pose.columns(PRIOR, shape)
    table = AtomTable.from_positions(yx, size, element=[PRIOR.columns[i].element for i in column])
    return table, rng.poisson(clean / clean.mean() * 30).astype(np.float32)


@pytest.mark.parametrize(("turn", "strain"), [(0.0, 0.002), (0.1, 0.002), (0.0, -0.003), (0.2, 0.0)])
def test_a_perfect_crystal_that_is_strained_does_not_jump_to_where_it_fits_better(turn, strain):
    rng = np.random.default_rng(0)
    tracker = AtomTracker()
    tracker.add(*_simulated(0.0, 0.0, (0.0, 0.0), rng))
    found = tracker.add(*_simulated(turn, strain, (-0.3, 0.4), rng))
    reach = 36 * max(abs(strain), np.deg2rad(turn))  # Å by which the strain moves the farthest atoms
    np.testing.assert_allclose(found.drift * 0.12, (-0.3, 0.4), atol=reach)


def test_jumps_of_a_strained_crystal_are_told_by_what_is_not_periodic_in_the_images():
    holes, strains = [(12, 14), (20, 22), (9, 26)], (0.0, 0.002, 0.004, 0.006)
    frames = [
        frame(d, i, missing=holes, dust=[(15, 9)], noise=0.15, strain=strains[i]) for i, d in enumerate(JUMPS)
    ]
    _, found = follow(frames)
    assert [one.decided_by for one in found] == ["first", "image", "image", "image"]
    drifts = np.array(JUMPS) - JUMPS[0]
    np.testing.assert_allclose([one.drift * PIXEL for one in found], drifts, atol=0.2)


def test_an_atom_that_comes_back_has_its_old_number():
    drifts = [(0, 0), (0.2, 0.1), (0.4, 0.2)]
    hole = [(15.0, 16.0)]
    frames = [frame(d, i, missing=hole if i == 1 else ()) for i, d in enumerate(drifts)]
    tracker, found = follow(frames)
    check(frames, found, drifts)
    gone = set(found[0].track) - set(found[1].track)
    near = set(found[0].track[np.linalg.norm(frames[0][2] - hole[0], axis=1) < HOLE])
    assert near
    assert near <= gone
    assert near <= set(found[2].track)
    table = track_table([(atoms, one) for (atoms, _, _), one in zip(frames, found, strict=True)])
    assert table["track"].nunique() == tracker.count
    still = table.groupby("track")[["still_x_angstrom", "still_y_angstrom"]].std().max().max()
    assert still < 0.2


def test_an_empty_frame_is_passed_over_and_another_pixel_size_is_refused():
    drifts = [(0, 0), (0.2, 0.1), (0.4, 0.2)]
    frames = [frame(d, i) for i, d in enumerate(drifts)]
    tracker = AtomTracker()
    tracker.add(frames[0][0])
    assert tracker.add(AtomTable.empty(PIXEL)).decided_by == "lost"
    third = tracker.add(frames[2][0])
    np.testing.assert_allclose(third.drift * PIXEL, drifts[2], atol=0.05)
    with pytest.raises(MeasurementError, match="one pixel size"):
        tracker.add(AtomTable.from_positions(frames[0][0].yx, 0.3))
