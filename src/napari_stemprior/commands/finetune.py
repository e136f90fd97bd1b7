"""Fine-tune a network on corrected pairs: ``stemprior finetune``.

The parent is evaluated on what is held out, learns from the rest, and is evaluated again in the same way; the
new network is written only together with both numbers and with where it comes from.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemprior.adaptation.corrected_dataset import HeldOutSplit, evaluate, held_out_splits, view_of
from napari_stemprior.adaptation.finetune import FinetuneConfig, FineTuner, TrainingProgress
from napari_stemprior.atoms.metrics import Score
from napari_stemprior.commands.option_types import count, positive
from napari_stemprior.commands.stopping import exit_code, stop_between_steps
from napari_stemprior.errors import TrainingError
from napari_stemprior.inference import Segmenter
from napari_stemprior.inference.models import model_path, unfinished
from napari_stemprior.io.training_pair import file_hash
from napari_stemprior.kept_memory import keep_freed_memory
from napari_stemprior.network.checkpoint import save_network
from napari_stemprior.output_files import check_output, output_folder
from napari_stemprior.progress import Progress
from napari_stemprior.training.structure_bank import library_bank

#: Share of the minutes that the evaluations and the preparation may take.
_OVERHEAD = 0.3


@dataclass(frozen=True)
class EvaluationResult:
    """What the held-out regions say, all of them together.

    Parameters
    ----------
    f1 : float
        Strict.
    tp, fp, fn : int
    """

    f1: float
    tp: int
    fp: int
    fn: int

    @classmethod
    def of(cls, scores: Sequence[Score]) -> EvaluationResult:
        """Add up the counts of several regions."""
        total = Score(0.0, sum(s.tp for s in scores), sum(s.fp for s in scores), sum(s.fn for s in scores))
        return cls(total.f1, total.tp, total.fp, total.fn)


@dataclass(frozen=True)
class Outcome:
    """A fine-tuned network.

    Parameters
    ----------
    path : pathlib.Path
    before, after : EvaluationResult
        Of the parent and of the new network on the same held-out regions.
    """

    path: Path
    before: EvaluationResult
    after: EvaluationResult

    @property
    def worse(self) -> bool:
        """Whether the parent did better."""
        return self.after.f1 < self.before.f1

    def sentence(self) -> str:
        """Say both numbers."""
        text = f"strict F1 on what was held out: {self.before.f1:.3f} before, {self.after.f1:.3f} after"
        return f"{text}; it got WORSE, keep its parent" if self.worse else text


def finetune(
    folder: Path,
    output: Path,
    config: FinetuneConfig,
    *,
    model: str | Path = "small",
    device: str = "cpu",
    resume: bool = False,
) -> Generator[Progress, None, Outcome]:
    """Fine-tune a network on a dataset of corrected pairs and write it.

    Parameters
    ----------
    folder : pathlib.Path
        Of training pairs.
    output : pathlib.Path
        ``.safetensors``; it must not exist.
    config : FinetuneConfig
    model : str or pathlib.Path
        The parent.
    device : str
    resume : bool
        Go on with an unfinished run.

    Raises
    ------
    TrainingError
        If `output` is not possible, or there is nothing to learn from or to judge by.
    DatasetError, ModelError, DeviceError
        If pairs, parent or device are not there.
    """
    if output.suffix != ".safetensors":
        raise TrainingError(f"{output}: a network is a .safetensors file; give such a name.")
    if output.exists():
        raise TrainingError(f"{output}: there is a file already; choose another name.")
    parent = model_path(model)
    check_output(unfinished(output), [parent], overwrite=True)
    with output_folder(output.parent):  # before the long work
        yield Progress(0, 0, "reading the pairs")
        splits = held_out_splits(folder)
        segmenter = Segmenter(model, device)
        tuned = yield from tuned_network(segmenter, splits, config, state=unfinished(output), resume=resume)
        notes = _notes(tuned, segmenter, parent, folder)
        save_network(segmenter.network.cpu(), output, notes)
        unfinished(output).unlink(missing_ok=True)
    return Outcome(output, tuned.before, tuned.after)


@dataclass(frozen=True)
class Tuned:
    """What `tuned_network` did, for the notes of the network."""

    before: EvaluationResult
    after: EvaluationResult
    config: FinetuneConfig
    steps: int
    seconds: float
    splits: Sequence[HeldOutSplit]


def tuned_network(
    segmenter: Segmenter,
    splits: Sequence[HeldOutSplit],
    config: FinetuneConfig,
    *,
    state: Path | None = None,
    resume: bool = False,
) -> Generator[Progress, None, Tuned]:
    """Evaluate, train and evaluate again; the network of the segmenter is changed in place.

    Parameters
    ----------
    segmenter : Segmenter
        With the parent.
    splits : sequence of HeldOutSplit
    config : FinetuneConfig
    state : pathlib.Path, optional
        Where the unfinished run is kept.
    resume : bool
    """
    start = time.monotonic()
    yield Progress(0, 0, "judging the network as it is")
    before = EvaluationResult.of(evaluate(segmenter, splits))
    rng = np.random.default_rng(config.seed)
    used = [split for split in splits if split.training.any()]
    views = []
    for number, split in enumerate(used):
        yield Progress(number, len(used), "fitting the priors of the pairs")
        views.append(view_of(split.pair, split.training, rng))
    tuner = FineTuner(
        segmenter.network,
        views,
        library_bank(),
        config,
        state=state,
        resume=resume,
        device=segmenter.device,
    )
    segmenter.network = yield from tuner.run()
    yield Progress(tuner.step, tuner.steps, "judging the new network")
    after = EvaluationResult.of(evaluate(segmenter, splits))
    return Tuned(before, after, config, tuner.step, time.monotonic() - start, splits)


def _notes(tuned: Tuned, segmenter: Segmenter, parent: Path, folder: Path) -> dict[str, Any]:
    """Say where a network comes from; the notes of the parent, its calibration among them, go on."""
    old = dict(segmenter.notes)
    record = {
        "parent": {"name": segmenter.name, "sha256": file_hash(parent)},
        "pairs": [
            {"hash": one.pair.hash, "name": one.pair.micrograph.name, "trains": bool(one.training.any())}
            for one in tuned.splits
        ],
        "dataset": folder.name,
        "settings": asdict(tuned.config) | {"steps": tuned.steps},
        "seconds": round(tuned.seconds, 1),
        "before": asdict(tuned.before),
        "after": asdict(tuned.after),
        "worse": tuned.after.f1 < tuned.before.f1,
        "metric": "strict F1 on held-out reviewed regions",
    }
    ancestry = [*old.pop("ancestry", []), *([old.pop("finetuned")] if "finetuned" in old else [])]  # type: ignore[misc]
    return old | {"finetuned": record} | ({"ancestry": ancestry} if ancestry else {})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``stemprior finetune``."""
    parser.add_argument("folder", metavar="DIR", type=Path, help="training pairs, as the desk saves them")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, required=True, help="new network, .safetensors"
    )
    parser.add_argument(
        "--model", metavar="NAME_OR_FILE", default="small", help="parent (default %(default)s)"
    )
    parser.add_argument("--minutes", type=positive, default=2.0, help="in all (default %(default)g)")
    parser.add_argument("--steps", type=count, default=0, help="mini-batches, instead of --minutes")
    parser.add_argument("--learning-rate", type=positive, default=FinetuneConfig.learning_rate)
    parser.add_argument("--seed", type=count, default=FinetuneConfig.seed)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parser.add_argument("--json-progress", action="store_true", help="tell each step as a line of JSON")


def run(options: argparse.Namespace) -> int:
    """Run ``stemprior finetune``; 130 or 143 if it was stopped, which leaves it to be resumed."""
    keep_freed_memory()
    config = FinetuneConfig(
        steps=options.steps,
        minutes=options.minutes * (1 - _OVERHEAD),
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    work = finetune(
        options.folder,
        options.output,
        config,
        model=options.model,
        device=options.device,
        resume=options.resume,
    )
    tell = _tell_json if options.json_progress else _tell_person
    with stop_between_steps() as stopped:
        while True:
            try:
                tell(next(work))
            except StopIteration as end:
                outcome: Outcome = end.value
                break
            except BrokenPipeError:  # the desk that listened is gone
                work.close()
                raise
            if stopped:
                work.close()
                print(f"stopped; --resume goes on towards {options.output}", file=sys.stderr)
                return exit_code(stopped[0])
    if options.json_progress:
        _line(
            {
                "path": str(outcome.path),
                "before": outcome.before.f1,
                "after": outcome.after.f1,
                "worse": outcome.worse,
            }
        )
    else:
        print(f"{outcome.path}: {outcome.sentence()}.")
    return 0


def _tell_json(progress: Progress) -> None:
    values: dict[str, Any] = {"stage": progress.stage, "done": progress.done, "total": progress.total}
    if isinstance(progress, TrainingProgress):
        values["loss"] = progress.loss
    _line(values)


def _line(values: dict[str, Any]) -> None:
    print(json.dumps(values), flush=True)


def _tell_person(progress: Progress) -> None:
    if not sys.stderr.isatty():
        return
    count = f" {progress.done} of {progress.total}" if progress.total else ""
    loss = f", loss {progress.loss:.3f}" if isinstance(progress, TrainingProgress) else ""
    sys.stderr.write(f"\r\x1b[K{progress.stage}{count}{loss}")
    sys.stderr.flush()
