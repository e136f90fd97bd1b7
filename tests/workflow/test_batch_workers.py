"""Workers that are killed lose no image and do none twice: processes here, and those of a Dask cluster."""

import os
import signal
import time

import pandas as pd
import psutil
import pytest
from batch_bench import PIXEL_SIZE, PRIOR, Heard, counted, frames, stack_file

from napari_stemprior.errors import ClusterError, DeviceError, ModelError
from napari_stemprior.io import Micrograph
from napari_stemprior.progress import drain
from napari_stemprior.workflow import worker_processes
from napari_stemprior.workflow.batch import segment_images
from napari_stemprior.workflow.batch_settings import BatchSettings
from napari_stemprior.workflow.batch_workers import ClusterWorkers
from napari_stemprior.workflow.pixel_sizes import PixelSizes
from napari_stemprior.workflow.segment import SegmentSettings
from napari_stemprior.workflow.segment_frame import FrameJob
from napari_stemprior.workflow.worker_processes import WorkerProcesses

CPU = SegmentSettings(device="cpu")
COUNT = 8
posix = pytest.mark.skipif(os.name != "posix", reason="signals")


def spawned():
    """Processes of this one that segment."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def the_spawned():
    """The only process of this one that segments, once it has become one: between fork and exec it is not."""
    stop = time.monotonic() + 300
    while not (found := spawned()):
        assert time.monotonic() < stop
        time.sleep(0.01)
    (process,) = found
    return process


def job(number, **more):
    recorded = Micrograph(frames(1)[0], PIXEL_SIZE, f"frame {number}")
    return FrameJob(number, recorded, PixelSizes(None, PRIOR), SegmentSettings(**{"device": "cpu", **more}))


def until(condition, workers):
    """Let the workers go on until something is so; return what they finished."""
    results, stop = [], time.monotonic() + 300
    while not condition(results):
        assert time.monotonic() < stop, "the workers hang"
        results += workers.finished(0.1)
    return results


@posix
@pytest.mark.slow
@pytest.mark.parametrize("tries", [1, 2])
def test_a_frame_whose_process_is_killed_is_given_to_another_and_then_given_up(monkeypatch, tries):
    monkeypatch.setattr(worker_processes, "_TRIES", tries)
    workers = WorkerProcesses(1)
    try:
        until(lambda _: workers._workers[0].ready, workers)
        process = the_spawned()
        process.suspend()  # it cannot finish the frame that it gets now
        workers.submit(job(1))
        assert not workers.has_room()
        process.kill()
        (result,) = until(bool, workers)
        assert workers.has_room()
    finally:
        workers.close()
    assert result.number == 1
    assert (result.table is None) == (tries == 1)
    assert ("was ended" in result.error) == (tries == 1)
    assert spawned() == []


@pytest.mark.slow
def test_processes_use_one_thread_and_say_what_is_wrong_with_every_image():
    workers = WorkerProcesses(1)
    try:
        process = the_spawned()
        assert {process.environ()[name] for name in worker_processes._ONE_THREAD} == {"1"}
        workers.submit(job(1, model="none"))
        with pytest.raises(ModelError, match="none"):
            until(bool, workers)
    finally:
        workers.close()


@posix
@pytest.mark.slow
def test_a_process_that_cannot_start_is_said():
    workers = WorkerProcesses(1)
    try:
        process = the_spawned()
        process.kill()
        with pytest.raises(DeviceError, match="could not start"):
            until(bool, workers)
    finally:
        workers.close()


def check(out, heard, alone):
    """Every image once, and the atoms of one process."""
    rows = pd.read_csv(out / "results.csv", keep_default_na=False)
    assert heard.counts == dict.fromkeys((f"series [{k}]" for k in range(COUNT)), 1)
    assert rows["error"].tolist() == [""] * COUNT
    assert len((out / "results.jsonl").read_text().splitlines()) == 1 + COUNT
    for name in rows["output"]:
        one, other = (pd.read_csv(folder / name) for folder in (out, alone))
        pd.testing.assert_frame_equal(one, other, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    return stack_file(tmp_path_factory.mktemp("in") / "series.tif", COUNT)


@pytest.fixture(scope="module")
def alone(stack, tmp_path_factory):
    """What one process makes of the stack."""
    out = tmp_path_factory.mktemp("alone")
    drain(segment_images(counted(), [stack], PRIOR, out, BatchSettings(CPU, PIXEL_SIZE)))
    return out


@posix
@pytest.mark.slow
def test_a_batch_on_two_processes_of_which_one_is_killed(stack, alone, tmp_path):
    def kill(done):
        if done == 1:
            spawned()[0].send_signal(signal.SIGKILL)

    heard = Heard(kill)
    settings = BatchSettings(CPU, PIXEL_SIZE, workers=2)
    summary = drain(segment_images(counted(), [stack], PRIOR, tmp_path, settings, heard))
    assert (summary.done, summary.failed) == (COUNT, 0)
    check(tmp_path, heard, alone)
    assert spawned() == []


@pytest.fixture
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        processes=True, n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
    ) as made:
        yield made


@posix
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_batch_on_a_cluster_of_which_one_worker_is_killed(cluster, stack, alone, tmp_path):
    killed = []

    def kill(done):
        if done == 1:
            killed.append(cluster.workers[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    heard = Heard(kill)
    settings = BatchSettings(CPU, PIXEL_SIZE, scheduler=cluster.scheduler_address)
    summary = drain(segment_images(counted(), [stack], PRIOR, tmp_path, settings, heard))
    assert killed
    assert (summary.done, summary.failed) == (COUNT, 0)
    check(tmp_path, heard, alone)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_batch_on_a_cluster_that_is_closed_leaves_no_work_there(cluster, stack, tmp_path):
    settings = BatchSettings(CPU, PIXEL_SIZE, scheduler=cluster.scheduler_address)
    heard = Heard()
    work = segment_images(counted(), [stack], PRIOR, tmp_path, settings, heard)
    while not heard.rows:
        next(work)
    work.close()
    assert len(pd.read_csv(tmp_path / "results.csv")) == len(heard.rows)
    stop = time.monotonic() + 120
    while cluster.scheduler.tasks:
        assert time.monotonic() < stop
        time.sleep(0.1)
    settings = BatchSettings(CPU, PIXEL_SIZE, resume=True)
    rest = drain(segment_images(counted(), [stack], PRIOR, tmp_path, settings))
    assert rest.done + len(heard.rows) == COUNT


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_no_worker_of_a_cluster_can_do_is_one_sentence(cluster):
    workers = ClusterWorkers(cluster.scheduler_address)
    try:
        workers.submit(job(1, model="none"))
        with pytest.raises(ModelError, match="none"):
            until(bool, workers)
    finally:
        workers.close()


def test_a_scheduler_that_does_not_answer_leaves_nothing(stack, tmp_path):
    pytest.importorskip("distributed")
    settings = BatchSettings(CPU, PIXEL_SIZE, scheduler="nowhere")
    with pytest.raises(ClusterError, match="does not answer"):
        drain(segment_images(counted(), [stack], PRIOR, tmp_path, settings))
    assert list(tmp_path.iterdir()) == []
