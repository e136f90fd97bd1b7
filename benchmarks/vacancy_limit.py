"""How well any method could tell a vacancy from a column: ``python benchmarks/vacancy_limit.py``.

Likelihood-ratio test at a place that is known, with the true image of the crystal with and without the
column and Poisson noise: the best that there is (Neyman and Pearson, Phil. Trans. R. Soc. A 231 (1933) 289).
The threshold calls 1 % of the true columns vacant; the table gives the share of vacancies that then pass
for columns.
"""

from __future__ import annotations

import argparse
from functools import cache

import numpy as np
from numpy.typing import NDArray

from scans import load
from validation_set import DOSES, Item, items

#: Å around a vacancy in which its pixels count.
_REACH = 1.3
#: True columns that may be called vacant.
_FALSE_ALARMS = 0.01
_DRAWS = 4_000


def missed_share(
    without: NDArray[np.float64], filled: NDArray[np.float64], rng: np.random.Generator
) -> float:
    """Return the share of vacancies that the best test takes for columns.

    Parameters
    ----------
    without, filled : (P,) array
        Expected counts of the pixels around the place, without the column and with it.
    rng : numpy Generator
    """
    weight = np.log(np.maximum(filled, 1e-12) / np.maximum(without, 1e-12))
    vacant = rng.poisson(without, (_DRAWS, len(without))) @ weight
    occupied = rng.poisson(filled, (_DRAWS, len(filled))) @ weight
    # Counts are whole numbers: at the threshold itself the test throws a coin.
    threshold = np.quantile(occupied, _FALSE_ALARMS, method="inverted_cdf")
    below, at = (occupied < threshold).mean(), (occupied == threshold).mean()
    coin = (_FALSE_ALARMS - below) / at if at > 0 else 0.0
    return float((vacant > threshold).mean() + (1 - coin) * (vacant == threshold).mean())


@cache
def limits(item: Item) -> dict[float, float]:
    """Return for each dose the mean over the vacancies of a view; empty where it has none."""
    if not len(item.vacancies):
        return {}
    perfect = item.view.draw(load(item.specimen.removesuffix("_vacancies")))
    yx = np.stack(np.indices(item.image.shape), -1)
    shares: dict[float, list[float]] = {dose: [] for dose in DOSES}
    rng = np.random.default_rng(3)
    for place in item.vacancies:
        near = ((yx - place) ** 2).sum(-1) * item.pixel_size**2 < _REACH**2
        for dose in DOSES:
            unit = dose * item.pixel_size**2
            without, filled = (
                np.clip(item.image[near], 0, None) * unit,
                np.clip(perfect[near], 0, None) * unit,
            )
            shares[dose].append(missed_share(without, filled, rng))
    return {dose: float(np.mean(values)) for dose, values in shares.items()}


def main() -> None:
    """Print the limit of every view with vacancies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="vacancies", help="part of the name of the views to take")
    options = parser.parse_args()
    print("| view | vacancies | " + " | ".join(f"{d:g} e/Å²" for d in DOSES) + " |")
    print("|---|---:|" + "---:|" * len(DOSES))
    for item in items(options.only):
        found = limits(item)
        if found:
            cells = " | ".join(f"{100 * found[d]:.1f} %" for d in DOSES)
            print(f"| {item.name} | {len(item.vacancies)} | {cells} |")


if __name__ == "__main__":
    main()
