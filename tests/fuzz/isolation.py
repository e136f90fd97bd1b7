"""Run a case in a process of its own, with a limit on its memory and on its time."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: Seconds of the processor that a case may take, and of sleep without any work; both do not depend on how
#: busy the machine is.
CPU, SLEEP = 20, 20
#: Ticks of the processor that are work; a thread that only looks at the clock takes less in `SLEEP` seconds.
WORK = 20
#: Seconds beyond CPU after which a case is ended.
GRACE = 5
#: Bytes that a case may hold, and that it may ask for beyond what it begins with.
RSS, ASKED = 2 * 2**30, 4 * 2**30

VERDICTS = ("right", "refused", "traceback", "hang", "memory", "wrong", "crash")
GOOD = ("right", "refused")


@dataclass(frozen=True)
class Outcome:
    """What became of a case; `verdict` is one of `VERDICTS`."""

    verdict: str
    text: str
    cpu: float
    peak: int


def isolated(work: Callable[[], tuple[str, str]]) -> Outcome:
    """Run `work` in a forked process and return its verdict, or how it ended instead."""
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _child(work, writing)
    os.close(writing)
    said, waited = _heard(reading, pid)
    os.close(reading)
    _, status, used = os.wait4(pid, 0)
    cpu, peak = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    code = os.waitstatus_to_exitcode(status)
    if not waited or code == -signal.SIGXCPU or (said and cpu > CPU):
        return Outcome("hang", f"{cpu:.0f} s of the processor" if waited else "it waits", cpu, peak)
    if not said:
        return Outcome("crash", f"ended with {code}", cpu, peak)
    verdict, text = json.loads(said)
    if peak > RSS:
        return Outcome("memory", f"{peak / 2**30:.1f} GiB; {text}", cpu, peak)
    return Outcome(verdict, text, cpu, peak)


def _heard(reading: int, pid: int) -> tuple[bytes, bool]:
    """Read what a process says until it ends; False if it was killed because it only waited."""
    said, done, since = b"", -1, time.monotonic()
    while True:
        if select.select([reading], [], [], 1.0)[0]:
            part = os.read(reading, 65536)
            if not part:
                return said, True
            said += part
            continue
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        work = int(fields[11]) + int(fields[12])
        if work > done + WORK or fields[0] != "S":
            done, since = work, time.monotonic()
        if time.monotonic() - since > SLEEP:
            os.kill(pid, signal.SIGKILL)
            return b"", False


def _child(work: Callable[[], tuple[str, str]], writing: int) -> None:
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU + GRACE, CPU + GRACE + 5))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + ASKED
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        try:
            found = work()
        except MemoryError:
            found = ("memory", "".join(traceback.format_exc().splitlines(True)[-4:]))
        except BaseException:
            found = ("traceback", "".join(traceback.format_exc().splitlines(True)[-7:]))
        os.write(writing, json.dumps(found).encode())
        code = 0
    finally:
        os._exit(code)


def spoken(run: Callable[[], int]) -> tuple[int, str, str]:
    """Run a command in this process; return its exit code and what it said on standard error and output."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as printed:
        sys.stdout.flush()
        os.dup2(said.fileno(), 2)
        os.dup2(printed.fileno(), 1)
        try:
            code = int(run())
        except SystemExit as stop:
            code = int(stop.code or 0)
        texts = []
        for stream, file in ((sys.stderr, said), (sys.stdout, printed)):
            stream.flush()
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
        return code, texts[0], texts[1]
