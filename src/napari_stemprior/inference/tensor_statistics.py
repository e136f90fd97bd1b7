"""Order statistics of tensors of any length; those of torch end at 16 million values."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from napari_stemprior.inference.column_profiles import HERE
from napari_stemprior.progress import Progress

#: Most values that are sorted to tell where eighths of them lie.
_SORTED = 2**18


def quantile(values: Tensor, share: float) -> float:
    """Return the value that a share of (N,) values does not exceed."""
    return float(values.kthvalue(1 + int(share * (len(values) - 1))).values)


def octiles(values: Tensor) -> Generator[Progress, None, Tensor]:
    """Return the (7,) values at one to seven eighths of an image, as a part of its pixels tells.

    Parameters
    ----------
    values : Tensor (N,)
        Of more than `_SORTED` only one in so many is asked. The step is odd, so that it does not stay
        with some columns of pixels.
    """
    step = -(-len(values) // _SORTED) | 1
    yield HERE
    shares = torch.linspace(0, 1, 9, dtype=values.dtype, device=values.device)[1:-1]
    return torch.quantile(values[::step], shares)
