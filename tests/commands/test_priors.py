"""``stemprior priors``: the list, the columns of one, and stacks."""

from __future__ import annotations

import pytest

from napari_stemprior.commands.main import main
from napari_stemprior.structure import names


def test_the_list_names_every_prior(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["priors"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(names())
    assert all(line.startswith(name) for line, name in zip(lines[1:], names(), strict=True))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["MoS2"], "Mo1   Mo"),
        (["SrTiO3", "--zone-axis", "111"], "beam along [111]"),
        (["GaN [11-20]", "--zone-axis", "[0001]"], "beam along [001]"),
        (["MoS2/WS2 twist 3.1"], "twist 3.1°"),
        (["MoS2 AB"], "MoS2 "),
    ],
)
def test_the_columns_of_one(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["priors", *arguments]) == 0
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["MoS3"], "did you mean MoS2"),
        (["MoS2/MoS2 twist 0"], "MoS2 AA"),
        (["MoS2", "--zone-axis", "000"], "zone axis"),
        (["--zone-axis", "110"], "belongs to one prior"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["priors", *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
