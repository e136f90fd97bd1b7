"""Settings of a training run, read from a TOML file such as ``small.toml``."""

from __future__ import annotations

import math
import tomllib
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from napari_stemprior.errors import TrainingError
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.regular_files import refuse_pipe
from napari_stemprior.training.acquisition import RECORDED
from napari_stemprior.training.losses import LossWeights
from napari_stemprior.training.prompt_sampling import PromptOdds
from napari_stemprior.training.scenes import DISORDERED

_FOLDER = Path(__file__).parent
#: Pixels on a side of a scene, beyond which a mini-batch fits no memory.
_LARGEST_SIDE = 2048
#: How the kinds of a field are called.
_KINDS = {bool: "true or false", str: "text", int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of a run.

    Parameters
    ----------
    steps : int
        Mini-batches in all.
    batch, side : int
        Images in a mini-batch (of each device) and pixels on their side.
    learning_rate : float
        Held after the warm-up and taken to 2 % over the last `decay` of the steps.
    warmup : int
        Steps.
    decay : float
        Fraction of the steps.
    weight_decay : float
    seed : int
    workers : int
        Processes that draw scenes.
    recorded : float
        Share of the scenes with the artefacts of a recording (`training.recording`).
    disordered : float
        Share of the scenes without a crystal (`training.disordered`).
    negatives : int
        Structures a scene that are easily taken for the true one, for the contrast of whole images.
    initial_weights : str
        Network that a new run starts from: the name of one that ships or a ``.safetensors`` file; empty for
        random weights. Tensors are taken where names and sizes agree.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    devices : int
        How many; several train together through Lightning Fabric.
    network : NetworkConfig
    losses : LossWeights
    prompts : PromptOdds
        How often the prior is right, inexact, absent, wrong or half right.
    """

    steps: int = 4000
    batch: int = 16
    side: int = 128
    learning_rate: float = 2e-3
    warmup: int = 100
    decay: float = 0.35
    weight_decay: float = 0.02
    seed: int = 1
    workers: int = 1
    recorded: float = RECORDED
    disordered: float = DISORDERED
    negatives: int = 0
    initial_weights: str = ""
    device: str = "auto"
    devices: int = 1
    network: NetworkConfig = field(default_factory=NetworkConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    prompts: PromptOdds = field(default_factory=PromptOdds)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise TrainingError(f"{name} is {value}; it must be a finite number.")
        if not self.learning_rate > 0 or self.weight_decay < 0:
            raise TrainingError("learning_rate must be above 0, and weight_decay not below it.")
        if min(self.warmup, self.seed, self.workers, self.negatives) < 0:
            raise TrainingError("warmup, seed, workers and negatives must not be negative.")
        if not 0 <= self.decay <= 1:
            raise TrainingError(f"decay is {self.decay}; it must be a share from 0 to 1.")
        if min(self.steps, self.batch, self.devices) < 1:
            raise TrainingError("steps, batch and devices must be at least 1.")
        if not 32 <= self.side <= _LARGEST_SIDE or self.side % 8:
            raise TrainingError(
                f"side is {self.side}; it must be a multiple of 8 from 32 to {_LARGEST_SIDE}."
            )
        for name in ("recorded", "disordered"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"{name} is {getattr(self, name)}; it must be a share from 0 to 1.")

    @property
    def scenes(self) -> tuple[object, ...]:
        """What decides the scenes and their prompts; runs that agree in it can learn from the same ones."""
        return (
            self.side, self.batch, self.seed, self.recorded, self.disordered, self.negatives, self.prompts
        )  # fmt: skip

    def rate_factor(self, step: int) -> float:
        """Return what `learning_rate` is multiplied by in a step."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        start = self.steps * (1 - self.decay)
        if step < start:
            return 1.0
        left = max(0.0, (self.steps - step) / max(self.steps - start, 1.0))
        return max(left, 0.02)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as they are written beside the weights."""
        return asdict(self)

    def with_options(self, **options: Any) -> TrainingConfig:
        """Return the same settings with those that are not None exchanged."""
        return replace(self, **{name: value for name, value in options.items() if value is not None})


def read_config(name_or_file: str | Path) -> TrainingConfig:
    """Read a run's settings.

    Parameters
    ----------
    name_or_file : str or Path
        ``"small"`` for the settings of the shipped network, or a TOML file of the same form.

    Raises
    ------
    TrainingError
        Where the file is missing, is not TOML or has a field that does not exist.
    """
    built_in = _FOLDER / f"{name_or_file}.toml"
    path = built_in if built_in.exists() else Path(name_or_file)
    try:
        refuse_pipe(path)
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        names = ", ".join(sorted(p.stem for p in _FOLDER.glob("*.toml")))
        raise TrainingError(
            f"{path}: cannot be read as a training configuration ({error.strerror or error}); "
            f"give a TOML file or one of: {names}."
        ) from error
    except (ValueError, RecursionError) as error:  # ValueError: no UTF-8, no TOML, or a number of 5000 digits
        raise TrainingError(f"{path}: not a TOML file ({str(error).partition(';')[0]}).") from error
    parts: dict[str, Any] = {}
    for section, kind in (("network", NetworkConfig), ("losses", LossWeights), ("prompts", PromptOdds)):
        parts[section] = _made(kind, data.pop(section, {}), path, section)
    training = data.pop("training", {})
    if isinstance(training, dict):
        training = training | parts
    made = _made(TrainingConfig, training, path, "training")
    if data:
        raise TrainingError(
            f"{path}: unknown section [{next(iter(data))}]; there are training, network, losses and prompts."
        )
    assert isinstance(made, TrainingConfig)
    return made


def _made(kind: Any, values: Any, path: Path, section: str) -> object:
    if not isinstance(values, dict):
        raise TrainingError(f"{path}: {section} must be a section, written [{section}].")
    known = {f.name: f for f in fields(kind)}
    for name, value in values.items():
        if name not in known:
            raise TrainingError(f"{path}: [{section}] has no field {name!r}; it has {', '.join(known)}.")
        default = getattr(kind(), name)
        if isinstance(default, bool | str):
            right = isinstance(value, type(default))
        elif isinstance(default, int):
            right = type(value) is int
        elif isinstance(default, float):
            right = isinstance(value, int | float) and not isinstance(value, bool)
        elif isinstance(default, tuple):
            right = isinstance(value, list) and all(type(n) is int for n in value)
        else:
            right = isinstance(value, type(default))
        if not right:
            wanted = _KINDS.get(type(default), "a list of whole numbers")
            raise TrainingError(f"{path}: [{section}] {name} must be {wanted}, not {value!r:.60}.")
    made = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
    try:
        return kind(**made)
    except (ValueError, TrainingError) as error:
        raise TrainingError(f"{path}: [{section}] {str(error).rstrip('.')}.") from error
