"""A prior of which nobody knows where it lies: whether to believe it, and what it adds.

Its spacings, kinds and brightness ratios are known. Where they are right the network sees more columns than
in the image alone; where they are wrong it overlooks some. On the validation set (33 views, five doses, the
right prior and a wrong one) the sum of the map tells the two apart: held against the image alone, strict F1
is 0.005 to 0.044 higher with the right prior at every dose, and with a wrong one at most 0.001 lower (`python
-m benchmarks.accuracy.accuracy --methods alone unplaced misplaced`).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from napari_stemprior.inference.tiles import Answer


def agrees(hinted: Answer, alone: Answer) -> bool:
    """Tell whether a prior without a place agrees with the image: the network sees more with it."""
    return bool(hinted.probability.sum() > alone.probability.sum())


def hinted_probability(hinted: Answer, alone: Answer) -> NDArray[np.float64]:
    """Return the (2, H, W) probability of a column; what the image alone shows stays."""
    return np.asarray(torch.maximum(hinted.probability, alone.probability).numpy(), dtype=np.float64)
