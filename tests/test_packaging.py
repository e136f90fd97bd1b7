"""What pyproject.toml declares is what the code imports and what the public forge tests."""

from __future__ import annotations

import ast
import re
import runpy
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: Packages that come with what is declared, and why that is enough.
COMES_WITH = {"dask": "abtem", "rsciio": "rosettasciio", "vispy": "napari"}


def _names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def _imported() -> set[str]:
    """Top-level packages that the source imports, at the top of a file or inside a function."""
    names = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=aliases):
                    names |= {alias.name.partition(".")[0] for alias in aliases}
                case ast.ImportFrom(module=str(module), level=0):
                    names.add(module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"napari_stemprior"}


def test_every_package_that_is_imported_is_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    optional = set().union(*(_names(extras[name]) for name in ("train", "multislice", "cluster", "figures")))
    declared = _names(PROJECT["dependencies"]) | optional
    owners = packages_distributions()
    undeclared = {
        name
        for name in _imported()
        if not {canonicalize_name(owner) for owner in (*owners.get(name, [name]), COMES_WITH.get(name, name))}
        & declared
    }
    assert not undeclared


def test_abtem_is_an_extra() -> None:
    assert "abtem" not in _names(PROJECT["dependencies"])
    assert "abtem" in _names(PROJECT["optional-dependencies"]["multislice"])


def test_every_runtime_dependency_says_its_lowest_version() -> None:
    loose = [text for text in PROJECT["dependencies"] if ">=" not in text]
    assert not loose


@pytest.fixture(scope="module")
def workflow() -> dict:
    return yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())


def test_the_forge_tests_every_python_and_both_bindings(workflow: dict) -> None:
    matrix = workflow["jobs"]["tests"]["strategy"]["matrix"]
    classified = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))
    assert matrix["python"] == classified
    assert set(matrix["qt"]) == {"pyqt6", "pyside6"} <= set(PROJECT["optional-dependencies"])
    assert any(one.get("resolution") == "lowest-direct" for one in matrix["include"])
    assert all(one.get("may-fail", False) == ("prerelease" in one) for one in matrix["include"])


def test_the_forge_runs_the_checks_of_make_lint(workflow: dict) -> None:
    steps = [step["run"] for step in workflow["jobs"]["style"]["steps"] if "run" in step]
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert lint is not None
    wanted = [line.strip().removeprefix("$(BIN)/") for line in lint[1].splitlines()]
    assert [line for line in wanted if line not in steps] == []


def test_the_picture_of_the_rooms_shows_the_contract() -> None:
    figure = runpy.run_path(str(ROOT / "docs" / "make_rooms_figure.py"))
    assert figure["OUTPUT"].read_text(encoding="utf-8") == figure["drawn"](), (
        "the rooms have changed: python docs/make_rooms_figure.py"
    )


def test_what_the_guide_for_contributors_names_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "napari_stemprior"
    named = re.findall(r"`([\w./-]+/[\w.]*)`", text)
    assert len(named) > 20
    assert [name for name in named if not ((ROOT / name).exists() or (package / name).exists())] == []


def test_the_hooks_run_before_a_commit() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    assert {hook["id"] for hook in repository["hooks"]} >= {"ruff", "ruff-format", "mypy"}
