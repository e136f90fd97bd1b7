"""Whether `suggest` names the right crystal of the library, and how long it takes; one command.

``python -m benchmarks.registration.suggestions`` draws each crystal of the library with the fast engine and
ranks the library for it, with the pixel size known, stated 8 % wrong, and unknown. What no observer could
tell from the truth at that dose counts as the same crystal.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.registration.likelihood import DECISIVE, divergence
from benchmarks.registration.scenes import SCENES, crystal_image, draw
from napari_stemprior.progress import drain
from napari_stemprior.recording import prepare
from napari_stemprior.registration import rank_priors, register
from napari_stemprior.registration.ranking import Suggestion
from napari_stemprior.structure import StructurePrior, built_in, names

#: Pixels on a side, Å/px from and to, and how wrong a stated pixel size is.
PIXELS, SIZES, WRONG = 512, (0.09, 0.18), 0.08
#: The scans drift by up to so much along the slow axis, see `scenes.random_pose`.
DRIFT = 0.03
KNOWN, OFF, UNKNOWN = "known", "8 % wrong", "unknown"


@dataclass(frozen=True)
class Case:
    """One crystal drawn, and what is stated of its pixel size."""

    prior: StructurePrior
    image: NDArray[np.float32]
    ideal: NDArray[np.float32]
    size: float
    dose: float


def drawn(name: str, scene: str, dose: float, seed: int) -> Case:
    """Draw one crystal."""
    rng = np.random.default_rng([23, seed, *f"{name} {scene}".encode()])
    size = float(rng.uniform(*SIZES))
    made = draw(built_in(name), scene, size, (PIXELS, PIXELS), rng)
    return Case(made.prior, made.micrograph(dose, rng), made.image, size, dose)


def stated(case: Case, kind: str, rng: np.random.Generator) -> float | None:
    """Return the pixel size that is stated, Å/px."""
    if kind == UNKNOWN:
        return None
    return case.size * float(np.exp(rng.choice([-1, 1]) * WRONG)) if kind == OFF else case.size


def is_twin(case: Case, suggestion: Suggestion, kind: str) -> bool:
    """Tell whether no observer could tell a suggestion from the truth in the counts of the image.

    The columns of the suggestion are drawn where it lies on the noiseless image, their brightness and the
    background fitted: the log of the likelihood ratio that a dose yields is at most `DECISIVE`. The lattice
    constant counts where the pixel size is known, beyond what the scan drifts.
    """
    if kind == KNOWN and abs(suggestion.pixel_size / case.size - 1) > DRIFT:
        return False
    prior = built_in(suggestion.name)
    shape = (case.ideal.shape[0], case.ideal.shape[1])
    pose = register(case.ideal, suggestion.pixel_size, prior, candidates=1)[0]
    places, index = pose.columns(prior, shape, 6.0 / case.size)
    # drawn with the true pixels: the probe is that of the microscope
    picture = crystal_image(prior, places, index, case.size, shape)
    return divergence(case.ideal, picture) * case.size**2 * case.dose < DECISIVE


def place(case: Case, ranked: Sequence[Suggestion], kind: str) -> int:
    """Return the place of the right crystal, twins counted as one, from 1 on; 0 where it is not listed."""
    seen: list[int] = []
    for suggestion in ranked:
        if suggestion.name == case.prior.name:
            return len(seen) + 1
        if not is_twin(case, suggestion, kind):
            seen.append(suggestion.tie)
    return 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--doses", type=float, nargs="+", default=[3e3])
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=["perfect"])
    parser.add_argument("--stated", nargs="+", choices=[KNOWN, OFF, UNKNOWN], default=[KNOWN, OFF, UNKNOWN])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/suggestions"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    library = [built_in(name) for name in names()]
    rows = []
    for name in names():
        for scene in options.scenes:
            for dose in options.doses:
                case = drawn(name, scene, dose, options.seed)
                prepared = prepare(case.image)
                for kind in options.stated:
                    rng = np.random.default_rng([29, options.seed, *name.encode()])
                    start = time.process_time()
                    ranked = drain(rank_priors(prepared, stated(case, kind, rng), library))
                    taken = time.process_time() - start
                    fits = [one for one in ranked if one.is_fit]
                    rows.append(
                        {"crystal": name, "scene": scene, "dose": dose, "pixel size": kind}
                        | {"place": place(case, fits, kind), "seconds": taken}
                        | {
                            "first": fits[0].name if fits else "",
                            "by name": fits[:1] and fits[0].name == name,
                        }
                    )
                    print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    options.output.mkdir(parents=True, exist_ok=True)
    table.to_csv(options.output / "suggestions.csv", index=False)
    print("\n| scene | dose, e/Å² | pixel size | first | among five | processor s, median | most |")
    print("|---|---:|---|---:|---:|---:|---:|")
    for (scene, dose, kind), group in table.groupby(["scene", "dose", "pixel size"], sort=False):
        first, five = (group["place"].between(1, most).mean() for most in (1, 5))
        times = group["seconds"]
        print(
            f"| {scene} | {dose:.0f} | {kind} | {first:.1%} | {five:.1%} "
            f"| {times.median():.1f} | {times.max():.1f} |"
        )


if __name__ == "__main__":
    main()
