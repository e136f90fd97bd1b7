"""Draw the loss curves of a training log: ``python -m benchmarks.training.curves LOG.csv -o curves.png``."""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd

_SMOOTHING = 7  # rows of the log


def main() -> None:
    """Draw every part of the loss against the number of samples seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("curves.png"))
    options = parser.parse_args()
    log = pd.read_csv(options.log)
    parts = [p for p in ("heat", "hidden", "offset", "site", "contrast") if log[p].nunique() > 1]
    figure, axes = plt.subplots(1, len(parts), figsize=(3.4 * len(parts), 2.8), layout="constrained")
    for axis, part in zip(axes, parts, strict=True):
        axis.plot(log["samples"], log[part], color="0.8", linewidth=0.8)
        axis.plot(log["samples"], log[part].rolling(_SMOOTHING, center=True).mean(), color="C0")
        axis.set_title(part)
        axis.set_xlabel("samples")
        axis.set_ylim(log[part].quantile(0.01), log[part].quantile(0.97))
    axes[0].set_ylabel("loss")
    figure.savefig(options.output, dpi=90)
    print(options.output)


if __name__ == "__main__":
    main()
