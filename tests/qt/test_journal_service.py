"""Journals at the desk: offered, restored, put away; two desks; a disk that refuses."""

import errno

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, SHAPE, picture
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import notification_manager

from napari_stemprior.atoms import AtomTable, journal_keeper
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.jobs.journal_service import JournalService, describe
from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs, new_atoms_layer
from napari_stemprior.qt.session import Session
from napari_stemprior.registration import LatticeFit, Pose, PoseField
from napari_stemprior.structure import built_in


class Desk:
    """A session in a viewer of its own, with its journals."""

    def __init__(self, path=None, segmented=True):
        self.viewer = ViewerModel()
        data, meta, _ = layer_from_micrographs([Micrograph(picture(), PIXEL_SIZE, "flake")])[0]
        image = Image(data, **meta)
        if path is not None:
            image._source = image.source.model_copy(update={"path": str(path)})
        self.session = Session(self.viewer)
        self.service = JournalService(self.session)
        self.viewer.add_layer(image)
        if segmented:
            self.viewer.add_layer(new_atoms_layer(image, PIXEL_SIZE, 1.0))
            self.editor.take_prediction(
                AtomTable.from_positions([(10, 10), (30, 30), (50, 50)], PIXEL_SIZE, element="Mo")
            )

    @property
    def editor(self):
        return self.session.editor

    def edit(self):
        self.editor.set_status([0], "accepted")
        self.editor.add([(20, 20)])
        self.editor.delete([1])
        self.editor.undo()
        return self.editor.rows

    def close(self):
        self.service.close()
        self.session.close()


@pytest.fixture
def desk(qapp):
    made = []

    def make(*args, **kwargs):
        made.append(Desk(*args, **kwargs))
        return made[-1]

    notification_manager.records.clear()
    yield make
    for one in made:
        one.close()


def test_the_edits_of_an_earlier_session_are_offered_and_come_back_with_their_history(desk, journals):
    first = desk()
    assert first.service.path is None
    rows = first.edit()
    assert first.service.path.parent == journals
    first.close()
    again = desk(segmented=False)
    assert "3 edits of an earlier session" in again.service.offer
    again.service.restore()
    assert again.service.offer == ""
    assert again.editor.rows.equals(rows)
    np.testing.assert_array_equal(again.editor.layer.data, rows[["y_px", "x_px"]])
    assert again.editor.redo_label == "delete"
    assert again.editor.undo_label == "add X"
    assert again.editor.layer.current_size > 1
    again.editor.undo()
    again.editor.undo()
    assert again.editor.rows["status"].eq("ok").all()
    assert len(list(journals.glob("*.jsonl"))) == 1, "what was restored is in the new journal"
    again.close()
    assert "edit" in desk(segmented=False).service.offer, "and can be restored once more"


def test_a_segmentation_before_restoring_loses_nothing(desk):
    first = desk()
    rows = first.edit()
    first.close()
    again = desk()
    assert again.service.offer
    again.editor.add([(60, 60)])
    again.service.restore()
    assert again.editor.rows.equals(rows)


def test_an_offer_can_be_put_away_and_stays_on_the_disk(desk, journals):
    first = desk()
    first.edit()
    first.close()
    again = desk(segmented=False)
    again.service.discard()
    assert again.service.offer == ""
    assert len(list(journals.glob("*.discarded"))) == 1


def test_another_image_gets_no_offer(desk):
    first = desk()
    first.edit()
    first.close()
    other = desk(segmented=False)
    assert other.service.offer
    other.session.image.data = picture() + 1
    assert other.service.offer == ""


def test_the_journal_lies_beside_the_image(desk, tmp_path):
    path = tmp_path / "flake.tif"
    path.write_bytes(b"")
    one = desk(path)
    one.edit()
    assert one.service.path == tmp_path / "flake.tif.stemprior-edits.jsonl"


def test_two_viewers_on_one_image_write_two_files(desk):
    first, second = desk(), desk()
    first.edit()
    second.edit()
    assert first.service.path != second.service.path
    assert second.service.offer == ""


def test_a_removed_and_renamed_layer_goes_on_in_its_journal(desk):
    one = desk()
    one.edit()
    path, layer = one.service.path, one.editor.layer
    layer.name = "something else"
    one.session.image.name = "another"
    one.viewer.layers.remove(layer)
    one.session.restore_atoms()
    one.editor.set_status([2], "rejected")
    assert one.service.path == path
    one.close()
    again = desk(segmented=False)
    again.service.restore()
    assert again.editor.rows["status"].tolist() == one_status()


def one_status():
    return ["accepted", "ok", "rejected", "accepted"]


def test_a_full_disk_is_told_once_and_healed(desk, monkeypatch, journals):
    real = journal_keeper.Journal

    def full(path, head):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal_keeper, "Journal", full)
    one = desk()
    rows = one.edit()
    told = [n.message for n in notification_manager.records]
    assert len(told) == 1
    assert "No space left on device" in told[0]
    assert "memory only" in one.service.problem
    assert one.service._timer.isActive()
    monkeypatch.setattr(journal_keeper, "Journal", real)
    one.service._retry()
    assert one.service.problem == ""
    assert not one.service._timer.isActive()
    one.close()
    again = desk(segmented=False)
    again.service.restore()
    assert again.editor.rows.equals(rows)


def test_a_stack_is_told_from_others_by_some_of_its_frames():
    data = np.random.default_rng(0).random((50, *SHAPE)).astype(np.float32)
    first = describe(Image(data))["sha256"]
    assert describe(Image(data.copy()))["sha256"] == first
    data[49, 3, 4] += 1
    assert describe(Image(data))["sha256"] != first
    assert describe(Image(picture()))["shape"] == list(SHAPE)


def placed_prior(size):
    prior = built_in("MoS2")
    pose = Pose.from_angle(11.0, size, (3.0, 5.0), score=0.9)
    field = PoseField(
        pose, np.arange(3.0) * 9, np.arange(4.0) * 9, np.full((3, 4, 2), 0.1), np.ones((3, 4)), 0.01
    )
    return prior, LatticeFit(prior, (pose,), field=field, rivals=(Pose.from_angle(41.0, size, score=0.6),))


def test_calibration_prior_and_fit_come_back(desk):
    fitted = PIXEL_SIZE * 1.054
    first = desk()
    first.edit()
    first.session.set_pixel_size(fitted, "lattice")
    prior, fit = placed_prior(fitted)
    first.session.set_prior(prior)
    first.session.set_fit(fit)
    table = first.editor.table()
    first.close()
    again = desk(segmented=False)
    assert again.session.pixel_size == pytest.approx(PIXEL_SIZE)
    again.service.restore()
    assert again.session.pixel_size == pytest.approx(fitted)
    assert again.session.pixel_size_from == "lattice"
    assert again.session.prior == prior
    back = again.session.fit
    assert back.same_place(fit)
    np.testing.assert_allclose(back.lattice(SHAPE).yx, fit.lattice(SHAPE).yx)
    assert back.rivals[0].score == 0.6
    np.testing.assert_array_equal(back.field.displacement, fit.field.displacement)
    np.testing.assert_allclose(again.editor.table().yx_angstrom, table.yx_angstrom)
    again.close()
    once_more = desk(segmented=False)
    once_more.service.restore()
    assert once_more.session.fit.same_place(fit), "it goes on from journal to journal"


def test_a_damaged_journal_is_told_and_kept(desk, journals):
    first = desk()
    first.edit()
    first.close()
    (path,) = journals.glob("*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    lines[-2] = lines[-2].replace(b"0", b"1")
    damaged = b"".join(lines)
    path.write_bytes(damaged)
    again = desk(segmented=False)
    again.service.restore()
    assert any("not restored" in n.message for n in notification_manager.records)
    (kept,) = journals.glob("*.damaged")
    assert kept.read_bytes() == damaged
    assert again.editor is not None
    again.close()
    assert "edit" in desk(segmented=False).service.offer, "what was read is in a journal of its own"
