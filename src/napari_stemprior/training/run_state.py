"""What every run of training keeps: the network that moves, its optimiser, its averaged weights and the step.

A state that was saved and resumed goes on bit by bit as if it had not been stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from napari_stemprior.errors import TrainingError
from napari_stemprior.network.checkpoint import load_tensors, save_tensors
from napari_stemprior.network.devices import fast_in_bfloat16

#: Largest norm of a gradient; longer ones are shortened to it.
_MAX_NORM = 2.0
_OLD_STATE = "{path}: the unfinished run there was saved by another version; begin it anew."

Network = TypeVar("Network", bound=nn.Module)


class RunState(Generic[Network]):
    """A network that learns, by AdamW (Loshchilov and Hutter, arXiv:1711.05101).

    Parameters
    ----------
    network : Module
        It is changed; on the device where it stays.
    learning_rate : float
    factor : callable
        Gives for a step what the learning rate is multiplied by.
    weight_decay : float
    ema_decay : float
        Share of the averaged weights that stays at each step, once there have been enough.

    Attributes
    ----------
    step : int
        Steps done.
    """

    def __init__(
        self,
        network: Network,
        learning_rate: float,
        factor: Callable[[int], float],
        *,
        weight_decay: float,
        ema_decay: float,
    ) -> None:
        self.network = network
        self.step = 0
        self._average = AveragedModel(
            network, multi_avg_fn=_growing_average(ema_decay), use_buffers=True
        ).eval()
        device = next(network.parameters()).device
        # one call for all parameters: of one for each a GPU waits for the next
        self._fused = device.type in ("cpu", "cuda")
        on_gpu = device.type == "cuda"  # a recorded step reads the learning rate where it lies
        self._optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=torch.tensor(learning_rate, device=device) if on_gpu else learning_rate,
            weight_decay=weight_decay,
            fused=self._fused,
            capturable=on_gpu,
        )
        self._norm: Tensor | None = None
        self._rate, self._factor = learning_rate, factor

    @property
    def averaged(self) -> Network:
        """The network with the averaged weights, which predicts better than the one that moves."""
        return cast(Network, self._average.module)

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        """Give the network and its average the weights of another one, before the first step."""
        self.network.load_state_dict(weights)
        self.averaged.load_state_dict(weights)

    def follow(self, factor: Callable[[int], float]) -> None:
        """Let the learning rate follow another schedule, from the present step on."""
        self._factor = factor

    def learn(self, loss: Tensor, share: Callable[[], None] | None = None) -> None:
        """Take one step down a loss: `set_rate`, `descend` and `settle` in one.

        Parameters
        ----------
        loss : Tensor ()
        share : callable, optional
            Called when the gradients are there, to exchange them with other devices.

        Raises
        ------
        TrainingError
            If the gradient is not finite. Where a GPU learns, that of the step before, for which it need not
            wait.
        """
        self.set_rate()
        self.settle(self.descend(loss, share))

    def set_rate(self) -> None:
        """Set the learning rate of the next step."""
        rate = self._rate * self._factor(self.step)
        for group in self._optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def descend(self, loss: Tensor, share: Callable[[], None] | None = None) -> Tensor:
        """Move the weights down a loss; returns the norm of the gradient.

        Of a GPU nothing is asked, so that this part can be recorded (`training.cuda_graph`).
        """
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if share is not None:
            share()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), _MAX_NORM)
        if loss.device.type != "cuda":
            self._norm = norm
            self.check()
        self._optimiser.step()
        return norm

    def settle(self, norm: Tensor) -> None:
        """Average the weights and count the step that `descend` took, whose gradient had this norm."""
        before, self._norm = self._norm, norm.clone()
        if norm.device.type == "cuda":
            _check(before, self.step)
        self._average.update_parameters(self.network)
        self.step += 1

    def check(self) -> None:
        """Raise `TrainingError` if the gradient of the last step was not finite."""
        _check(self._norm, self.step)

    def save_to(
        self, path: Path, metadata: Mapping[str, str], extra: Mapping[str, Tensor] | None = None
    ) -> None:
        """Write everything that `resume_from` needs.

        Parameters
        ----------
        path : pathlib.Path
            ``.safetensors``; an old one is replaced whole.
        metadata : mapping of str to str
            Kept beside.
        extra : mapping of str to Tensor, optional
            Kept beside; the names hold no dot.

        Raises
        ------
        ExportError
            If the file cannot be written.
        TrainingError
            If the gradient of the last step was not finite.
        """
        self.check()
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self._average.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            state = self._optimiser.state.get(parameter, {})
            tensors |= {f"moment.{key}.{name}": torch.as_tensor(value) for key, value in state.items()}
        tensors |= dict(extra or {})
        save_tensors(
            {name: value.clone() for name, value in tensors.items()},
            {**metadata, "step": str(self.step)},
            path,
        )

    def resume_from(
        self, path: Path, check: Callable[[Mapping[str, str]], None]
    ) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Go on from what `save_to` wrote.

        Parameters
        ----------
        path : pathlib.Path
        check : callable
            Raises if the metadata are those of another run, before anything is changed.

        Returns
        -------
        extra : dict of str to Tensor
        metadata : dict of str to str

        Raises
        ------
        ModelError
            If the file is missing or damaged.
        TrainingError
            If it holds no state of such a run.
        """
        tensors, metadata = load_tensors(path)
        try:
            check(metadata)
            for prefix, module in (("network.", self.network), ("average.", self._average)):
                module.load_state_dict(
                    {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
                )
            for name, parameter in self.network.named_parameters():
                saved = {
                    key: tensors.get(f"moment.{key}.{name}") for key in ("step", "exp_avg", "exp_avg_sq")
                }
                if saved["step"] is None:  # no mini-batch has reached this part of the network
                    continue
                # laid out in memory as the parameter: another order of sums is another last bit
                self._optimiser.state[parameter] = {
                    key: (value.to(parameter.device) if self._fused else value)
                    if key == "step"
                    else torch.empty_like(parameter).copy_(value)
                    for key, value in saved.items()
                    if value is not None
                }
            self.step = int(metadata["step"])
            if self.step < 0:
                raise ValueError("a negative step")
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            raise TrainingError(_OLD_STATE.format(path=path)) from error
        return {name: value for name, value in tensors.items() if "." not in name}, metadata


def _check(norm: Tensor | None, step: int) -> None:
    if norm is not None and not bool(torch.isfinite(norm)):
        raise TrainingError(f"The loss is not finite at step {step}; lower the learning rate.")


def mixed_precision(device: torch.device) -> torch.autocast:
    """Return the context in which a network runs in bfloat16, where the device does that well."""
    return torch.autocast(device.type, torch.bfloat16, enabled=fast_in_bfloat16(device))


def _growing_average(
    decay: float,
) -> Callable[[tuple[Tensor, ...] | list[Tensor], tuple[Tensor, ...] | list[Tensor], Tensor | int], None]:
    """Return an exponential moving average whose memory grows with the run up to `decay`.

    The share that stays is ``(1 + n) / (10 + n)`` after n steps, so that a short run is not held back by
    where it started.
    """

    def update(
        averaged: tuple[Tensor, ...] | list[Tensor],
        current: tuple[Tensor, ...] | list[Tensor],
        count: Tensor | int,
    ) -> None:
        n = int(count)
        get_ema_multi_avg_fn(min(decay, (1 + n) / (10 + n)))(averaged, current, count)  # type: ignore[no-untyped-call]

    return update
