"""A number that has one meaning has one home."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import napari_stemprior

PACKAGE = Path(napari_stemprior.__file__).parent


@pytest.mark.parametrize("name", ["MERGE_DISTANCE", "SITE_MARGIN"])
def test_a_shared_constant_is_defined_once(name: str) -> None:
    homes = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            for target in node.targets if isinstance(node, ast.Assign) else ():
                homes[getattr(target, "id", "").lstrip("_")].append(str(path.relative_to(PACKAGE)))
    assert len(homes[name]) == 1, homes[name]
