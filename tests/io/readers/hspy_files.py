"""Signals as HyperSpy writes them."""

from pathlib import Path

import numpy as np
from rsciio import hspy


def signal(
    data: np.ndarray, scales: list[float], units: list[str], navigate: list[bool], title: str = ""
) -> dict:
    axes = [
        {"name": "tzyx"[i - data.ndim], "size": n, "scale": s, "offset": 0.0, "units": u, "navigate": v}
        | {"index_in_array": i, "_type": "UniformDataAxis", "is_binned": False}
        for i, (n, s, u, v) in enumerate(zip(data.shape, scales, units, navigate, strict=True))
    ]
    metadata = {
        "General": {"title": title},
        "Signal": {"signal_type": ""},
        "Acquisition_instrument": {"TEM": {"beam_energy": 60.0}},
    }
    return {
        "data": data,
        "axes": axes,
        "metadata": metadata,
        "original_metadata": {},
        "attributes": {"_lazy": False},
        "package_info": {"package": "", "package_version": ""},
        "learning_results": {},
        "models": None,
        "tmp_parameters": {},
        "post_process": [],
    }


def hspy_file(path: Path, *args, **kwargs) -> Path:
    hspy.file_writer(str(path), signal(*args, **kwargs))
    return path
