"""Columns beyond the edge of an image, which no table lists, do not change what the others measure."""

import numpy as np
from scipy.spatial import cKDTree

from napari_stemprior.atoms import AtomTable
from napari_stemprior.measurement.column_fit import fit_columns
from napari_stemprior.optics import Instrument
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in

_SIZE, _SIDE = 0.09, 400


def test_pairs_are_as_long_as_they_are_where_the_crystal_goes_on_beyond_the_edge():
    prior, pose = built_in("Si [110]"), Pose.from_angle(20, _SIZE, (3, 4), score=0.9)
    lens = Instrument(beam_energy=200.0, convergence_semi_angle=22.0, source_size=0.8)
    image = reference_image(prior, lens, _SIZE, (_SIDE, _SIDE), pose).astype(float)
    noise = np.random.default_rng(0).normal(size=image.shape) * 1e-3 * image.max()
    yx, _ = pose.columns(prior, (_SIDE, _SIDE))
    found = fit_columns(image + noise, AtomTable.from_positions(yx, _SIZE))
    inner = ((yx * _SIZE > 5) & (yx * _SIZE < _SIDE * _SIZE - 5)).all(1) & (found.reason == "")
    pairs = cKDTree(yx).query_pairs(1.6 / _SIZE, output_type="ndarray")
    pairs = pairs[inner[pairs].all(1)]
    length, true = (
        np.linalg.norm(at[pairs[:, 1]] - at[pairs[:, 0]], axis=1) * _SIZE for at in (found.yx, yx)
    )
    assert len(pairs) > 30
    # 0.014 too short with the columns at the edge in the common shape
    assert abs(np.mean(length - true)) < 0.008
