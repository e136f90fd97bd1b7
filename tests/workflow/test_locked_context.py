"""Locked grains in journals and session files: they come back exactly, and damage is one sentence."""

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_stemprior.errors import JournalError
from napari_stemprior.registration import LatticeFit, Pose, PoseField
from napari_stemprior.registration.grain import Grain
from napari_stemprior.registration.lattice_fit import straight_sites
from napari_stemprior.registration.locked_grains import locked_alone
from napari_stemprior.structure import built_in, load_prior
from napari_stemprior.workflow.edit_context import EditContext

PRIOR = built_in("MoS2")
SHAPE = (80, 100)


@pytest.fixture
def context() -> EditContext:
    pose = Pose.from_angle(7.123, 0.2, (5.0, 9.0), score=0.9)
    rng = np.random.default_rng(0)
    grid = np.array([0.0, 40.0, 80.0])
    field = PoseField(pose, grid, grid, rng.normal(size=(3, 3, 2)), rng.random((3, 3)), 0.02)
    sites = straight_sites(LatticeFit(PRIOR, (pose,)), SHAPE)
    sites = replace(sites, reliability=rng.random(len(sites)))
    other = Grain.of(PRIOR, replace(pose, score=0.7), sites.where(sites.yx[:, 1] > 60), None)
    fit = locked_alone(PRIOR, (Grain.of(PRIOR, pose, sites.where(sites.yx[:, 1] < 50), field), other))
    return EditContext(0.2, prior=PRIOR, fit=fit)


def test_they_come_back_exactly(context):
    text = json.dumps(context.to_dict(), allow_nan=False)
    back = EditContext.from_dict(json.loads(text)).fit
    assert len(back.locked) == 2
    for old, new in zip(context.fit.locked, back.locked, strict=True):
        np.testing.assert_array_equal(new.sites.yx, old.sites.yx)
        np.testing.assert_array_equal(new.sites.column, old.sites.column)
        np.testing.assert_array_equal(new.sites.reliability, old.sites.reliability)
        np.testing.assert_array_equal(new.pose.affine, old.pose.affine)
        assert new.reach == old.reach
        assert new.sites.element.tolist() == old.sites.element.tolist()
    np.testing.assert_array_equal(back.locked[0].field.displacement, context.fit.locked[0].field.displacement)
    assert back.locked[1].field is None


def test_a_fit_without_any_is_written_as_before(context):
    values = replace(context, fit=replace(context.fit, locked=())).to_dict()
    assert "locked" not in values["fit"]
    assert EditContext.from_dict(values).fit.locked == ()


@pytest.mark.parametrize(
    "damage",
    [
        {"yx": []},
        {"yx": [[1.0, float("nan")]], "column": [0], "reliability": [1.0]},
        {"yx": [[1e9, 0.0]], "column": [0], "reliability": [1.0]},
        {"column": [99]},
        {"yx": [[1.0, 2.0]], "column": [7], "reliability": [1.0]},
        {"yx": [[1.0, 2.0]], "column": [-1], "reliability": [1.0]},
        {"yx": [[1.0, 2.0]], "column": [0.5], "reliability": [1.0]},
        {"pose": None},
        {"reliability": "many"},
    ],
)
def test_damage_is_one_sentence(context, damage):
    values = context.to_dict()
    values["fit"]["locked"][0] |= damage
    with pytest.raises(JournalError, match="damaged"):
        EditContext.from_dict(values)


def test_a_stack_has_no_grains(context):
    values = context.to_dict()
    stack = load_prior("MoS2/WS2 twist 3.1")
    pose = values["fit"]["poses"][0]
    changed = EditContext(0.2, prior=stack).to_dict() | {
        "fit": values["fit"] | {"poses": [pose, pose], "rivals": [], "field": None}
    }
    with pytest.raises(JournalError, match="no grains"):
        EditContext.from_dict(changed)
