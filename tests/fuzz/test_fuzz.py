"""Some hundred damaged files a run, the same each time; ``make fuzz`` reads ten thousand."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="cases are isolated by the means of Linux"),
]
RUN = Path(__file__).with_name("run_fuzz.py")
CASES = 300


def fuzzed(tmp_path, *options):
    lines = tmp_path / "lines.jsonl"
    done = subprocess.run(
        [sys.executable, str(RUN), "--jobs", "1", "--lines", str(lines), *options],
        capture_output=True,
        text=True,
    )
    assert lines.exists(), done.stderr[-3000:]
    return done, [json.loads(line) for line in lines.read_text().splitlines()]


def test_a_damaged_file_gives_a_right_answer_or_one_sentence(tmp_path):
    done, lines = fuzzed(tmp_path, "--cases", str(CASES))
    bad = [line for line in lines if line["verdict"] not in ("right", "refused")]
    assert not bad, done.stdout
    assert done.returncode == 0
    assert len(lines) > 0.9 * CASES
    readers = {line["reader"] for line in lines}
    assert len(readers) == 21
    for reader in readers - {"scan caches"}:  # which pass over what is damaged
        assert {line["verdict"] for line in lines if line["reader"] == reader} == {"right", "refused"}, reader


# --- the harness sees what it should -------------------------------------------------------------------


@pytest.fixture
def isolation(monkeypatch):
    monkeypatch.syspath_prepend(str(RUN.parent))
    import isolation

    return isolation


def _filled(size):
    return "right", str(len(bytearray(b"x") * size))


def _endless():
    while True:
        pass


def _killed():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child ends at once
@pytest.mark.parametrize(
    ("work", "verdict"),
    [
        (lambda: ("right", ""), "right"),
        (lambda: {}["a"], "traceback"),
        (lambda: _filled(2**28), "memory"),
        (lambda: _filled(2**40), "memory"),
        (_endless, "hang"),
        (lambda: __import__("time").sleep(600), "hang"),
        (_killed, "crash"),
    ],
    ids=["right", "traceback", "held", "asked", "busy", "asleep", "killed"],
)
def test_every_end_of_a_case_is_told(isolation, monkeypatch, work, verdict):
    # a forked child starts with what this process holds, which after other tests is much
    monkeypatch.setattr(isolation, "RSS", 2**28 if verdict == "memory" else 2**40)
    monkeypatch.setattr(isolation, "CPU", 1)
    monkeypatch.setattr(isolation, "SLEEP", 2)
    monkeypatch.setattr(isolation, "GRACE", 0)
    assert isolation.isolated(work).verdict == verdict
