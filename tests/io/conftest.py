"""Fixtures that the tests of readers and writers share."""

import pytest
from export_subject import make_subject

from napari_stemprior.io.writers.exporters import ExportSubject


@pytest.fixture
def subject() -> ExportSubject:
    return make_subject()
