"""Registration of measured images; skipped where they are not at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_stemprior.registration import fit_pixel_size, fit_pose_field, register
from napari_stemprior.structure import built_in

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT.parent / "shared" / "micrographs"
MOS2 = sorted((ROOT / "sample_data").glob("*MoS2*.dm3"))

needs_folder = pytest.mark.skipif(not FOLDER.is_dir(), reason="the folder of micrographs is not there")


def _picture(name: str) -> np.ndarray:
    return np.asarray(Image.open(FOLDER / name).convert("L"), dtype=np.float32)


def _brightness(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Mean of 5 x 5 pixels at each place that lies well inside."""
    yx = np.round(places).astype(int)
    yx = yx[((yx >= 2) & (yx < np.array(image.shape) - 2)).all(1)]
    steps = range(-2, 3)
    return np.mean([image[yx[:, 0] + a, yx[:, 1] + b] for a in steps for b in steps], axis=0)


@needs_folder
@pytest.mark.parametrize(
    ("file", "name", "pixel"),
    [
        ("si_110.png", "Si [110]", 0.0894),
        ("srtio3_001.jpg", "SrTiO3 [001]", 0.0770),
        ("gold_grain_boundary.png", "Au [110]", 0.128),
    ],
)
def test_the_pixel_size_of_a_micrograph_is_found(file, name, pixel):
    size, pose = fit_pixel_size(_picture(file), built_in(name))
    assert pose.is_fit
    assert abs(size / pixel - 1) < 0.02


@needs_folder
def test_strontium_is_the_brighter_column():
    image, prior = _picture("srtio3_001.jpg"), built_in("SrTiO3 [001]")
    pose = register(image, 0.077, prior)[0]
    places, index = fit_pose_field(image, 0.077, prior, pose).columns(prior, image.shape)[:2]
    levels = {c.formula: _brightness(image, places[index == i]).mean() for i, c in enumerate(prior.columns)}
    assert levels["Sr"] > levels["TiO"] + 20 > levels["O"] + 30


@needs_folder
def test_both_grains_of_gold_are_found_and_told_apart():
    image, prior = _picture("gold_grain_boundary.png"), built_in("Au [110]")
    poses = [p for p in register(image, 0.1276, prior) if p.is_fit]
    assert len(poses) == 2
    fields = [fit_pose_field(image, 0.1276, prior, pose) for pose in poses]
    left, right = np.array([(256, 60)]), np.array([(256, 450)])
    for field, own, other in zip(fields, (right, left), (left, right), strict=True):
        if field.reliability_at(own)[0] < field.reliability_at(other)[0]:
            own, other = other, own
        assert field.reliability_at(own)[0] > 0.8
        assert field.reliability_at(other)[0] < 0.1


@needs_folder
@pytest.mark.parametrize("name", ["MoS2", "graphene", "SrTiO3 [001]", "Au [110]"])
def test_a_wrong_prior_does_not_fit_silicon(name):
    assert not register(_picture("si_110.png"), 0.0894, built_in(name))[0].is_fit


@pytest.mark.skipif(not MOS2, reason="the sample micrograph of MoS2 is not there")
def test_molybdenum_and_sulphur_are_not_exchanged():
    from rsciio.digitalmicrograph import file_reader

    image = np.asarray(file_reader(str(MOS2[0]))[0]["data"], dtype=np.float32)
    prior = built_in("MoS2")
    pose = register(image, 0.126953, prior)[0]
    assert pose.is_fit
    places, index, reliability = fit_pose_field(image, 0.126953, prior, pose).columns(prior, image.shape)
    molybdenum, sulphur = (_brightness(image, places[(index == i) & (reliability > 0.8)]) for i in (0, 1))
    assert prior.columns[0].element == "Mo"
    assert np.median(molybdenum) > np.percentile(sulphur, 90)
