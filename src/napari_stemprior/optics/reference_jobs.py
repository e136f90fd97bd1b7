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

from napari_stemprior.cluster import connected, unforeseen
from napari_stemprior.errors import StempriorError, StructureError
from napari_stemprior.optics.instrument import Instrument
from napari_stemprior.optics.multislice.reference import Quality, cell_series
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.reference import DEFAULT_THICKNESS
from napari_stemprior.optics.stack_reference import stack_reference
from napari_stemprior.progress import Progress, drain
from napari_stemprior.structure import Prior, StructurePrior

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
        Of phonons, and of which atoms sit on shared sites.
    cache : bool
    noise_seed : int, optional
        That of `seed` by default. Images of one specimen with one noise would look alike where they differ.
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
    noise_seed: int | None = None

    def steps(self) -> Generator[Progress, None, NDArray[np.float32]]:
        """Simulate it, yielding progress; returns the (H, W) image.

        Raises
        ------
        StempriorError
            If the engine cannot do the prior or the detector.
        """
        return (yield from series_steps([self]))[0]

    def recorded(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return a (H, W) reference as the noise leaves it."""
        if self.noise is None:
            return image
        seed = self.seed if self.noise_seed is None else self.noise_seed
        return self.noise.apply(image, self.pixel_size, np.random.default_rng(seed))


def series_of(jobs: Sequence[ReferenceJob]) -> list[list[int]]:
    """Put together the jobs whose waves can go through one crystal once.

    Parameters
    ----------
    jobs : sequence of ReferenceJob

    Returns
    -------
    list of list of int
        Numbers of jobs: by multislice, those that differ in nothing but thickness, defocus, noise and where
        the image lies; any other job alone.
    """
    found: dict[ReferenceJob | int, list[int]] = {}
    for number, job in enumerate(jobs):
        lens = replace(job.instrument, defocus=0.0)
        specimen = replace(
            job,
            instrument=lens,
            thickness=0.0,
            pixel_size=1.0,
            shape=(1, 1),
            poses=(),
            noise=None,
            noise_seed=0,
        )
        found.setdefault(specimen if job.engine == "multislice" else number, []).append(number)
    return list(found.values())


def series_steps(jobs: Sequence[ReferenceJob]) -> Generator[Progress, None, list[NDArray[np.float32]]]:
    """Simulate one of the series of `series_of`, yielding progress; returns an (H, W) image for each job.

    Parameters
    ----------
    jobs : sequence of ReferenceJob

    Raises
    ------
    StempriorError
        If the engine cannot do the prior or the detector.
    """
    first = jobs[0]
    if first.engine != "multislice":
        yield Progress(0, 1, "reference")
        return [job.recorded(_fast(job)) for job in jobs]
    crystal = first.prior.crystal
    if crystal is None:
        raise StructureError(
            f"{first.prior.name}: layers that share no cell have no periodic cell for multislice; "
            "use the fast engine."
        )
    thicknesses = list(dict.fromkeys(job.thickness for job in jobs))
    defoci = list(dict.fromkeys(job.instrument.defocus for job in jobs))
    series = yield from cell_series(
        crystal,
        first.instrument,
        thicknesses,
        defoci,
        phonons=first.phonons,
        quality=first.quality,
        seed=first.seed,
        cache=first.cache,
    )
    images = []
    for job in jobs:
        cell = series[thicknesses.index(job.thickness)][defoci.index(job.instrument.defocus)]
        pose = job.poses[0] if job.poses else None
        images.append(job.recorded(cell.draw(crystal, job.pixel_size, job.shape, pose)))
    return images


def _fast(job: ReferenceJob) -> NDArray[np.float32]:
    layers = job.prior.layers
    poses = job.poses or (None,) * len(layers)
    return stack_reference(layers, job.instrument, job.pixel_size, job.shape, poses, thickness=job.thickness)


def render_series(jobs: Sequence[ReferenceJob]) -> list[NDArray[np.float32]]:
    """Do a series of jobs and return their (H, W) images."""
    return drain(series_steps(jobs))


def render_all(
    jobs: Sequence[ReferenceJob],
    keep: Callable[[int, NDArray[np.float32]], None],
    scheduler: str | None = None,
) -> Generator[Progress, None, None]:
    """Do all jobs, handing over each image as soon as it is there; the waves of a series are sent once.

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
        In jobs done; of a single job or series in its own steps. Closing the generator cancels the rest.

    Raises
    ------
    ClusterError
        If the scheduler cannot be reached or Dask's distributed package is missing.
    StempriorError
        What the first job that failed had to say.
    """
    series = series_of(jobs)
    done = 0
    if scheduler is None:
        for numbers in series:
            work = series_steps([jobs[n] for n in numbers])
            while True:
                try:
                    progress = next(work)
                except StopIteration as stop:
                    images = stop.value
                    break
                yield progress if len(series) == 1 else Progress(done, len(jobs), progress.stage)
            for number, image in zip(numbers, images, strict=True):
                keep(number, image)
            done += len(numbers)
        yield Progress(len(jobs), len(jobs), "done")
        return
    with connected(scheduler) as client, client.as_current():
        # the seed is in the job: the same job gives the same image, yet images need not be remembered
        futures = client.map(render_series, [[jobs[n] for n in numbers] for numbers in series], pure=False)
        try:
            yield Progress(0, len(jobs), "spread over the cluster")
            for which, images in _finished(futures):
                for number, image in zip(series[which], images, strict=True):
                    keep(number, image)
                done += len(images)
                yield Progress(done, len(jobs), "spread over the cluster")
        finally:
            client.cancel(futures)


def _finished(futures: Sequence[Any]) -> Iterable[tuple[int, list[NDArray[np.float32]]]]:
    from distributed import as_completed

    numbers = {future.key: number for number, future in enumerate(futures)}
    for future in as_completed(futures):
        try:
            images = future.result()
        except StempriorError:
            raise
        except Exception as error:  # whatever went wrong on the other machine, its versions included
            raise unforeseen("A reference", error) from error
        yield numbers[future.key], images


def with_thickness(job: ReferenceJob, thickness: float, defocus: float) -> ReferenceJob:
    """Return the job at another thickness and defocus, both in Å."""
    return replace(job, thickness=thickness, instrument=replace(job.instrument, defocus=defocus))
