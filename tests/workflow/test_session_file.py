"""Session files: what is written comes back, and what is damaged is one sentence."""

import json
import os

import numpy as np
import pytest
from session_bench import IMAGE, SIZE, context, history, saved, unsaved

from napari_stemprior.atoms.journal_keeper import FrameState
from napari_stemprior.errors import ExportError, SessionError
from napari_stemprior.structure import load_prior
from napari_stemprior.workflow.save_session import PIXELS_SUFFIX, Unsaved
from napari_stemprior.workflow.session_file import SUFFIX, SavedImage, read_session

NAME = f"a{SUFFIX}"


def test_everything_comes_back_exactly(tmp_path):
    before = unsaved(tmp_path / "flake.tif").image
    path = saved(tmp_path / NAME, unsaved(tmp_path / "flake.tif"))
    found = read_session(path)
    assert not found.remark
    assert (found.chosen, found.frame, found.settings.trust, found.settings.device) == (0, (), 0.4, "cpu")
    assert found.view == (1.0, 2.0, 30.0)
    (image,) = found.images
    for name in ("name", "path", "shape", "dtype", "reviewed", "region", "journals", "visible", "is_open"):
        assert getattr(image, name) == getattr(before, name), name
    assert image.relative == "flake.tif"
    assert len(image.sha256) == len(image.pixels) == 64
    assert image.context.to_dict() == before.context.to_dict()
    assert image.context.prior is image.context.fit.prior
    (state,) = image.states
    old = history()
    assert state.history.rows.equals(old.rows)
    assert (state.history.position, state.history.redo_label) == (2, "remove")
    assert [step.label for step in state.history.steps] == ["accept", "delete", "remove"]
    assert {step.who for step in state.history.steps} == {"ada"}
    state.history.redo()
    old.redo()
    assert state.history.rows.equals(old.rows)
    assert state.pixel_size == SIZE
    assert state.provenance == {"model": "small", "dose": None}, "JSON has no NaN"
    json.loads(path.read_bytes(), parse_constant=pytest.fail)


def test_a_prior_from_a_file_keeps_its_atoms_in_space_without_the_file(tmp_path):
    cif = tmp_path / "a.xyz"
    from ase.build import bulk

    bulk("NaCl", "rocksalt", a=5.64, cubic=True).write(cif, format="extxyz")
    prior = load_prior(str(cif), (0, 0, 1))
    assert prior.unit_cell is not None
    cif.unlink()
    path = saved(tmp_path / NAME, unsaved(tmp_path / "flake.tif", context=context(prior)))
    assert read_session(path).images[0].context.prior == prior


def test_the_frames_of_a_stack_have_states_and_fits_of_their_own(tmp_path):
    known = context()
    states = tuple(FrameState((n,), history(n), SIZE, {"n": n}) for n in range(2))
    one = unsaved(tmp_path / "flake.tif", states=states, fits={(1,): known.fit}, context=known)
    (image,) = read_session(saved(tmp_path / NAME, one)).images
    assert [state.frame for state in image.states] == [(0,), (1,)]
    assert all(a.history.rows.equals(b.history.rows) for a, b in zip(image.states, states, strict=True))
    assert image.states[1].provenance == {"n": 1}
    assert image.fits[(1,)].same_place(known.fit)
    assert image.fits[(1,)].prior is image.context.prior


def test_saving_again_replaces_a_session_and_nothing_else(tmp_path):
    one = unsaved(tmp_path / "flake.tif")
    path = saved(tmp_path / NAME, one)
    assert saved(path, one) == path
    foreign = tmp_path / f"b{SUFFIX}"
    foreign.write_text("mine")
    with pytest.raises(ExportError, match="did not write"):
        saved(foreign, one)
    assert foreign.read_text() == "mine"
    os.link(tmp_path / "flake.tif", tmp_path / f"c{SUFFIX}")
    content = (tmp_path / "flake.tif").read_bytes()
    with pytest.raises(ExportError, match="is an input"):
        saved(tmp_path / f"c{SUFFIX}", one, overwrite=True)
    assert (tmp_path / "flake.tif").read_bytes() == content
    with pytest.raises(ExportError, match="ends with"):
        saved(tmp_path / "a.json", one)
    assert [p.name for p in tmp_path.iterdir() if "stemprior-" in p.name] == []


def test_pixels_without_a_file_are_kept_beside_the_session(tmp_path):
    image = SavedImage("a/b", tmp_path / "a/b", context(), shape=IMAGE.shape, dtype="float32")
    path = saved(tmp_path / NAME, Unsaved(image, IMAGE, has_file=False))
    (found,) = read_session(path).images
    assert found.path.parent == tmp_path / f"a{PIXELS_SUFFIX}"
    first = found.path.stat().st_mtime_ns
    saved(path, Unsaved(image, IMAGE, has_file=False))
    assert found.path.stat().st_mtime_ns == first, "the same pixels are written once"
    assert len(list(found.path.parent.iterdir())) == 1


def damaged(path, change):
    body = json.loads(path.read_text())
    change(body)
    path.write_text(json.dumps(body))
    return path


def at(*keys, to):
    def change(body):
        for key in keys[:-1]:
            body = body[key]
        body[keys[-1]] = to

    return change


IMAGE_0 = ("images", 0)
WRONG = {
    "a newer version": (at("schema", to=2), "update napari-stemprior"),
    "a foreign format": (at("format", to="mine"), "no session of napari-stemprior"),
    "a version that is none": (at("schema", to=True), "version True"),
    "images that are no list": (at("images", to={}), "its fields"),
    "a chosen image beyond the last": (at("chosen", to=1), "outside"),
    "a view of two numbers": (at("view", to=[1, 2]), "its fields"),
    "a trust beyond 1": (at("settings", "trust", to=1.5), "trust"),
    "a pixel size of nothing": (at(*IMAGE_0, "context", "pixel_size", to=0), "image 1"),
    "a pose of texts": (at(*IMAGE_0, "context", "fit", "poses", 0, "affine", to="a"), "image 1"),
    "a pose without end": (at(*IMAGE_0, "context", "fit", "poses", 0, "origin", to=[1e300, 0]), "image 1"),
    "a position that is none": (at(*IMAGE_0, "edits", 0, "rows", "y_px", to=[None] * 9), "edit 1"),
    "a status that is none": (at(*IMAGE_0, "edits", 0, "rows", "status", to="good"), "good"),
    "an element that is a number": (at(*IMAGE_0, "edits", 0, "rows", "element", to=4), "no text"),
    "an edit of an atom that is not there": (at(*IMAGE_0, "edits", 1, "ids", to=[77]), "edit 2"),
    "an edit that moves an atom nowhere": (
        at(*IMAGE_0, "edits", 1, "set", to={"y_px": [None]}), "image 1",
    ),
    "an edit of another kind": (at(*IMAGE_0, "edits", 1, "kind", to="context"), "edit 2"),
    "a path with a null": (at(*IMAGE_0, "path", to="a\0b"), "path"),
    "a region of two corners": (at(*IMAGE_0, "region", 0, 1, to=[[0, 0], [1, 1]]), "outline"),
    "an image that is none": (at(*IMAGE_0, to=7), "image 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_damaged_session_is_one_sentence(name, tmp_path):
    change, words = WRONG[name]
    path = damaged(saved(tmp_path / NAME, unsaved(tmp_path / "flake.tif")), change)
    with pytest.raises(SessionError, match=words) as error:
        read_session(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '{"a": NaN}', "\xff", "[" * 100_000])
def test_what_is_no_session_is_one_sentence(text, tmp_path):
    path = tmp_path / NAME
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SessionError, match="session"):
        read_session(path)


def test_a_missing_field_is_named(tmp_path):
    path = damaged(
        saved(tmp_path / NAME, unsaved(tmp_path / "flake.tif")), lambda body: body["images"][0].pop("edits")
    )
    with pytest.raises(SessionError, match="the field 'edits' is missing"):
        read_session(path)


def test_a_file_that_is_not_there_and_a_pipe_are_told(tmp_path):
    with pytest.raises(SessionError, match="cannot be read"):
        read_session(tmp_path / NAME)
    pipe = tmp_path / f"p{SUFFIX}"
    os.mkfifo(pipe)
    with pytest.raises(SessionError, match="cannot be read"):
        read_session(pipe)


def test_a_changed_number_is_read_and_said(tmp_path):
    path = damaged(
        saved(tmp_path / NAME, unsaved(tmp_path / "flake.tif")),
        at(*IMAGE_0, "edits", 0, "rows", "y_px", to=list(np.arange(9.0))),
    )
    found = read_session(path)
    assert "changed or damaged" in found.remark
    assert found.images[0].states[0].history.rows["y_px"].iloc[8] == 8.0
