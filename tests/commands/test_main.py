"""The program itself: its commands, its help, and its sentence where the machine fails."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
from segment_bench import one_sentence, run, stemprior

import napari_stemprior
import napari_stemprior.registration
from napari_stemprior.commands import main as cli


def test_priors_lists_every_built_in(capsys: pytest.CaptureFixture[str]) -> None:
    from napari_stemprior.structure import names

    assert run("priors") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:]] == names()


def test_train_takes_its_options_from_the_training_room(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "--help") == 0
    assert "--steps" in capsys.readouterr().out


def test_a_disk_that_refuses_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(options: object) -> int:
        raise OSError(28, "No space left on device", "runs/last.safetensors")

    monkeypatch.setitem(cli.COMMANDS, "priors", dataclasses.replace(cli.COMMANDS["priors"], run=full))
    assert run("priors") == 2
    assert "runs/last.safetensors: No space left on device" in one_sentence(capsys)


def test_a_lack_of_memory_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def large(options: object) -> int:
        raise MemoryError("Unable to allocate 512. TiB for an array")

    monkeypatch.setitem(cli.COMMANDS, "priors", dataclasses.replace(cli.COMMANDS["priors"], run=large))
    assert run("priors") == 2
    assert "The computer ran out of memory" in one_sentence(capsys)


def test_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sgement") == 2
    assert "segment" in one_sentence(capsys)
    assert run() == 2
    assert "COMMAND" in one_sentence(capsys)


def test_the_version_answers_at_once() -> None:
    """It imports nothing that takes long; ``benchmarks/speed/response.py`` measures the time."""
    answer = stemprior("--version")
    assert answer.stdout.split() == ["stemprior", napari_stemprior.__version__]
    loaded = (
        "import atexit, sys\n"
        "atexit.register(lambda: print({'numpy', 'scipy', 'torch', 'ase', 'pandas'} & set(sys.modules)))\n"
        "from napari_stemprior.commands.main import main\n"
        "main(['--version'])"
    )
    answer = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[1:] == ["set()"]


def test_help_shows_examples() -> None:
    for arguments in (["--help"], ["segment", "--help"]):
        answer = stemprior(*arguments)
        assert answer.returncode == 0
        assert "stemprior segment flake.dm3 --prior MoS2 -o out" in answer.stdout
