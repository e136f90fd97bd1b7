"""What others take for the same image: ``python benchmarks/speed/rivals.py atomai|atomap|log FILE``.

Imports nothing of this project, so each runs in an environment of its own. FILE is an ``.npz`` of
`benchmarks.speed.segmentation` with ``image`` (H, W), ``yx`` (N, 2) true places in pixels and ``pixel_size``
in Å. Prints one line of JSON: processor time in s, and the error of the positions in Å where there are any.
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings

import numpy as np

#: Å: radius of the discs that AtomAI's networks are trained to draw.
_DISC = 0.4
#: Å: errors with which positions start that are refined.
_START = 0.1


def main() -> None:
    """Measure one and print it."""
    warnings.simplefilter("ignore")
    name, file = sys.argv[1:]
    with np.load(file) as data:
        image, yx, pixel_size = data["image"], data["yx"], float(data["pixel_size"])
    print(json.dumps({"atomai": atomai, "atomap": atomap, "log": log}[name](image, yx, pixel_size)))


def atomai(image: np.ndarray, yx: np.ndarray, pixel_size: float) -> dict[str, float]:
    """AtomAI's Segmentor: its network alone, and with the search for columns that its `predict` ends with.

    The network is untrained, which changes nothing about its time; the search is given the discs that a
    trained one draws on the true columns.
    """
    from atomai.models import Segmentor
    from atomai.predictors import Locator, SegPredictor
    from scipy.ndimage import distance_transform_edt

    predictor = SegPredictor(Segmentor("Unet", nb_classes=1).net, use_gpu=False, verbose=False)
    predictor.predict(image[:64, :64])
    start = time.process_time()
    predictor.predict(image)
    result = finished(start)
    ground = np.ones(image.shape, bool)
    ground[tuple(np.round(yx).astype(int).T)] = False
    discs = (distance_transform_edt(ground) * pixel_size < _DISC).astype(np.float32)
    start = time.process_time()
    found = Locator(0.5).run(discs[None, ..., None])
    result["predict"] = result["seconds"] + time.process_time() - start
    result["columns"] = len(found[0])
    return result


def atomap(image: np.ndarray, yx: np.ndarray, pixel_size: float) -> dict[str, float]:
    """Atomap's refinement by two-dimensional Gaussians, from positions that are almost right."""
    from atomap.api import Sublattice

    begun = yx + np.random.default_rng(0).normal(0, _START / pixel_size, yx.shape)
    lattice = Sublattice(begun[:, ::-1], image)
    lattice.find_nearest_neighbors()
    start = time.process_time()
    lattice.refine_atom_positions_using_2d_gaussian(percent_to_nn=0.4, show_progressbar=False)
    result = finished(start)
    found = np.stack([lattice.y_position, lattice.x_position], axis=1)
    error = np.linalg.norm(found - yx, axis=1) * pixel_size
    result |= {"columns": len(yx), "error": float(np.sqrt((error[error < 0.4] ** 2).mean()))}
    return result


def log(image: np.ndarray, yx: np.ndarray, pixel_size: float) -> dict[str, float]:
    """A Laplacian of Gaussian at the scale of a column, and its maxima."""
    from scipy.ndimage import gaussian_laplace, maximum_filter

    start = time.process_time()
    response = -gaussian_laplace(image, 0.5 / pixel_size)
    size = 2 * round(0.5 / pixel_size) + 1
    np.argwhere((response == maximum_filter(response, size)) & (response > response.std()))
    return finished(start)


def finished(start: float) -> dict[str, float]:
    """Return the processor time since `start`, and the most memory so far in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": time.process_time() - start, "memory": peak}


if __name__ == "__main__":
    main()
