"""Whether a second layer is told where one is seen, and nowhere else, on the views of the validation set.

``python -m benchmarks.registration.second_layer`` fits the right prior to every single crystal and to every
two grains, and one layer of each homobilayer, and prints how many fits speak of a second lattice.
"""

from __future__ import annotations

import argparse

from benchmarks.validation.validation_set import Item, items
from napari_stemprior.registration import fit_lattice
from napari_stemprior.structure import StructurePrior, built_in

DOSES = (3e2, 1e3, 3e3, 3e4)
#: What is seen of the bilayers of one material.
LAYER = "WSe2"


def main() -> None:
    """Print a row for each kind of scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--doses", nargs="+", type=float, default=DOSES, metavar="E", help="e/Å²")
    doses = tuple(parser.parse_args().doses)
    print("| scene | views | fits | fits that speak of a second lattice |")
    print("|---|---:|---:|---:|")
    for kind, views in _kinds().items():
        told = [_told(item, prior, dose) for item, prior in views for dose in doses]
        print(
            f"| {kind} | {len(views)} | {sum(fits for fits, _ in told)} | {sum(said for _, said in told)} |"
        )


def _kinds() -> dict[str, list[tuple[Item, StructurePrior]]]:
    """Return the views with the prior that each is fitted with."""
    single, grains, layers = [], [], []
    for item in items():
        if item.scene != "bilayer":
            (grains if item.scene == "grains" else single).append((item, item.prior))
        elif item.specimen.startswith("wse2_twisted"):
            layers.append((item, built_in(LAYER)))
    return {"one crystal": single, "two grains": grains, "one layer on a twisted bilayer": layers}


def _told(item: Item, prior: StructurePrior, dose: float) -> tuple[bool, bool]:
    fit = fit_lattice(item.micrograph(dose), item.pixel_size, prior)
    return fit.is_fit, any("second lattice" in sentence for sentence in fit.reservations)


if __name__ == "__main__":
    main()
