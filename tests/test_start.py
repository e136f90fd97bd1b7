"""What a start loads: nothing that is not needed yet. ``benchmarks/speed/start.py`` measures the times."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Each takes a tenth of a second or more.
_HEAVY = ("torch", "scipy", "pandas", "ase", "gemmi", "rsciio", "abtem", "matplotlib", "h5py", "numpy")
_COMMAND = "from napari_stemprior.commands.main import main; "


def loaded(code: str, modules: tuple[str, ...]) -> set[str]:
    """Return which modules are loaded when Python ends after `code`."""
    told = f"atexit.register(lambda: print('LOADED', *({set(modules)!r} & set(sys.modules))))"
    command = [sys.executable, "-c", f"import atexit, sys; {told}; {code}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(answer.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        (_COMMAND + "main(['--help'])", _HEAVY),
        (
            _COMMAND + "main(['priors'])",
            ("torch", "pandas", "rsciio", "abtem", "matplotlib", "h5py", "ase.spacegroup", "scipy.integrate"),
        ),
        ("import napari_stemprior.qt.readers", (*_HEAVY, "napari")),
        ("import napari_stemprior.qt.writers", ("torch", "gemmi", "rsciio", "abtem", "matplotlib")),
        (
            "import napari_stemprior.qt.dock",
            ("torch", "ase", "gemmi", "rsciio", "abtem", "matplotlib", "napari_stemprior.qt.desk"),
        ),
        (
            "import napari_stemprior.qt.desk; from napari_stemprior.inference.models import unfinished_path; "
            "from napari_stemprior.inference import available_models; available_models()",
            ("torch", "rsciio", "abtem", "matplotlib", "zarr"),
        ),
    ],
    ids=["help", "priors", "readers", "writers", "dock", "desk"],
)
def test_only_what_is_needed_is_loaded(code: str, modules: tuple[str, ...]) -> None:
    assert loaded(code, modules) == set()


def test_what_is_loaded_is_seen() -> None:
    assert loaded("import numpy", _HEAVY) == {"numpy"}
