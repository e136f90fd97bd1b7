"""A process that adds training pairs when it is told to; run by ``test_training_pairs``.

Arguments: the folder, the first seed and the number of pairs.
"""

import sys

import numpy as np

from napari_stemprior.atoms import AtomTable
from napari_stemprior.io import Micrograph, TrainingPair, TrainingPairDataset


def pair(seed):
    image = np.random.default_rng(0).random((20, 20)).astype(np.float32)  # revisions of one micrograph
    atoms = AtomTable.from_positions([[3.0 + seed / 100, 4.0]], 0.2, element=[f"X{seed}"])
    return TrainingPair(Micrograph(image, 0.2, f"flake {seed}"), atoms, np.ones(image.shape, bool))


if __name__ == "__main__":
    folder, first, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    pairs = [pair(seed) for seed in range(first, first + number)]
    print("ready", flush=True)
    sys.stdin.readline()
    for one in pairs:
        TrainingPairDataset(folder).save(one)
