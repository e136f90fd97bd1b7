"""Take the crystal from a CIF, segment a micrograph with it, and list the lattice sites that are empty.

In the sample it finds the missing W columns; at that dose some missing S2 columns stay filled.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from scipy.spatial import cKDTree

from napari_stemprior import Segmenter, fit_lattice, load_prior, read_micrograph

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent / "sample_data" / "simulated_WS2_vacancies_1000e.tif"
#: Å; an atom farther from a site is not the atom of that site.
REACH = 0.75
#: Å; sites nearer than this to the border may have their atom outside.
BORDER = 1.0


def main() -> None:
    """Read the CIF, fit, segment, compare the sites with the atoms, write the empty ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", nargs="?", type=Path, default=SAMPLE)
    parser.add_argument("--structure", type=Path, default=HERE / "WS2.cif", help="CIF, POSCAR, extxyz ...")
    parser.add_argument("-o", "--output", type=Path, default=Path("vacancies.csv"))
    options = parser.parse_args()

    micrograph = read_micrograph(options.image)
    prior = load_prior(options.structure)  # beam along c; load_prior(file, (1, 1, 0)) for another zone axis
    fit = fit_lattice(micrograph, prior)
    if not fit.is_fit:
        raise SystemExit(f"{prior.name} does not fit {micrograph.name}.")
    segmenter = Segmenter()
    segmenter.set_image(micrograph.image, micrograph.pixel_size)
    atoms = segmenter.segment(prior, fit=fit)

    sites = fit.lattice(micrograph.image.shape)  # places in px where the crystal has its columns
    distance = cKDTree(atoms.yx).query(sites.yx)[0] * micrograph.pixel_size
    margin = BORDER / micrograph.pixel_size
    inside = ((sites.yx > margin) & (sites.yx < [n - 1 - margin for n in micrograph.image.shape])).all(axis=1)
    empty = (distance > REACH) & inside
    table = pd.DataFrame(
        {
            "y_px": sites.yx[empty, 0].round(3),
            "x_px": sites.yx[empty, 1].round(3),
            "element": sites.element[empty],
            "site": sites.site[empty],
        }
    )
    table.to_csv(options.output, index=False)
    print(f"{len(atoms)} atom columns; {len(table)} of {inside.sum()} sites are empty, in {options.output}")


if __name__ == "__main__":
    main()
