"""Segment a micrograph with a lattice prior and save its atoms as CSV."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_stemprior import Segmenter, fit_lattice, load_prior, read_micrograph
from napari_stemprior.io import export_atoms

SAMPLE = Path(__file__).resolve().parents[1] / "sample_data" / "simulated_WS2_vacancies_1000e.tif"


def main() -> None:
    """Read the image, fit the lattice, find the atoms, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--prior", default="WS2", help="a built-in name, a stack or a structure file")
    parser.add_argument("-o", "--output", type=Path, default=Path("atoms.csv"))
    options = parser.parse_args()

    micrograph = read_micrograph(options.image)  # image (H, W), pixel size in Å/px
    prior = load_prior(options.prior)
    fit = fit_lattice(micrograph, prior)
    print(f"{prior.name} {'fits' if fit.is_fit else 'does not fit'}", *fit.reservations)

    segmenter = Segmenter("small", device="auto")
    segmenter.set_image(micrograph.image, micrograph.pixel_size)
    atoms = segmenter.segment(prior, fit=fit)  # with the image alone where the lattice does not fit
    export_atoms(atoms, options.output, shape=micrograph.image.shape, name=micrograph.name)
    print(f"{len(atoms)} atom columns in {options.output}")


if __name__ == "__main__":
    main()
