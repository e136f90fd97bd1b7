"""A prior as the network takes it, and which of its columns are alike."""

import numpy as np

from napari_stemprior.inference.prompt_encoding import described, equivalent_columns
from napari_stemprior.structure import built_in, load_prior


def test_columns_of_like_atoms_are_equal_wherever_they_stand() -> None:
    rutile = built_in("TiO2 rutile [001]")
    kind = equivalent_columns(described(rutile)[0])
    elements = np.array([column.element for column in rutile.columns])
    assert len(set(kind)) == 2
    for element in ("Ti", "O"):
        assert len(set(kind[elements == element])) == 1


def test_hidden_columns_are_not_the_equals_of_those_above() -> None:
    stack = load_prior("WS2/WS2 twist 5")
    columns = described(stack)[0]
    kind = equivalent_columns(columns)
    hidden = columns[0, :, 12].numpy() > 0.5
    assert hidden.any()
    assert not set(kind[hidden]) & set(kind[~hidden])
