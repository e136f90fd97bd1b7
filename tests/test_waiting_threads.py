"""Threads that wait for each other sleep sooner, unless the user wants otherwise."""

from __future__ import annotations

import subprocess
import sys

import pytest

from napari_stemprior.waiting_threads import sleep_sooner


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP comes with torch on Linux")
def test_it_is_set_before_torch_is_imported() -> None:
    code = (
        "import sys, os, napari_stemprior; assert 'torch' not in sys.modules; "
        "print(os.environ.get('GOMP_SPINCOUNT'))"
    )
    told = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, env={})
    assert told.returncode == 0, told.stderr
    assert int(told.stdout) < 100_000


@pytest.mark.parametrize("own", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "ACTIVE"}])
def test_what_the_user_has_said_stays(own: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    environment = dict(own)
    sleep_sooner(environment)
    assert environment == own


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    environment: dict[str, str] = {}
    sleep_sooner(environment)
    assert environment == {}
