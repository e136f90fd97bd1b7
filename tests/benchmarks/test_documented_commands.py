"""Every benchmark that a page or a message names exists, and imports."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Where benchmarks are named.
PAGES = [
    *(ROOT / name for name in ("README.md", "benchmarks/README.md", "sample_data/README.md")),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "benchmarks").rglob("*.py"),
    *(ROOT / "src").rglob("*.py"),
    *(ROOT / "tests").rglob("*.py"),
]
MODULES = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    for path in (ROOT / "benchmarks").rglob("*.py")
)
COMMANDS = [name for name in MODULES if "__main__" in (ROOT / f"{name.replace('.', '/')}.py").read_text()]


def test_every_benchmark_that_is_named_exists() -> None:
    missing = []
    for page in PAGES:
        text = page.read_text()
        modules = re.findall(r"python -m (benchmarks(?:\.\w+)+)", text)
        named = [ROOT / f"{module.replace('.', '/')}.py" for module in modules]
        named += [ROOT / name for name in re.findall(r"benchmarks/[\w/]+\.(?:py|csv|npz)\b", text)]
        missing += [f"{page.relative_to(ROOT)}: {path.name}" for path in named if not path.exists()]
    # a name that is part of the bytes of the samples
    missing.remove("benchmarks/validation/make_samples.py: make_samples.py")
    assert not missing


def test_the_table_lists_every_command() -> None:
    table = (ROOT / "benchmarks" / "README.md").read_text()
    assert COMMANDS
    assert [name for name in COMMANDS if f"`python -m {name}" not in table] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_its_neighbours(module: str) -> None:
    importlib.import_module(module)
