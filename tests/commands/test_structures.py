"""``stemprior structures``: the structure bank."""

from pathlib import Path

import pytest

from napari_stemprior.commands.main import main
from napari_stemprior.structure import built_in
from napari_stemprior.training.structure_bank import library_bank, load_bank


def test_the_built_in_crystals_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bank.npz"
    assert main(["structures", "-o", str(path)]) == 0
    assert load_bank(path) == library_bank()
    assert capsys.readouterr().out == f"{path}: {len(library_bank())} crystals\n"


def test_named_crystals_stand_alone_or_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "bank.npz"
    named = ["structures", "GaAs", "SrTiO3", "--zone-axis", "110", "-o", str(path)]
    assert main(named) == 0
    alone = load_bank(path)
    assert [prior.columns for prior in alone] == [built_in(n, (1, 1, 0)).columns for n in ("GaAs", "SrTiO3")]
    assert main([*named, "--add"]) == 0
    assert load_bank(path) == [*library_bank(), *alone]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-o", "bank.zip"], "a structure bank is a .npz file"),
        (["MoS2/WS2 twist 3.1", "-o", "bank.npz"], "a bank holds single lattices"),
        (["--zone-axis", "110", "-o", "bank.npz"], "--zone-axis belongs to named structures"),
        (["unobtainium", "-o", "bank.npz"], "no built-in prior"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["structures", *arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
