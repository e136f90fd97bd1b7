"""Steps of training that a GPU repeats by itself: CUDA graphs.

One process of Python hands a GPU some 3,000 small pieces of work a step, and takes longer for it than the GPU
for the work. A step that was recorded once is handed over whole. What it reads has to lie where it lay when
it was recorded, and to be of the same sizes: `StaticExamples`.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.training.examples import Example

#: Lengths to which the columns of a scene, the tokens of a structure and its registered sites are padded.
#: Of 900 mini-batches of 8 scenes of 128 x 128 pixels the longest had 729, 72 and 4,134; more than 1,024
#: sites came in one of a hundred. What is longer is learned from without a recording.
_COLUMNS, _TOKENS, _SITES = 1024, 128, (1024, 2048)
#: Steps that are taken as they come before one is recorded, so that all that is made once is there.
_FIRST_STEPS = 3


class StaticExample(Example):
    """A mini-batch whose tensors stay: the next one of its sizes is written into them."""


class StaticExamples:
    """Writes mini-batches to where recorded steps read them.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._examples: dict[tuple[torch.Size, ...], StaticExample] = {}

    @classmethod
    def on(cls, device: torch.device) -> StaticExamples | None:
        """Return what places mini-batches on a device; None where the device records nothing."""
        return cls(device) if device.type == "cuda" else None

    def __call__(self, example: Example) -> Example:
        """Place a mini-batch of the processor on the device.

        Returns
        -------
        StaticExample or Example
            An `Example` if it is longer than those that are recorded.
        """
        longer = padded(example)
        if longer is None:
            return example.to(self._device)
        sizes = tuple(tensor.shape for tensor in _tensors(longer))
        if sizes not in self._examples:
            self._examples[sizes] = StaticExample(**vars(deepcopy(longer).to(self._device)))
            return self._examples[sizes]
        static = self._examples[sizes]
        for there, here in zip(_tensors(static), _tensors(longer), strict=True):
            there.copy_(here.pin_memory() if there.is_cuda else here, non_blocking=True)
        return static


class GraphedStep:
    """A step of training that is recorded for each size of a mini-batch, and replayed from then on.

    Parameters
    ----------
    step : callable
        Takes an `Example`, changes the weights, and returns tensors; it asks nothing of the GPU.
    """

    #: Memory that all recordings of the process share, by device: one is replayed after the other.
    _pools: ClassVar[dict[torch.device, Any]] = {}

    def __init__(self, step: Callable[[Example], dict[str, Tensor]]) -> None:
        self._step = step
        self._recorded: dict[StaticExample, tuple[torch.cuda.CUDAGraph, dict[str, Tensor]]] = {}
        self._taken = 0
        self._stream: torch.cuda.Stream | None = None

    def __call__(self, example: StaticExample) -> dict[str, Tensor]:
        """Take a step; what is returned is overwritten by the next one."""
        device = example.image.device
        if example not in self._recorded:
            self._stream = self._stream or torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            if self._taken < _FIRST_STEPS:
                self._taken += 1
                return self._aside(example, self._stream)
            self._recorded[example] = self._record(example, self._stream)
        graph, answers = self._recorded[example]
        graph.replay()
        return dict(answers)

    def _aside(self, example: StaticExample, stream: torch.cuda.Stream) -> dict[str, Tensor]:
        """Take a step as it comes, on the stream on which it will be recorded."""
        here = torch.cuda.current_stream(stream.device)
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            answers = self._step(example)
        here.wait_stream(stream)
        return answers

    def _record(
        self, example: StaticExample, stream: torch.cuda.Stream
    ) -> tuple[torch.cuda.CUDAGraph, dict[str, Tensor]]:
        """Record a step without taking it."""
        pool = self._pools.setdefault(stream.device, torch.cuda.graph_pool_handle())
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool, stream=stream):
            answers = {name: value.detach() for name, value in self._step(example).items()}
        return graph, answers


def padded(example: Example) -> Example | None:
    """Pad a mini-batch to the lengths of those that are recorded; None if it is longer.

    What is added is masked, so that nothing changes what is learned.
    """
    prompt, negatives = _padded_prompt(example.prompt, _SITES), example.negatives
    others = _padded_prompt(negatives, (1, *_SITES)) if negatives is not None else None
    if prompt is None or (negatives is not None and others is None) or example.columns.shape[1] > _COLUMNS:
        return None
    return Example(
        example.image,
        prompt,
        example.heat,
        example.offset,
        _lengthened(example.columns, _COLUMNS),
        _lengthened(example.column_token, _COLUMNS, -2),
        example.matched,
        others,
    )


def _padded_prompt(prompt: StructurePrompt, lengths: tuple[int, ...]) -> StructurePrompt | None:
    """Pad a batch of priors, its sites to the next of some lengths."""
    sites = next((length for length in lengths if prompt.sites.shape[1] <= length), None)
    if sites is None or prompt.columns.shape[1] > _TOKENS:
        return None
    return StructurePrompt(
        _lengthened(prompt.columns, _TOKENS),
        _lengthened(prompt.column_mask, _TOKENS),
        prompt.lattice,
        prompt.present,
        _lengthened(prompt.sites, sites),
        _lengthened(prompt.site_index, sites),
        _lengthened(prompt.site_mask, sites),
    )


def _lengthened(values: Tensor, length: int, fill: int = 0) -> Tensor:
    """Pad the second dimension of (B, N, ...) values to a length."""
    missing = length - values.shape[1]
    padding = [0, 0] * (values.ndim - 2) + [0, missing]
    if values.dtype == torch.bool:
        return F.pad(values.to(torch.uint8), padding, value=fill).to(torch.bool)
    return F.pad(values, padding, value=fill)


def _tensors(example: Example) -> list[Tensor]:
    """List the tensors of a mini-batch, those of its priors after its own."""
    prompts = [example.prompt, *([example.negatives] if example.negatives is not None else [])]
    own = [value for value in vars(example).values() if isinstance(value, Tensor)]
    return own + [value for prompt in prompts for value in vars(prompt).values()]
