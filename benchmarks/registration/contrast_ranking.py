"""At which place the contrast of images and structures has each crystal of the library. One command.

``python -m benchmarks.registration.contrast_ranking`` draws every crystal of the library as
``benchmarks.registration.suggestions`` does, shows each image to the network once, and ranks all crystals. No
lattice is laid on any image.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from benchmarks.registration.scenes import SCENES
from benchmarks.registration.suggestions import drawn
from napari_stemprior.inference.structure_contrast import MODEL, structure_likeness
from napari_stemprior.recording import prepare
from napari_stemprior.structure import built_in, names

#: Places up to which the share of the images is told.
_PLACES = (1, 5, 10, 20)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=MODEL, help="a network with embeddings (default %(default)s)")
    parser.add_argument("--doses", type=float, nargs="+", default=[300.0, 1e3, 3e3])
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=["perfect", "grains"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    library = [built_in(name) for name in names()]
    head = " | ".join(f"among {place}" if place > 1 else "first" for place in _PLACES)
    print(f"| scene | dose, e/Å² | {head} | beyond {_PLACES[-1]} | processor s |")
    print("|---|---:|" + "---:|" * len(_PLACES) + "---|---:|")
    for scene in options.scenes:
        for dose in options.doses:
            ranks, seconds = [], []
            for number, name in enumerate(names()):
                case = drawn(name, scene, dose, options.seed)
                prepared = prepare(case.image)
                start = time.process_time()
                likeness = structure_likeness(prepared, case.size, library, options.model)
                seconds.append(time.process_time() - start)
                ranks.append(int((likeness > likeness[number]).sum()) + 1)
            shares = " | ".join(f"{np.mean(np.array(ranks) <= place):.2f}" for place in _PLACES)
            missed = ", ".join(n for n, rank in zip(names(), ranks, strict=True) if rank > _PLACES[-1])
            print(f"| {scene} | {dose:g} | {shares} | {missed} | {np.median(seconds):.2f} |", flush=True)


if __name__ == "__main__":
    main()
