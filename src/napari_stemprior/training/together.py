"""The loop of training: scenes are drawn once, and one or more networks learn from each.

Where there is a GPU drawing scenes takes nearly all time of the processors, so networks that are to be
compared, or shipped together, share their scenes. Each has a folder of its own and goes on from its own step.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from torch.utils.data import DataLoader

from napari_stemprior.errors import TrainingError
from napari_stemprior.progress import Progress
from napari_stemprior.training.cuda_graph import StaticExamples
from napari_stemprior.training.examples import Example, ExampleStream

if TYPE_CHECKING:
    from napari_stemprior.training.train import Trainer


def train_together(
    trainers: Sequence[Trainer], report_every: int = 20, save_every: int = 200
) -> Generator[Progress, None, list[Path]]:
    """Train networks on the same scenes to the last step of each, yielding after every mini-batch.

    Closing the generator between two mini-batches saves all states. A run that is ahead of the others, since
    it was saved later, waits for them; one that begins later (`Trainer.first_batch`) too.

    Parameters
    ----------
    trainers : sequence of Trainer
        On one device; they must ask for the same scenes.
    report_every, save_every : int
        Steps.

    Returns
    -------
    list of pathlib.Path
        The weights of each.

    Raises
    ------
    TrainingError
        If they ask for different scenes.
    """
    first = trainers[0]
    for other in trainers[1:]:
        if other.config.scenes != first.config.scenes or other.bank != first.bank:
            raise TrainingError(
                "Networks that are trained together must ask for the same scenes: one bank, and the same "
                "side, batch, seed, recorded, disordered, negatives and prompts."
            )
    for trainer in trainers:
        trainer.start()
    last = max(t.last_batch for t in trainers)
    step = min((t.next_batch for t in trainers if t.next_batch < t.last_batch), default=last)
    batches = _batches(first, step)
    # devices that exchange gradients wait for each other, which a recorded step cannot
    place = None if first.fabric else StaticExamples.on(first.device)
    while step < last:
        example = place(_next(batches)) if place else _next(batches).to(first.device)
        for trainer in trainers:
            if trainer.next_batch == step < trainer.last_batch:
                trainer.learn(example, report_every, save_every)
        step += 1
        try:
            yield Progress(step, last, "training")
        except GeneratorExit:
            for trainer in trainers:
                trainer.save()
            raise
    return [trainer.finish() for trainer in trainers]


def _batches(trainer: Trainer, step: int) -> Iterator[Example]:
    """Draw the mini-batches of a run from a step on."""
    config = trainer.config
    stream = ExampleStream(
        trainer.bank, config.side, config.batch, config.seed,
        first_step=step, odds=config.prompts,
        rank=trainer.fabric.global_rank if trainer.fabric else 0, recorded=config.recorded,
        disordered=config.disordered, negatives=config.negatives,
    )  # fmt: skip
    workers = config.workers
    return iter(
        DataLoader(
            stream,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_outlive_one_signal if workers else None,
        )
    )


def _outlive_one_signal(number: int) -> None:
    """Let a process that draws scenes go on after the first SIGTERM and without heed of Ctrl+C.

    Terminals and batch systems send both to a command and to its processes alike. The command ends them
    itself once its state is saved; a process that is gone before would end a step halfway.
    """
    heard: list[int] = []

    def hear(sent: int, frame: FrameType | None) -> None:
        if heard:
            os._exit(128 + sent)
        heard.append(sent)

    signal.signal(signal.SIGTERM, hear)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _next(batches: Iterator[Example]) -> Example:
    """Return the next mini-batch.

    Raises
    ------
    TrainingError
        If a process that draws scenes was ended from outside.
    """
    try:
        return next(batches)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TrainingError(
            "A process that draws scenes was ended from outside, perhaps for lack of memory; the same "
            "command goes on from the last saved step, and --workers 0 draws in one process."
        ) from error
