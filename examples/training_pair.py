"""Correct what the network found and keep the corrected region as a training pair."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from napari_stemprior import AtomTable, Segmenter, load_prior, read_micrograph
from napari_stemprior.io import TrainingPair, TrainingPairDataset, pair_provenance

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data" / "simulated_WS2_vacancies_1000e.tif"


def main() -> None:
    """Segment, correct, save; ``stemprior finetune PAIRS -o mine.safetensors`` learns from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("pairs"), help="a dataset folder")
    options = parser.parse_args()

    micrograph, prior = read_micrograph(SAMPLE), load_prior("WS2")
    segmenter = Segmenter()
    segmenter.set_image(micrograph.image, micrograph.pixel_size)
    found = segmenter.segment(prior)

    # Corrections are statuses of rows. Here every atom of doubt is thrown out; a person would look.
    rows = found.rows.copy()
    rows.loc[rows["confidence"] < 0.5, "status"] = "rejected"
    corrected = AtomTable(rows, found.pixel_size, found.provenance)

    # (H, W): where a person looked. There the absence of an atom is a statement too.
    reviewed = np.zeros(micrograph.image.shape, dtype=bool)
    reviewed[64:320, 64:320] = True
    provenance = pair_provenance(corrected.provenance, prior, editor="example")
    pair = TrainingPair(micrograph, corrected.atoms, reviewed, prior, provenance)
    digest = TrainingPairDataset(options.output).save(pair)
    print(f"{len(pair.atoms)} atoms as pair {digest} in {options.output}")


if __name__ == "__main__":
    main()
