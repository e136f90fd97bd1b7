"""What tests of measurements share."""

from __future__ import annotations

import pytest
from displaced_crystal import Crystal, crystal


@pytest.fixture
def sto() -> Crystal:
    return crystal()
