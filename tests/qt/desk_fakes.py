"""Fakes for the other rooms, so that the desk is tested without a network and without waiting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from napari.layers import Image

from napari_stemprior.atoms import AtomTable
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.optics.montage import Montage
from napari_stemprior.progress import Progress
from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs
from napari_stemprior.registration import LatticeFit, Pose, PoseField
from napari_stemprior.registration.ranking import Suggestion
from napari_stemprior.structure import built_in
from napari_stemprior.structure.lattice_sites import LatticeSites
from napari_stemprior.workflow.operations import Operations

PIXEL_SIZE = 0.2
SHAPE = (80, 100)
POSE = Pose.from_angle(7.0, PIXEL_SIZE, (5.0, 9.0), score=0.9)


class FakeSegmenter:
    """Answers with the lattice of the prior, or with four atoms without one."""

    def __init__(self, model: str, device: str, precision: str) -> None:
        self.model, self.device = model, device
        self.fit = None
        self.prepared = None

    def set_image(self, image, pixel_size):
        self.shape, self.pixel_size = image.shape, pixel_size

    def steps(self, prior, *, trust=1.0, fit=None):
        for i in range(3):
            yield Progress(i, 3, "Segmenting")
        self.fit = None
        if prior is None:
            return AtomTable.from_positions([(10, 10), (10, 30), (30, 10), (30, 30)], self.pixel_size)
        self.fit = fit or LatticeFit(prior, (POSE,))
        yx, index = self.fit.pose.columns(prior, self.shape)
        confidence = np.linspace(0.3, 1.0, len(yx))
        return AtomTable.from_positions(
            yx,
            self.pixel_size,
            provenance={"model": self.model, "trust": trust},
            element=[prior.columns[i].element for i in index],
            site=[prior.columns[i].site for i in index],
            confidence=confidence,
            status=np.where(confidence < 0.4, "review", "ok").astype(object),
        )


def fake_fit_lattice(image, pixel_size, prior):
    return fake_follow_lattice(image, pixel_size, LatticeFit(prior, (POSE,)))


def fake_fit_pixel_size(image, prior):
    return PIXEL_SIZE, POSE


def fake_reference(layers, instrument, pixel_size, shape, poses, thickness):
    return np.random.default_rng(1).random(shape, dtype=np.float32)


def fake_load_prior(name, zone_axis, block=""):
    return built_in(name)


def fake_follow_lattice(image, pixel_size, fit):
    """Every column is moved by half a pixel along x, and the left half alone is seen."""
    rows, columns = np.array([0.0, SHAPE[0]]), np.array([0.0, SHAPE[1] / 2, SHAPE[1]])
    displacement = np.zeros((2, 3, 2))
    displacement[..., 1] = 0.5
    field = PoseField(fit.pose, rows, columns, displacement, np.array([[1.0, 1.0, 0.0]] * 2), 0.01)
    yx, column, reliability = field.columns(fit.layers[0], SHAPE)
    return replace(fit, sites=LatticeSites.of(fit.layers[0].columns, yx, column, reliability), field=field)


def fake_refine_fit(image, pixel_size, fit):
    poses = tuple(Pose(pose.affine, pose.origin + np.array((0.0, 1.0)), 0.8) for pose in fit.poses)
    return LatticeFit(fit.prior, poses)


def fake_rank_priors(image, pixel_size, priors):
    """The last of the library fits, the rest does not."""
    for number in range(len(priors)):
        yield Progress(number, len(priors), "Ranking the library")
    return [
        Suggestion(prior.name, POSE, PIXEL_SIZE, POSE.score, 0.6, number // 2)
        for number, prior in enumerate(list(reversed(priors))[:3])
    ]


def fake_multislice(prior, instrument, pixel_size, shape, pose, thickness, quality):
    for number in range(3):
        yield Progress(number, 3, "Multislice")
    return np.random.default_rng(2).random(shape, dtype=np.float32)


def fake_montage(prior, instrument, thicknesses, defoci, engine):
    yield Progress(0, 1, "Montage")
    images = np.random.default_rng(3).random((len(thicknesses), len(defoci), 12, 10), dtype=np.float32)
    return Montage(images, tuple(thicknesses), tuple(defoci), PIXEL_SIZE)


def fake_operations(**changes) -> Operations:
    given = {
        "load_prior": fake_load_prior,
        "fit_lattice": fake_fit_lattice,
        "follow_lattice": fake_follow_lattice,
        "fit_pixel_size": fake_fit_pixel_size,
        "refine_fit": fake_refine_fit,
        "rank_priors": fake_rank_priors,
        "multislice_reference": fake_multislice,
        "montage": fake_montage,
        "reference_image": fake_reference,
        "models": lambda: ["small"],
        "segmenter": FakeSegmenter,
    }
    return Operations(**{**given, **changes})


def picture(shape=SHAPE):
    rng = np.random.default_rng(0)
    return rng.normal(10, 1, shape).astype(np.float32)


def add_image(viewer, pixel_size=PIXEL_SIZE, shape=SHAPE, name="specimen") -> Image:
    data, meta, _ = layer_from_micrographs([Micrograph(picture(shape), pixel_size, name)])[0]
    return viewer.add_layer(Image(data, **meta))
