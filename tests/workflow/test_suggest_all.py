"""A crystal for each of many images."""

import numpy as np
import pytest

from napari_stemprior.errors import MicrographError
from napari_stemprior.io import Micrograph
from napari_stemprior.progress import Progress, drain
from napari_stemprior.registration import Pose
from napari_stemprior.registration.ranking import Suggestion
from napari_stemprior.structure import built_in
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.segment_all import WaitingImage
from napari_stemprior.workflow.suggest_all import suggest_all

PICTURE = np.random.default_rng(0).normal(10, 1, (40, 50)).astype(np.float32)
PICTURE[0, 0] = 30


def by_brightness(image, pixel_size, priors):
    """Images with a bright corner show MoS2, which looks like WS2; others nothing."""
    yield Progress(0, 1, "ranking")
    seen.append(pixel_size)
    bright = bool(image[0, 0] > np.median(image))
    pose = Pose.from_angle(0, 0.2, score=0.9 if bright else 0.1)
    names = {prior.name for prior in priors}
    assert {"MoS2", "WS2"} < names
    return [Suggestion(n, pose, 0.2, pose.score, 0.9, tie) for n, tie in (("MoS2", 0), ("WS2", 0), ("Au", 1))]


seen: list[float | None] = []


@pytest.fixture(autouse=True)
def _nothing_seen():
    seen.clear()


def waiting(number, image, size=0.2, **given):
    return WaitingImage(number, f"i{number}", lambda: Micrograph(image, size, "x"), None, **given)


def run(images):
    operations = Operations(rank_priors=by_brightness, load_prior=lambda name, axis: built_in(name))
    found = []
    return drain(suggest_all(operations, images, found.append)), found


def test_every_image_is_asked_and_a_bad_one_stops_no_other():
    def gone():
        raise MicrographError("the file is gone.")

    images = [
        waiting(0, PICTURE),
        WaitingImage(1, "i1", gone, None),
        waiting(2, -PICTURE),
        waiting(3, PICTURE),
    ]
    done, found = run(images)
    assert done == 2
    assert [answer.number for answer in found] == [0, 1, 2, 3]
    assert found[0].prior is not None
    assert found[0].prior.name == "MoS2"
    assert found[0].alike == ("WS2",)
    assert found[1].problem == "i1: the file is gone."
    assert "i2: no crystal of the library fits" in found[2].problem
    assert found[2].prior is None


def test_a_pixel_size_that_a_person_gave_counts_and_dark_columns_are_turned():
    done, _ = run([waiting(0, PICTURE, size=None, pixel_size=0.31), waiting(1, -PICTURE, inverted=True)])
    assert seen == [0.31, 0.2]
    assert done == 2, "the second one has a bright corner once it is turned"


def test_what_was_found_stays_after_a_stop():
    operations = Operations(rank_priors=by_brightness, load_prior=lambda name, axis: built_in(name))
    found = []
    work = suggest_all(operations, [waiting(0, PICTURE), waiting(1, PICTURE)], found.append)
    for progress in work:
        if progress.stage == "i1: reading":
            break
    work.close()
    assert [answer.number for answer in found] == [0]
