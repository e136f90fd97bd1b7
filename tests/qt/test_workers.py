import gc
import threading
import weakref

import numpy as np
import pytest

from napari_stemprior.errors import DeviceError, MicrographError
from napari_stemprior.progress import Progress
from napari_stemprior.qt.jobs.workers import JobRunner


class Recorder:
    def __init__(self, runner):
        self.progress, self.errors, self.results = [], [], []
        runner.progressed.connect(self.progress.append)
        runner.failed.connect(self.errors.append)


@pytest.fixture
def runner(qtbot):
    runner = JobRunner()
    runner.recorder = Recorder(runner)
    return runner


def finish(qtbot, runner):
    qtbot.waitUntil(lambda: not runner.busy, timeout=60_000)


def counting(n, failure=None):
    for i in range(n):
        yield Progress(i, n, "Counting")
    if failure is not None:
        raise failure
    return threading.get_ident()


def test_a_job_runs_in_another_thread_and_reports(qtbot, runner):
    assert runner.start(counting(3), runner.recorder.results.append)
    assert runner.busy
    finish(qtbot, runner)
    assert runner.recorder.results[0] != threading.get_ident()
    assert [p.done for p in runner.recorder.progress] == [0, 1, 2]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (MicrographError("bad.dm3: cut short; copy it again."), MicrographError),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), DeviceError),
        (MemoryError(), DeviceError),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
            DeviceError,
        ),
    ],
)
def test_a_failure_that_a_person_can_act_on_is_told(qtbot, runner, failure, kind):
    runner.start(counting(1, failure), runner.recorder.results.append)
    finish(qtbot, runner)
    assert [type(e) for e in runner.recorder.errors] == [kind]
    assert not runner.recorder.results
    assert runner.start(counting(1), runner.recorder.results.append), "the runner is free again"
    finish(qtbot, runner)


def test_no_runtime_error_vanishes(qtbot, runner):
    from napari.utils.notifications import notification_manager

    notification_manager.records.clear()
    runner.start(counting(1, RuntimeError("shapes differ")), runner.recorder.results.append)
    finish(qtbot, runner)
    assert any("shapes differ" in str(n.message) for n in notification_manager.records)


def test_a_second_job_is_refused_while_one_runs(qtbot, runner):
    gate = threading.Event()
    runner.start(waiting(gate), runner.recorder.results.append)
    other = counting(1)
    assert not runner.start(other, runner.recorder.results.append)
    assert other.gi_frame is None, "the refused work is closed"
    gate.set()
    finish(qtbot, runner)
    assert runner.recorder.results == ["done"]


def waiting(gate, closed=None):
    try:
        yield Progress(0, 2, "Waiting")
        gate.wait(60)
        yield Progress(1, 2, "Waited")
        return "done"
    finally:
        if closed is not None:
            closed.set()


def test_a_cancelled_job_calls_nobody_and_cleans_up(qtbot, runner):
    gate, closed = threading.Event(), threading.Event()
    runner.start(waiting(gate, closed), runner.recorder.results.append)
    qtbot.waitUntil(lambda: bool(runner.recorder.progress), timeout=60_000)
    runner.cancel()
    assert runner.cancelling
    gate.set()
    finish(qtbot, runner)
    assert not runner.recorder.results
    assert not runner.recorder.errors
    assert closed.is_set(), "the generator's `finally` has run"


class Heavy:
    """Stands for a tensor."""

    def __init__(self):
        self.data = np.zeros(10)


def holding(heavy):
    yield Progress(0, 1, "Holding")
    return heavy.data.sum()


def test_nothing_is_held_after_a_job(qtbot, runner):
    heavy = Heavy()
    held = weakref.ref(heavy)
    runner.start(holding(heavy), runner.recorder.results.append)
    del heavy
    finish(qtbot, runner)

    def gone():
        gc.collect()
        return held() is None

    qtbot.waitUntil(gone, timeout=60_000)


def test_a_result_that_arrives_in_pieces_lasts_until_its_end(qtbot):
    runner, pieces = JobRunner(), []

    def work():
        yield Progress(0, 1, "working")
        return 3

    def arrive(result):
        for number in range(result):
            pieces.append((number, runner.busy))
            yield

    runner.start(work(), arrive)
    qtbot.waitUntil(lambda: not runner.busy, timeout=60_000)
    assert pieces == [(0, True), (1, True), (2, True)]


def test_a_cancel_takes_an_arriving_result_to_its_end(qtbot):
    runner, pieces = JobRunner(), []

    def work():
        yield Progress(0, 1, "working")
        return 3

    def arrive(result):
        for number in range(result):
            pieces.append(number)
            yield

    runner.start(work(), arrive)
    qtbot.waitUntil(lambda: bool(pieces), timeout=60_000)
    runner.cancel()
    assert pieces == [0, 1, 2]
    qtbot.waitUntil(lambda: not runner.busy, timeout=60_000)
