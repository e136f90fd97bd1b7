"""What the tests of the journal share."""

import pytest
from journal_bench import Desk


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path / "flake.tif", tmp_path / "spare" / "flake")
    yield desk
    desk.keeper.close()
