"""Weights on disk: safetensors, with the sizes of the network in the file's metadata."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from napari_stemprior.atomic_write import replaced
from napari_stemprior.errors import ModelError
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.stemprior_net import StructurePromptedNet

#: Weights that were saved before they became those of `contrast`.
_OF_CONTRAST = ("project_image.", "project_structure.", "temperature")


def save_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], path: Path) -> None:
    """Write tensors so that a crash leaves the old file whole.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    with replaced(path) as beside:
        try:
            save_file(plain, beside, dict(metadata))
        except SafetensorError as error:  # how it tells of a full disk
            raise OSError(str(error)) from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `save_tensors` wrote.

    Raises
    ------
    ModelError
        If the file is missing or is no safetensors file.
    """
    if not path.is_file():
        raise ModelError(f"{path}: there is no such model file; give one that ends in .safetensors.")
    try:
        with _textual(path) as named, safe_open(named, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"{path}: this is not a safetensors file, or it is damaged ({str(error)[:200]})."
        ) from error


@contextmanager
def _textual(path: Path) -> Iterator[Path]:
    """Give a file a name that is text for a moment, where its own is none: safetensors takes no other."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder) / f"weights{path.suffix}"
            link.symlink_to(path.absolute())
            yield link
    else:
        yield path


def save_network(
    network: StructurePromptedNet, path: Path, notes: Mapping[str, object] | None = None
) -> None:
    """Write a network's weights in half precision with its sizes and `notes` (plain values).

    A tensor with numbers beyond half precision (65,504), such as a variance, keeps its own format.
    """
    largest = torch.finfo(torch.float16).max
    tensors = {
        name: t.to(torch.float16) if t.is_floating_point() and bool((t.abs() <= largest).all()) else t
        for name, t in network.state_dict().items()
    }
    save_tensors(tensors, {"config": network.config.to_json(), "notes": json.dumps(notes or {})}, path)


def load_network(
    path: Path, build: Callable[[NetworkConfig], StructurePromptedNet] = StructurePromptedNet
) -> tuple[StructurePromptedNet, dict[str, object]]:
    """Read a network, ready to predict, and its notes.

    Parameters
    ----------
    path : pathlib.Path
    build : callable, optional
        Makes the network from its configuration, where a part of it was changed.

    Raises
    ------
    ModelError
        If the file is missing, damaged, does not hold such a network, or weights are not finite.
    """
    tensors, metadata = load_tensors(path)
    try:
        network = build(NetworkConfig.from_json(metadata["config"]))
        network.load_state_dict(
            {
                f"contrast.{name}" if name.startswith(_OF_CONTRAST) else name: (
                    tensor.float() if tensor.is_floating_point() else tensor
                )
                for name, tensor in tensors.items()
            }
        )
        notes = dict(json.loads(metadata.get("notes", "{}")))
    except (KeyError, TypeError, ValueError, RuntimeError, AssertionError, ArithmeticError) as error:
        raise ModelError(
            f"{path}: the file holds no weights of this network; train one with 'stemprior train'."
        ) from error
    broken = [name for name, tensor in network.state_dict().items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise ModelError(f"{path}: the weights are not finite (in {broken[0]}); take another network.")
    return network.eval(), notes
