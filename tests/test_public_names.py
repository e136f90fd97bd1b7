"""The public names: there, documented, and imported only when they are used."""

from __future__ import annotations

import pydoc
import subprocess
import sys

import numpy as np
import pytest

import napari_stemprior
from napari_stemprior.errors import PixelSizeError
from napari_stemprior.io import Micrograph

NAMES = ["AtomTable", "Segmenter", "fit_lattice", "load_prior", "read_micrograph"]
#: What would make the import of the package slow.
HEAVY = ["torch", "napari", "qtpy", "numpy", "scipy", "pandas", "ase", "abtem"]


def _loaded(code: str, modules: list[str]) -> str:
    code = f"import sys; {code}; print([m for m in {modules} if m in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert _loaded("import napari_stemprior", HEAVY).strip() == "[]"


def test_the_public_names_need_no_window_and_no_abtem() -> None:
    assert _loaded("from napari_stemprior import *", ["napari", "qtpy", "abtem"]).strip() == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_says_shapes_and_units(name: str) -> None:
    assert name in napari_stemprior.__all__
    assert name in dir(napari_stemprior)
    page = pydoc.plain(pydoc.render_doc(f"napari_stemprior.{name}"))
    shape = {"AtomTable": "(N, 2)", "load_prior": "(2, 2)"}.get(name, "(H, W)")
    assert shape in page
    assert "Å" in page
    assert "Raises" in page


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'segmentor'"):
        _ = napari_stemprior.segmentor  # type: ignore[attr-defined]


def test_fitting_needs_a_pixel_size() -> None:
    micrograph = Micrograph(np.random.default_rng(1).random((64, 64)), None)
    with pytest.raises(PixelSizeError, match="pixel size is unknown"):
        napari_stemprior.fit_lattice(micrograph, napari_stemprior.load_prior("MoS2"))
