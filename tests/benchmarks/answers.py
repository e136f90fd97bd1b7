"""Rows as the accuracy benchmark writes them, with scores that are easy to reckon with."""

from __future__ import annotations

import numpy as np
import pandas as pd

VIEWS = {"0 a perfect": ("a", "perfect"), "1 b perfect": ("b", "perfect"), "2 a strain": ("a", "strain")}


def answers(
    method: str,
    kind: str,
    f1: dict[float, float],
    *,
    views: dict[str, tuple[str, str]] = VIEWS,
    seeds: int = 1,
    source: str = "",
    **more: object,
) -> pd.DataFrame:
    """Return a row a view, dose and seed; `f1` gives the score at each dose."""
    rows = [
        {
            "item": item,
            "specimen": specimen,
            "scene": scene,
            "dose": float(dose),
            "seed": seed,
            "method": method,
            "kind": kind,
            "source": source,
            "f1": value,
            "jaccard": value / (2 - value),
            "loose_f1": value,
            "loose_jaccard": value,
            "chamfer_angstrom": 1.2 - value,
            "precision": value,
            "recall": value,
            "rmse": 0.1,
            "element_f1": np.nan,
            "hidden_layer_recall": np.nan,
            "hidden_apart": 0,
            "hidden_apart_recall": np.nan,
            "vacancies": 0,
            "vacancies_filled": np.nan,
            "hidden_vacancies": 0,
            "hidden_vacancies_filled": np.nan,
            "vacancy_limit": np.nan,
            "ece": 0.01,
            "seconds": 1.0,
        }
        | more
        for item, (specimen, scene) in views.items()
        for dose, value in f1.items()
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)
