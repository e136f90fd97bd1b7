"""The wheel, installed beside its declared dependencies and nothing else: no abTEM, no Qt, no tests' tools.

The dependencies are those of the environment of the tests, linked into a new one: nothing is downloaded, so
this does not show that an index has them, nor what their lowest versions do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable
from importlib.metadata import PathDistribution, distribution
from pathlib import Path

import pandas as pd
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from scipy.spatial import cKDTree

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SAMPLE = "simulated_WS2_vacancies_1000e"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` folder of an environment with the wheel and the dependencies that it declares."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin" / "python"
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(
        subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout.strip()
    )
    _link_dependencies(_declared(wheel), site)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-index",
        "--no-deps",
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True)
    return folder / "bin"


def _declared(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        return PathDistribution(zipfile.Path(archive, f"{info}/")).requires or []


def _link_dependencies(declared: Iterable[str], site: Path) -> None:
    """Link the packages that the requirements need, with what those need in turn."""
    waiting = [(Requirement(text), "") for text in declared]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        found = distribution(name)
        assert name != "abtem", "nothing that segmenting needs may bring abTEM along"
        for wanted in {"", *requirement.extras} - {done for one, done in seen if one == name}:
            seen.add((name, wanted))
            waiting += [(Requirement(text), wanted) for text in found.requires or []]
        for top in {
            file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")
        }:
            target = Path(str(found.locate_file(top)))
            if not (site / top).exists() and target.exists():
                (site / top).symlink_to(target, target_is_directory=target.is_dir())


def _run(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_holds_weights_samples_and_manifest(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    package = ROOT / "src" / "napari_stemprior"
    data = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    wanted = {f"napari_stemprior/{path.relative_to(package).as_posix()}" for path in data}
    wanted |= {f"napari_stemprior/sample_data/{path.name}" for path in (ROOT / "sample_data").iterdir()}
    assert not wanted - held
    assert {
        "weights/small.safetensors",
        "weights/paper.safetensors",
        "napari.yaml",
        "structure/library.toml",
        "py.typed",
    } <= {name.removeprefix("napari_stemprior/") for name in held}


def test_without_abtem_the_sample_is_segmented(clean: Path, tmp_path: Path) -> None:
    where = _run(clean / "python", "-c", "import napari_stemprior as n; print(n.__file__)", folder=tmp_path)
    package = Path(where.stdout.strip()).parent
    assert package.is_relative_to(clean.parent), where.stderr
    sample = package / "sample_data" / SAMPLE
    done = _run(
        clean / "stemprior", "segment", f"{sample}.tif", "--prior", "WS2", "-o", "out", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert _run(clean / "python", "-c", "import abtem", folder=tmp_path).returncode != 0
    found = pd.read_csv(tmp_path / "out" / f"{SAMPLE}.csv")[["y_px", "x_px"]].to_numpy()
    truth = pd.read_csv(f"{sample}_atoms.csv")[["y_px", "x_px"]].to_numpy()
    assert (cKDTree(found).query(truth)[0] < 2).mean() > 0.98


def test_without_abtem_multislice_is_one_sentence(clean: Path, tmp_path: Path) -> None:
    done = _run(
        clean / "stemprior", "simulate", "MoS2", "--engine", "multislice", "-o", "a.tif", folder=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr.startswith("stemprior: The multislice engine needs abTEM")
    assert done.stderr.count("\n") == 1


def test_napari_finds_the_plugin(clean: Path, tmp_path: Path) -> None:
    code = (
        "from npe2 import PluginManifest; m = PluginManifest.from_distribution('napari-stemprior'); "
        "print(m.display_name, len(m.contributions.sample_data))"
    )
    done = _run(clean / "python", "-W", "ignore", "-c", code, folder=tmp_path)
    assert done.stdout.split() == ["STEM", "prior", "3"], done.stderr
