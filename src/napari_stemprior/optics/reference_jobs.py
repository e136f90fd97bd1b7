"""Many references: one after the other here, or spread over machines by Dask.

A job holds all that its picture depends on, so any machine with the package can do it. `render_all` is the
same call on one machine and on many.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.errors import InstrumentError, StempriorError, StructureError
from napari_stemprior.optics.instrument import Instrument
from napari_stemprior.optics.multislice_reference import Quality, multislice_reference
from napari_stemprior.optics.noise import NoiseChain
from napari_stemprior.optics.reference import DEFAULT_THICKNESS
from napari_stemprior.optics.stack_reference import stack_reference
from napari_stemprior.progress import Progress, drain
from napari_stemprior.structure import Prior, Stack, StructurePrior, layers_of

Engine = Literal["fast", "multislice"]


class FullPose(Protocol):
    """A pose, as far as references need it."""

    def columns(
        self, prior: StructurePrior, shape: tuple[int, int], margin: float = 0.0
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the (M, 2) positions in pixels (y, x) and the (M,) columns of the prior."""

    def to_angstrom(self, yx: ArrayLike) -> NDArray[np.float64]:
        """Carry (..., 2) pixels (y, x) to prior coordinates (x, y) in Å."""


@dataclass(frozen=True)
class ReferenceJob:
    """One reference to simulate.

    Parameters
    ----------
    prior : StructurePrior or Stack
    instrument : Instrument
    pixel_size : float
        Å/px.
    shape : (int, int)
    poses : tuple of Pose
        One for each layer of a stack, one for a prior, or none.
    engine : {"fast", "multislice"}
    thickness : float
        Å.
    phonons : int
    quality : {"preview", "final"}
    noise : NoiseChain, optional
        None leaves the image as fraction of the beam.
    seed : int
        Of noise and phonons.
    cache : bool
    """

    prior: Prior
    instrument: Instrument
    pixel_size: float
    shape: tuple[int, int]
    poses: tuple[FullPose, ...] = ()
    engine: Engine = "fast"
    thickness: float = DEFAULT_THICKNESS
    phonons: int = 0
    quality: Quality = "final"
    noise: NoiseChain | None = field(default=None)
    seed: int = 0
    cache: bool = True

    def steps(self) -> Generator[Progress, None, NDArray[np.float32]]:
        """Simulate it, yielding progress; returns the (H, W) image.

        Raises
        ------
        StempriorError
            If the engine cannot do the prior or the detector.
        """
        layers = layers_of(self.prior)
        poses = self.poses or (None,) * len(layers)
        if self.engine == "multislice":
            if isinstance(self.prior, Stack):
                raise StructureError(
                    f"{self.prior.name}: layers that share no cell have no periodic cell for multislice; "
                    "use the fast engine."
                )
            image = yield from multislice_reference(
                self.prior,
                self.instrument,
                self.pixel_size,
                self.shape,
                poses[0],
                thickness=self.thickness,
                phonons=self.phonons,
                quality=self.quality,
                seed=self.seed,
                cache=self.cache,
            )
        else:
            yield Progress(0, 1, "reference")
            image = stack_reference(
                layers, self.instrument, self.pixel_size, self.shape, poses, thickness=self.thickness
            )
        if self.noise is not None:
            image = self.noise.apply(image, self.pixel_size, np.random.default_rng(self.seed))
        return image


def render(job: ReferenceJob) -> NDArray[np.float32]:
    """Do one job and return its (H, W) image."""
    return drain(job.steps())


def render_all(
    jobs: Sequence[ReferenceJob],
    keep: Callable[[int, NDArray[np.float32]], None],
    scheduler: str | None = None,
) -> Generator[Progress, None, None]:
    """Do all jobs, handing over each image as soon as it is there.

    Parameters
    ----------
    jobs : sequence of ReferenceJob
    keep : callable
        Takes the number of the job and its image, here, whichever machine made it.
    scheduler : str, optional
        Address of a Dask scheduler such as ``tcp://host:8786``; without, the jobs run here in turn.

    Yields
    ------
    Progress
        In jobs done; of a single job in its own steps. Closing the generator cancels the rest.

    Raises
    ------
    InstrumentError
        If the scheduler cannot be reached or Dask's distributed package is missing.
    StempriorError
        What the first job that failed had to say.
    """
    if scheduler is None:
        for number, job in enumerate(jobs):
            work = job.steps()
            while True:
                try:
                    progress = next(work)
                except StopIteration as stop:
                    keep(number, stop.value)
                    break
                if len(jobs) == 1:
                    yield progress
                else:
                    yield Progress(number, len(jobs), progress.stage)
        yield Progress(len(jobs), len(jobs), "done")
        return
    with _client(scheduler) as client, client.as_current():
        # the seed is in the job: the same job gives the same image, yet images need not be remembered
        futures = client.map(render, jobs, pure=False)
        try:
            yield Progress(0, len(jobs), "spread over the cluster")
            for done, (number, image) in enumerate(_finished(futures), start=1):
                keep(number, image)
                yield Progress(done, len(jobs), "spread over the cluster")
        finally:
            client.cancel(futures)


def _client(address: str) -> Any:
    try:
        from distributed import Client
    except ImportError as error:
        raise InstrumentError(
            "A scheduler needs Dask's distributed package, which is missing; install "
            "napari-stemprior[cluster] or leave --scheduler out."
        ) from error
    try:
        return Client(address, timeout="10s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise InstrumentError(
            f"The Dask scheduler {address} does not answer; check the address (such as tcp://host:8786) "
            "or leave --scheduler out."
        ) from error


def _finished(futures: Sequence[Any]) -> Iterable[tuple[int, NDArray[np.float32]]]:
    from distributed import as_completed

    numbers = {future.key: number for number, future in enumerate(futures)}
    for future in as_completed(futures):
        try:
            image = future.result()
        except StempriorError:
            raise
        except Exception as error:  # whatever went wrong on the other machine, its versions included
            raise InstrumentError(
                f"A reference failed on the cluster ({type(error).__name__}: {error}); see that its "
                "machines have the same napari-stemprior."
            ) from error
        yield numbers[future.key], image


def with_thickness(job: ReferenceJob, thickness: float, defocus: float) -> ReferenceJob:
    """Return the job at another thickness and defocus, both in Å."""
    return replace(job, thickness=thickness, instrument=replace(job.instrument, defocus=defocus))
