"""Sessions saved and opened at the desk: the same atoms, edits, prior, fit, calibration and review."""

import json
import shutil

import numpy as np
import pytest
import tifffile
from desk_bench import Desk, said, why_not
from desk_fakes import PIXEL_SIZE, add_image, picture
from napari.components import ViewerModel
from napari.layers import Image

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.layers.atom_layers import KEY, layer_from_micrographs, mask_of, path_of
from napari_stemprior.qt.readers import get_session_reader, read
from napari_stemprior.structure import built_in


@pytest.fixture
def desk(qtbot):
    made = []

    def make(**changes):
        made.append(Desk(qtbot, ViewerModel(), **changes))
        return made[-1]

    yield make
    for one in made:
        one.widget.close()


def opened(desk, path):
    """Open a file as napari does."""
    layers = []
    for data, meta, _ in read(str(path)):
        layer = Image(data, **meta)
        layer._source = layer.source.model_copy(update={"path": str(path)})
        layers.append(desk.viewer.add_layer(layer))
    return layers[0]


def micrograph_file(folder, name="flake.tif", shift=0.0):
    path = folder / name
    tifffile.imwrite(path, picture() + np.float32(shift), photometric="minisblack")
    return path


def save(desk, path):
    desk.session_bar.write(path)
    desk.finish()
    assert path.is_file(), said()
    return path


def load(desk, path):
    desk.session_bar.open(path)
    desk.finish()
    return desk


def worked_on(desk, folder):
    """Two images and a stack, with priors, fits, atoms, edits, ticks, a region and settings."""
    first = opened(desk, micrograph_file(folder, "first.tif"))
    desk.session.set_pixel_size(0.21, "lattice")
    desk.prior_panel.pick("MoS2")
    desk.press(desk.segment_panel.segment)
    editor = desk.session.editor
    editor.set_status([0], "accepted")
    editor.add([(20.0, 20.0)])
    editor.delete([1])
    editor.move([2], [editor.yx[2] + 1])
    editor.undo()
    region = desk.session.draw_region()
    region.add_rectangles([[2, 3], [2, 40], [30, 40], [30, 3]])
    second = opened(desk, micrograph_file(folder, "second.tif", 1.0))
    desk.session.choose_image(second)
    desk.session.set_pixel_size(PIXEL_SIZE)
    desk.session.set_inverted(True)
    mask = np.zeros(picture().shape, bool)
    mask[:9, 5:] = True
    desk.session.set_mask(mask)
    desk.prior_panel.pick("WS2")
    frames = [Micrograph(picture() + i, PIXEL_SIZE, f"stack [{i}]") for i in range(3)]
    ((data, meta, _),) = layer_from_micrographs(frames)
    stack = desk.viewer.add_layer(Image(data, **meta))
    desk.session.choose_image(stack)
    desk.prior_panel.pick("MoS2")
    for frame in (0, 2):
        desk.viewer.dims.set_current_step(0, frame)
        desk.press(desk.segment_panel.segment)
    desk.session.editor.set_status([3], "rejected")
    next(one for one in desk.images_panel.images.images if one.frame == (2,)).reviewed = True
    desk.segment_panel.trust.setValue(0.6)
    return first, second, stack


def state(desk):
    """All that must be the same afterwards, in the order of the layers."""
    told = []
    for layer in desk.session.images:
        specimen = desk.session.specimen(layer)
        editor = specimen.editor
        histories = {} if editor is None else editor.histories
        told.append(
            {
                "name": layer.name,
                "dtype": str(layer.data.dtype),
                "sum": float(layer.data.sum()),
                "scale": tuple(np.round(layer.scale, 12)),
                "notes": [layer.metadata[KEY].get(k) for k in ("inverted", "pixel_size_from")],
                "mask": None if mask_of(layer) is None else np.argwhere(mask_of(layer)).tolist(),
                "prior": specimen.prior,
                "fit": None if specimen.fit is None else specimen.fit.pose.affine.tolist(),
                "origins": {f: fit.pose.origin.tolist() for f, fit in specimen.fits.items()},
                "atoms": {
                    f: (
                        h.rows.to_dict("list"),
                        h.position,
                        [(s.label, s.who, s.when, s.after.to_dict("list")) for s in h.steps],
                    )
                    for f, h in histories.items()
                    if len(h)
                },
                "provenance": {} if editor is None else {f: editor.provenance_of(f) for f in histories if f},
            }
        )
    return told


def same(a, b):
    for one, other in zip(a, b, strict=True):
        for key in one:
            left, right = one[key], other[key]
            if key == "notes":
                left, right = (bool(left[0]), left[1] or "file"), (bool(right[0]), right[1] or "file")
            if key == "atoms":
                assert left.keys() == right.keys()
            assert left == right, (one["name"], key)


def test_a_saved_desk_comes_back_in_a_new_viewer_also_from_a_moved_folder(desk, tmp_path):
    folder = tmp_path / "there"
    folder.mkdir()
    one = desk()
    first, _, stack = worked_on(one, folder)
    before = state(one)
    originals = {p.name: p.read_bytes() for p in folder.glob("*.tif")}
    path = save(one, folder / "work.stemprior.json")
    assert "with 3 images" in one.session_bar.said.text()
    assert {p.name: p.read_bytes() for p in folder.glob("*.tif")} == originals
    one.widget.close()

    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    again = load(desk(), moved / path.name)
    same(before, state(again))
    assert again.session.image.name == stack.name
    assert again.session.frame == (2,)
    assert again.session.editor.frame == (2,)
    assert again.segment_panel.trust.value() == pytest.approx(0.6)
    assert [i.frame for i in again.images_panel.images.images if i.reviewed] == [(2,)]
    back = next(layer for layer in again.session.images if layer.name == first.name)
    assert path_of(back) == moved / "first.tif"
    again.session.choose_image(back)
    editor = again.session.editor
    assert editor.redo_label == "move"
    assert editor.undo_label == "delete"
    assert len(editor.layer.data) == len(editor.rows)
    editor.undo()
    assert "rejected" not in set(editor.rows["status"])
    region = again.session.reviewed_region()
    np.testing.assert_allclose(region.data[0], [[2, 3], [2, 40], [30, 40], [30, 3]])
    assert again.export_panel.reviewed.is_drawn
    np.testing.assert_array_equal(stack.data, again.session.images[2].data)

    # and on, from there to a third place
    twice = save(again, tmp_path / "third" / "work.stemprior.json")
    after = state(again)
    again.widget.close()
    same(after, state(load(desk(), twice)))


def test_what_the_journal_still_has_is_not_offered_again_but_later_edits_are(desk, tmp_path):
    one = desk()
    opened(one, micrograph_file(tmp_path))
    one.session.set_pixel_size(PIXEL_SIZE)
    one.prior_panel.pick("MoS2")
    one.press(one.segment_panel.segment)
    one.session.editor.delete([1])
    path = save(one, tmp_path / "a.stemprior.json")
    kept = list(tmp_path.glob("*.jsonl"))
    assert kept
    one.session.editor.delete([2])
    later = kept[0].read_bytes()
    one.widget.close()
    second = load(desk(), path)
    assert "2 edits of an earlier session" in second.correct_panel.journal_service.offer
    second.widget.close()
    kept[0].write_bytes(b"\n".join(later.rstrip().split(b"\n")[:-1]) + b"\n")
    assert load(desk(), path).correct_panel.journal_service.offer == ""


def test_files_of_the_list_that_are_not_open_come_back_with_what_was_found(desk, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(2):
        micrograph_file(folder, f"{number}.tif", number)
    one = desk()
    add_image(one.viewer)
    one.prior_panel.pick("MoS2")
    one.images_panel.take_folder(folder)
    one.finish()
    for listed in one.images_panel.images.images:
        listed.pixel_size, listed.pixel_size_from = PIXEL_SIZE, "given"
    one.press(one.images_panel.segment)
    counts = [one.images_panel.images.summary(i) for i in one.images_panel.images.images]
    assert all(summary.atoms for summary in counts)
    one.images_panel.images.images[-1].reviewed = True
    again = load(desk(), save(one, tmp_path / "a.stemprior.json"))
    listed = again.images_panel.images.images
    assert [i.layer is None for i in listed] == [False, True, True]
    assert [again.images_panel.images.summary(i) for i in listed] == counts
    assert [i.reviewed for i in listed] == [False, False, True]
    again.images_panel.show_image(listed[1])
    again.finish(again.images_panel._opener)
    assert again.session.image.name == "0"
    assert len(again.session.editor.table()) == counts[1].atoms


def test_a_missing_image_is_asked_for(desk, tmp_path, monkeypatch):
    one = desk()
    image = micrograph_file(tmp_path)
    opened(one, image)
    add_image(one.viewer, name="other")
    path = save(one, tmp_path / "a.stemprior.json")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    shutil.move(image, hidden / image.name)

    again = desk()
    asked = []

    def answer(value):
        def ask(found):
            asked.append([m.name for m in found.missing])
            return value

        monkeypatch.setattr(again.session_bar, "ask_missing", ask)

    answer(None)
    load(again, path)
    assert not again.session.images
    answer(False)
    load(again, path)
    assert [layer.name for layer in again.session.images] == ["other"]
    assert again.session_bar.path is None, "it is not saved over what has more"
    answer(True)
    monkeypatch.setattr(again.session_bar, "ask_images_folder", lambda: hidden)
    again.session_bar.open(path)
    again.bot.waitUntil(lambda: len(again.session.images) == 3 and not again.runner.busy, timeout=60_000)
    assert asked == [["flake"]] * 3


def test_a_bad_session_is_one_sentence_and_changes_nothing(desk, tmp_path):
    bad = tmp_path / "bad.stemprior.json"
    bad.write_text('{"format": "napari-stemprior session", "schema": 99}')
    one = load(desk(), bad)
    assert any("version 99" in text for text in said())
    assert not one.session.images
    assert "Open a micrograph" in why_not(one.session_bar.save_button)


def test_an_image_of_the_session_or_a_foreign_file_is_never_replaced(desk, tmp_path):
    one = desk()
    image = micrograph_file(tmp_path)
    opened(one, image)
    link = tmp_path / "link.stemprior.json"
    link.symlink_to(image)
    content = image.read_bytes()
    one.session_bar.write(link, overwrite=True)
    one.finish()
    assert image.read_bytes() == content
    assert any("is an input" in text for text in said())
    foreign = tmp_path / "mine.stemprior.json"
    foreign.write_text(json.dumps({"mine": 1}))
    one.session_bar.write(foreign)
    one.finish()
    assert json.loads(foreign.read_text()) == {"mine": 1}


def test_the_reader_gives_layers_that_a_desk_takes_up_later(desk, tmp_path):
    one = desk()
    worked_on(one, tmp_path)
    before = state(one)
    path = save(one, tmp_path / "work.stemprior.json")
    viewer = ViewerModel()
    for data, meta, kind in get_session_reader(str(path))(str(path)):
        viewer._add_layer_from_data(data, meta, kind)
    assert [type(layer).__name__ for layer in viewer.layers].count("Points") == 2
    assert all(len(layer.data) for layer in viewer.layers if type(layer).__name__ == "Points")
    again = Desk(one.bot, viewer)
    again.bot.waitUntil(lambda: "Opened work" in again.session_bar.said.text(), timeout=60_000)
    same(before, state(again))
    assert again.session.prior == built_in("MoS2")
    assert again.session.frame == (2,)
    again.widget.close()
