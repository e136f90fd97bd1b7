"""All images of a desk: each by the command line's rules, saved as the command line saves them."""

import numpy as np
import pandas as pd
import pytest

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import ExportError, MicrographError
from napari_stemprior.io import Micrograph, TrainingPairDataset, read_atoms
from napari_stemprior.progress import Progress, drain
from napari_stemprior.structure import built_in
from napari_stemprior.workflow.file_frames import FileFrames, look_into_files
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.save_all import FinishedImage, save_pairs, save_results
from napari_stemprior.workflow.segment import SegmentSettings
from napari_stemprior.workflow.segment_all import WaitingImage, segment_all

PICTURE = np.random.default_rng(0).normal(10, 1, (40, 50)).astype(np.float32)


class Segmenter:
    """Finds one atom at the brightest pixel."""

    fit = prepared = None
    strict = True
    image_lattice = True

    def __init__(self, *_):
        self.sizes = []

    def set_image(self, image, pixel_size):
        self.image, self.size = image, pixel_size

    def steps(self, prior, *, trust=1.0, fit=None):
        yield Progress(0, 1, "looking")
        yx = np.unravel_index(self.image.argmax(), self.image.shape)
        return AtomTable.from_positions([yx], self.size, status=["review"])


def waiting(number, image, size=0.2, **given):
    return WaitingImage(number, f"i{number}", lambda: Micrograph(image, size, "x"), None, **given)


def run(images):
    found = []
    done = drain(segment_all(Operations(segmenter=Segmenter), images, SegmentSettings(), found.append))
    return done, found


def test_every_image_has_its_atoms_and_a_bad_one_stops_no_other():
    def gone():
        raise MicrographError("the file is gone.")

    done, found = run(
        [waiting(0, PICTURE), WaitingImage(1, "i1", gone, None), waiting(2, -PICTURE, inverted=True)]
    )
    assert done == 2
    assert [result.number for result in found] == [0, 1, 2]
    assert found[1].error == "i1: the file is gone."
    np.testing.assert_allclose(found[0].table.yx, found[2].table.yx)  # dark columns, inverted
    assert found[0].table.provenance["pixel_size_from"] == "file"


def test_a_given_pixel_size_wins_and_an_unknown_one_is_said():
    done, found = run([waiting(0, PICTURE, pixel_size=0.3), waiting(1, PICTURE, size=None)])
    assert done == 1
    assert found[0].table.pixel_size == 0.3
    assert found[0].table.provenance["pixel_size_from"] == "given"
    assert found[1].error.startswith("i1: the file does not say its pixel size")


def test_what_was_handed_over_before_a_cancel_stays():
    found = []
    work = segment_all(
        Operations(segmenter=Segmenter),
        [waiting(i, PICTURE) for i in range(3)],
        SegmentSettings(),
        found.append,
    )
    while not found:
        next(work)
    work.close()
    assert len(found) == 1


def test_files_tell_their_frames_and_small_pictures(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    stack = tmp_path / "s.tif"
    tifffile.imwrite(stack, np.stack([PICTURE, PICTURE + 1, PICTURE + 2]), photometric="minisblack")
    (tmp_path / "bad.tif").write_bytes(b"no image")
    found = []
    assert drain(look_into_files([stack, tmp_path / "bad.tif"], found.append, 10)) == 1
    assert len(found[0].names) == 3
    assert found[0].thumbnails[0].shape == (8, 10)
    assert "bad.tif" in found[1].error
    frames = FileFrames()
    np.testing.assert_allclose(frames.frame(stack, 2).image, PICTURE + 2)
    with pytest.raises(MicrographError, match=r"3 frames by now and frame 8"):
        frames.frame(stack, 7)


def finished(tmp_path, number, **given):
    yx = [(10 + number, 12), (20, 30)]
    table = AtomTable.from_positions(
        yx, 0.2, status=["ok", "review"], provenance={"prior": "MoS2", "prior_fits": True, "doubts": 3}
    )
    file = tmp_path / "in" / "series.tif"
    recorded = Micrograph(PICTURE + number, 0.2, "x")
    prior = built_in("MoS2")
    return FinishedImage(f"series [{number}]", file, number, 2, lambda: recorded, table, prior, **given)


def test_the_results_have_the_form_of_the_command_line(tmp_path):
    images = [finished(tmp_path, i) for i in range(2)]
    table = drain(save_results(images, tmp_path / "out"))
    rows = pd.read_csv(table)
    assert list(rows["output"]) == ["series_000.csv", "series_001.csv"]
    assert list(rows["doubts"]) == [3, 3]
    assert list(rows["prior_fit"]) == ["clean", "clean"]
    atoms = read_atoms(tmp_path / "out" / "series_001.csv")
    np.testing.assert_allclose(atoms.yx[0], (11, 12))
    drain(save_results(images, tmp_path / "out"))  # its own files are replaced
    (tmp_path / "out" / "series_001.csv").write_text("mine")
    with pytest.raises(ExportError, match=r"series_001\.csv"):
        drain(save_results(images, tmp_path / "out"))
    assert (tmp_path / "out" / "series_001.csv").read_text() == "mine"


def test_atoms_of_a_stack_keep_their_numbers_in_a_table_of_tracks(tmp_path):
    places = np.stack(np.meshgrid(np.arange(8, 36, 6.0), np.arange(8, 44, 6.0), indexing="ij"), -1).reshape(
        -1, 2
    )
    images = []
    for number in range(3):
        recorded = Micrograph(np.random.default_rng(number).random((40, 50)), 0.4, "x")
        moved = AtomTable.from_positions(places + number * np.array([1.0, 0.5]), 0.4)
        images.append(
            FinishedImage(f"s [{number}]", tmp_path / "s.tif", number, 3, lambda r=recorded: r, moved)
        )
    rows = pd.read_csv(drain(save_results(images, tmp_path / "out")))
    np.testing.assert_allclose(rows["drift_y_angstrom"], [0, 0.4, 0.8], atol=1e-6)
    np.testing.assert_allclose(rows["drift_x_angstrom"], [0, 0.2, 0.4], atol=1e-6)
    tracks = pd.read_csv(tmp_path / "out" / "s_tracks.csv")
    assert tracks["track"].nunique() == len(places)
    still = tracks.groupby("track")[["still_x_angstrom", "still_y_angstrom"]].std()
    np.testing.assert_allclose(still, 0, atol=1e-6)


def test_the_training_set_holds_every_image(tmp_path):
    count = drain(save_pairs([finished(tmp_path, i) for i in range(2)], tmp_path / "pairs"))
    assert count == 2
    pairs = list(TrainingPairDataset(tmp_path / "pairs"))
    assert len(pairs) == 2
    assert all(pair.reviewed.all() and pair.prior.name == "MoS2" for pair in pairs)
