from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from benchmarks.validation.scans import SPECIMENS, load
from benchmarks.validation.specimens import columns_of


def test_only_the_lower_layer_of_the_twisted_bilayer_has_vacancies() -> None:
    whole = SPECIMENS["wse2_twisted"].build()[0] * (3, 2, 1)
    atoms, missing = SPECIMENS["wse2_twisted_vacancies"].build()
    assert missing is not None
    upper, lower = (np.sort(w.positions[w.arrays["layer"] == 0], axis=0) for w in (whole, atoms))
    np.testing.assert_allclose(upper, lower)
    assert set(missing.layer) == {1}
    before, after = columns_of(whole), columns_of(atoms)
    gone = cKDTree(after.xy, boxsize=after.cell).query(before.xy)[0] > 0.01
    np.testing.assert_allclose(np.sort(before.xy[gone], axis=0), np.sort(missing.xy, axis=0))
    share = len(missing.xy) / (before.layer == 1).sum()
    assert share == pytest.approx(0.08, abs=0.01)
    assert (missing.element == "Se").mean() > 0.6
    assert (missing.element == "W").any()
    # whole columns of Se2, single W
    assert len(whole) - len(atoms) == (missing.element == "W").sum() + 2 * (missing.element == "Se").sum()


def test_the_prior_of_a_bilayer_with_vacancies_has_none() -> None:
    whole = SPECIMENS["wse2_twisted"].prior_object
    prior = SPECIMENS["wse2_twisted_vacancies"].prior_object
    assert prior.name == whole.name
    np.testing.assert_array_equal(prior.positions, whole.positions)


@pytest.mark.parametrize("name", ["wse2_vacancies", "graphene_vacancies"])
def test_the_scans_show_the_specimens_as_they_are_built(name: str) -> None:
    atoms, missing = SPECIMENS[name].build()
    known = load(name)
    assert missing is not None
    assert known.vacancies is not None
    np.testing.assert_allclose(missing.xy, known.vacancies.xy)
    np.testing.assert_allclose(columns_of(atoms).xy, known.columns.xy)
