"""Where a person masks an image there are no atoms, no sites and no doubts, whoever asks."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_stemprior.io import TrainingPairDataset, read_micrograph
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import drain
from napari_stemprior.recording.mask_text import mask_from_dict
from napari_stemprior.structure import built_in
from napari_stemprior.workflow.fit_lattice import fit_lattice
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.save_pair import save_pair
from napari_stemprior.workflow.segment import SegmentSettings, segment
from napari_stemprior.workflow.segment_box import Box, segment_box

SETTINGS = SegmentSettings("small", "cpu")


@pytest.fixture(scope="module")
def images(request):
    whole = read_micrograph(request.config.rootpath / "sample_data" / "simulated_WS2_vacancies_1000e.tif")
    plain = Micrograph(whole.image[:160, :160], whole.pixel_size, whole.name)
    mask = np.zeros((160, 160), bool)
    mask[50:110, 60:120] = True
    return plain, replace(plain, excluded=mask)


def within(mask, yx):
    return mask[tuple(np.floor(np.asarray(yx) + 0.5).astype(int).T)]


def test_the_mask_takes_atoms_and_sites_away_and_nothing_else(images):
    plain, masked = images
    operations, prior, mask = Operations(), built_in("WS2"), masked.excluded
    before = drain(segment(operations, plain, prior, None, SETTINGS))
    after = drain(segment(operations, masked, prior, None, SETTINGS))
    assert within(mask, before.table.yx).sum() > 10
    assert not within(mask, after.table.yx).any()
    assert not within(mask, after.fit.registered.inside(mask.shape).yx).any()
    far = np.ones_like(mask)
    far[38:122, 48:132] = False  # the network sees the edge of the mask from nearby
    one, other = (t[within(far, t)] for t in (before.table.yx, after.table.yx))
    assert abs(len(one) - len(other)) <= 3
    assert (cKDTree(other).query(one)[0] < 0.5).mean() > 0.95
    np.testing.assert_array_equal(mask_from_dict(after.table.provenance["excluded"], mask.shape), mask)
    assert "excluded" not in before.table.provenance
    fit = drain(fit_lattice(operations, masked, prior))
    assert fit.is_fit
    part = drain(segment_box(operations, masked, prior, fit, SETTINGS, Box((30, 30), (130, 90))))
    assert len(part.table)
    assert not within(mask, part.table.yx).any()


def test_a_training_pair_keeps_the_mask_and_claims_nothing_there(images, tmp_path):
    plain, masked = images
    table = drain(segment(Operations(), masked, None, None, SETTINGS)).table
    reviewed = np.ones(plain.image.shape, bool)
    pairs = [
        TrainingPairDataset(tmp_path).load(drain(save_pair(tmp_path, one, table, reviewed, None, {})))
        for one in (plain, masked)
    ]
    assert pairs[0].micrograph.excluded is None
    assert pairs[0].reviewed.all()
    np.testing.assert_array_equal(pairs[1].micrograph.excluded, masked.excluded)
    np.testing.assert_array_equal(pairs[1].reviewed, ~masked.excluded)
