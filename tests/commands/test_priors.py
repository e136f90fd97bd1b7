"""``stemprior priors``: the list, the columns of one, and stacks."""

from __future__ import annotations

from pathlib import Path

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
        (["MoS2", "--normal", "001"], "beam along [001]"),
        (["GaN [11-20]", "--normal", "-120"], "beam along"),
        (["MoS2", "--zone-axis", "normal"], "beam along [001]"),
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
        (["--normal", "110"], "--normal belongs to one prior"),
        (["MoS2", "--normal", "000"], "plane"),
        (["SrTiO3", "--zone-axis", "normal"], "no gap between layers"),
        (["MoS2", "--block", "x"], "a block belongs to a structure file"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["priors", *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_a_block_of_a_file_and_what_is_said_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    block = (
        "data_{}\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n_space_group_IT_number 1\n"
        "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n{} 0 0 0\n"
    )
    path = tmp_path / "two.cif"
    path.write_text(block.format("one", "Fe") + block.format("other", "Co"))
    assert main(["priors", str(path)]) == 0
    shown = capsys.readouterr()
    assert "Fe1" in shown.out
    assert shown.err.count("\n") == 1
    assert "2 structures, one, other; one was read" in shown.err
    assert main(["priors", str(path), "--block", "other"]) == 0
    shown = capsys.readouterr()
    assert "Co1" in shown.out
    assert not shown.err
