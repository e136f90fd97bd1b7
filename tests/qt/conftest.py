"""A viewer without a window, and the desk's state with fakes behind it."""

import os

os.environ["NAPARI_ENSURE_PLUGIN_MAIN_THREAD"] = "1"

import pytest
from desk_fakes import fake_operations
from napari.components import ViewerModel

from napari_stemprior.qt.session import Session
from napari_stemprior.workflow.operations import Operations


@pytest.fixture(autouse=True)
def journals(tmp_path, monkeypatch):
    """Keep the journals of tests out of the user's folder."""
    folder = tmp_path / "journals"
    monkeypatch.setenv("STEMPRIOR_JOURNALS", str(folder))
    return folder


@pytest.fixture
def operations() -> Operations:
    return fake_operations()


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def session(viewer, operations):
    session = Session(viewer, operations)
    yield session
    session.close()
