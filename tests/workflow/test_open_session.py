"""The images of a session are found where they are now, and a changed one is said."""

import shutil

import numpy as np
import pytest
import tifffile
from session_bench import IMAGE, saved, unsaved

from napari_stemprior.errors import MicrographError, SessionError
from napari_stemprior.progress import drain
from napari_stemprior.recording.mask_text import mask_to_dict
from napari_stemprior.workflow.edit_context import EditContext
from napari_stemprior.workflow.open_session import open_session
from napari_stemprior.workflow.session_file import SUFFIX

NAME = f"a{SUFFIX}"


@pytest.fixture
def path(tmp_path):
    """A session in one folder, with one image beside it and one in another folder."""
    for name in ("here", "images"):
        (tmp_path / name).mkdir()
    return saved(
        tmp_path / "here" / NAME,
        unsaved(tmp_path / "here" / "one.tif"),
        unsaved(tmp_path / "images" / "two.tif", 1),
    )


def places(opened, root):
    return [one.saved.path.relative_to(root).as_posix() for one in opened.images]


def test_images_are_read_and_the_same(path, tmp_path):
    opened = drain(open_session(path))
    assert places(opened, tmp_path) == ["here/one.tif", "images/two.tif"]
    assert not opened.remarks
    np.testing.assert_array_equal(opened.images[1].frames[0].image, IMAGE + np.float32(1))
    assert [one.number for one in opened.images] == [0, 1]


def test_folders_that_move_together_are_found_before_the_old_place(path, tmp_path):
    shutil.copytree(tmp_path / "here", tmp_path / "new" / "here")
    shutil.copytree(tmp_path / "images", tmp_path / "new" / "images")
    opened = drain(open_session(tmp_path / "new" / "here" / NAME))
    assert places(opened, tmp_path) == ["new/here/one.tif", "new/images/two.tif"]


def test_a_session_that_moves_alone_finds_its_images_where_they_were(path, tmp_path):
    moved = tmp_path / "far" / "away" / NAME
    moved.parent.mkdir(parents=True)
    shutil.move(path, moved)
    assert places(drain(open_session(moved)), tmp_path) == ["here/one.tif", "images/two.tif"]


def test_an_image_beside_the_session_is_found(path, tmp_path):
    shutil.move(tmp_path / "images" / "two.tif", tmp_path / "here" / "two.tif")
    assert places(drain(open_session(path)), tmp_path) == ["here/one.tif", "here/two.tif"]


def test_a_missing_image_is_named_and_looked_for_in_a_given_folder(path, tmp_path):
    shutil.move(tmp_path / "images", tmp_path / "hidden")
    with pytest.raises(SessionError, match=r"images/two.tif is not there; put it beside"):
        drain(open_session(path))
    opened = drain(open_session(path, all_needed=False))
    assert [image.name for image in opened.missing] == ["two"]
    assert places(opened, tmp_path) == ["here/one.tif"]
    assert places(drain(open_session(path, [tmp_path / "hidden"])), tmp_path)[1] == "hidden/two.tif"


def test_the_right_content_wins_over_the_right_place(path, tmp_path):
    right = (tmp_path / "images" / "two.tif").read_bytes()
    tifffile.imwrite(tmp_path / "images" / "two.tif", IMAGE * 2, photometric="minisblack")
    (tmp_path / "here" / "two.tif").write_bytes(right)
    opened = drain(open_session(path))
    assert places(opened, tmp_path)[1] == "here/two.tif"
    assert not opened.remarks


def test_a_changed_image_is_opened_and_said(path, tmp_path):
    tifffile.imwrite(tmp_path / "images" / "two.tif", IMAGE * 2, photometric="minisblack")
    opened = drain(open_session(path))
    assert [remark.split(";")[0] for remark in opened.remarks] == [
        "two.tif has changed since the session was saved"
    ]
    np.testing.assert_array_equal(opened.images[1].frames[0].image, IMAGE * 2)


def test_a_mask_is_left_out_and_said_where_the_image_has_another_size_now(tmp_path):
    mask = np.zeros(IMAGE.shape, bool)
    mask[:9] = True
    context = EditContext(excluded=mask_to_dict(mask))
    path = saved(tmp_path / NAME, unsaved(tmp_path / "one.tif", context=context))
    kept = drain(open_session(path))
    assert not kept.remarks
    assert kept.images[0].saved.context.excluded == context.excluded
    tifffile.imwrite(tmp_path / "one.tif", IMAGE[:, 1:], photometric="minisblack")
    changed = drain(open_session(path))
    assert any("its mask, which is left out" in remark for remark in changed.remarks)
    assert changed.images[0].saved.context.excluded is None


def test_an_image_that_cannot_be_read_is_named(path, tmp_path):
    (tmp_path / "here" / "one.tif").write_bytes(b"no tiff")
    with pytest.raises(MicrographError, match=r"one\.tif"):
        drain(open_session(path))


def test_a_folder_of_zarr_is_hashed_as_a_whole(tmp_path):
    import zarr

    folder = tmp_path / "image.zarr"
    zarr.save(str(folder), IMAGE)
    assert folder.is_dir()
    from napari_stemprior.workflow.save_session import content_hash

    first = content_hash(folder)
    file = next(p for p in sorted(folder.rglob("*")) if p.is_file())
    file.write_bytes(file.read_bytes() + b" ")
    assert content_hash(folder) != first


def test_opening_can_be_cancelled(path):
    work = open_session(path)
    next(work)
    next(work)
    work.close()
