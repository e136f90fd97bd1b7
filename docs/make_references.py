"""Draw the pictures of ``docs/references.md``: ``python docs/make_references.py [-o docs/images]``.

Some ten minutes on one core the first time; the scans are then taken from the cache.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from napari_stemprior.optics import PRESETS, Instrument
from napari_stemprior.optics.montage import Montage, thickness_defocus_montage
from napari_stemprior.optics.multislice.reference import cell_series
from napari_stemprior.optics.noise.detector_artefacts import DetectorArtefacts
from napari_stemprior.optics.noise.noise_chain import NoiseChain, usual_noise, with_recording_artefacts
from napari_stemprior.optics.noise.scan_distortion import ScanDistortion
from napari_stemprior.optics.noise.scan_noise import ScanNoise
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.progress import drain
from napari_stemprior.structure import built_in

PIXEL_SIZE = 0.1
THICKNESSES = (20.0, 50.0, 100.0, 200.0)
#: The detector of the crystals of ``benchmarks/optics/engines.py``, whose scans are used again.
CRYSTAL = replace(PRESETS["200 kV HAADF"], name="200 kV 70-150 mrad", detector_outer=150.0)


@dataclass(frozen=True)
class Example:
    """A prior and how it is seen."""

    prior: str
    instrument: Instrument
    phonons: int
    thickness: float
    dose: float


EXAMPLES = (
    Example("graphene", PRESETS["60 kV MAADF"], 30, 0.0, 3e5),
    Example("MoS2", PRESETS["80 kV HAADF"], 20, 0.0, 1e4),
    Example("1T'-WTe2", PRESETS["200 kV HAADF"], 8, 0.0, 1e4),
    Example("SrTiO3 [001]", CRYSTAL, 3, 100.0, 3e3),
    Example("GaAs [110]", CRYSTAL, 3, 100.0, 3e3),
)


def main() -> None:
    """Draw every picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/images"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    draw_engines(options.output / "references_engines.png")
    draw_montage(options.output / "references_montage.png")
    draw_noise(options.output / "references_noise.png")
    draw_detectors(options.output / "references_detectors.png")


def draw_engines(path: Path) -> None:
    """Draw five priors: both engines on one grey scale, their difference, and a noisy one."""
    shape = (160, 220)
    titles = ("fast engine", "multislice", "fast - multislice", "fast, with dose and scan noise")
    figure, axes = plt.subplots(len(EXAMPLES), 4, figsize=(11.4, 11.2), layout="constrained")
    for row, example in zip(axes, EXAMPLES, strict=True):
        prior = built_in(example.prior)
        thicknesses = THICKNESSES if prior.period else (0.0,)
        series = drain(cell_series(prior, example.instrument, thicknesses, [0.0], phonons=example.phonons))
        exact = series[thicknesses.index(example.thickness)][0].draw(prior, PIXEL_SIZE, shape)
        fast = reference_image(
            prior, example.instrument, PIXEL_SIZE, shape, thickness=example.thickness or 1.0
        )
        top = max(float(exact.max()), float(fast.max()))
        for axis, image in zip(row, (fast, exact), strict=False):
            show(axis, image, 0, top)
        shown = row[2].imshow((fast - exact) / top, cmap="RdBu_r", vmin=-0.2, vmax=0.2)
        noisy = usual_noise(example.dose).apply(fast, PIXEL_SIZE, np.random.default_rng(1))
        show(row[3], noisy, *np.quantile(noisy, (0.002, 0.998)))
        correlation = np.corrcoef(fast.ravel(), exact.ravel())[0, 1]
        thick = f", {example.thickness:g} Å" if example.thickness else ""
        row[0].set_ylabel(f"{example.prior}{thick}\n{example.instrument.name}", fontsize=9)
        row[2].set_xlabel(f"correlation {correlation:.3f}", fontsize=9)
        row[3].set_xlabel(f"{example.dose:g} e/Å²", fontsize=9)
        row[0].plot([8, 58], [150, 150], color="white", lw=3)
        row[0].text(33, 145, "5 Å", color="white", ha="center", va="bottom", fontsize=8)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=10)
    bare(axes)
    bar = figure.colorbar(shown, ax=axes[:, 2], location="bottom", shrink=0.8, aspect=30, pad=0.01)
    bar.set_label("part of the brightest pixel", fontsize=9)
    save(figure, path)


def draw_montage(path: Path) -> None:
    """Draw thickness against defocus by both engines."""
    prior, defoci, thicknesses = built_in("Si [110]"), (-60.0, -30.0, 0.0, 30.0, 60.0), (20.0, 50.0, 100.0)
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for axis, engine in zip(axes, ("fast", "multislice"), strict=True):
        made: Montage = drain(
            thickness_defocus_montage(prior, CRYSTAL, thicknesses, defoci, engine=engine, quality="preview")
        )
        picture, (_, _, height, width) = made.picture(gap=3), made.images.shape
        axis.imshow(picture, cmap="gray")
        axis.set_title(f"{prior.name}, {engine}, each picture from black to white", fontsize=10)
        axis.set_xticks([(width + 3) * j + width / 2 for j in range(len(defoci))], [f"{d:g}" for d in defoci])
        axis.set_yticks(
            [(height + 3) * i + height / 2 for i in range(len(thicknesses))], [f"{t:g}" for t in thicknesses]
        )
        axis.set_xlabel("defocus (Å, positive: under focus)")
        axis.set_ylabel("thickness (Å)")
    save(figure, path)


def draw_noise(path: Path) -> None:
    """Draw each part of the noise chain alone, stronger than usual so that it can be seen."""
    usual = usual_noise(3e4)
    clean = reference_image(built_in("MoS2"), PRESETS["80 kV HAADF"], PIXEL_SIZE, (200, 200))
    film = clean + float(clean.mean())  # on a support film, so that what darkens shows between the columns
    usual = usual_noise(3e4)
    beam = {
        "ideal": NoiseChain(0),
        "source blur 1 Å": NoiseChain(0, source_blur=1.0),
        "row jitter 0.15 Å": NoiseChain(0, row_jitter=0.15),
        "pixel jitter 0.15 Å": distorted(pixel_jitter=0.15),
        "flyback 1 Å": distorted(flyback=1.0, flyback_length=0.1),
        "drift 4 Å": distorted(drift=4.0),
        "shear 10 %": distorted(shear=0.1),
        "mains 0.3 Å": distorted(mains=0.3),
        "contamination": NoiseChain(0, contamination=3.0),
        "uneven dose": NoiseChain(0, uneven_dose=0.9),
        "flashes": NoiseChain(0, scan_noise=ScanNoise(flashes=8)),
        "1000 e/Å²": NoiseChain(1e3),
        "afterglow 3 px": NoiseChain(1e3, afterglow=3.0),
    }
    frame = {
        "uneven gain, 0.5 to 1.5": NoiseChain(0, artefacts=DetectorArtefacts(uneven_gain=0.5)),
        "row offsets 0.3": NoiseChain(0, scan_noise=ScanNoise(row_offsets=0.3)),
        "wandering offsets 0.4": NoiseChain(0, scan_noise=ScanNoise(row_wander=0.4)),
        "mains hum 0.4": NoiseChain(0, scan_noise=ScanNoise(mains=0.4)),
        "readout 0.5 e": NoiseChain(1e4, readout=0.5),
        "saturated rows": NoiseChain(0, artefacts=DetectorArtefacts(saturated_rows=4)),
        "dead rows": NoiseChain(0, artefacts=DetectorArtefacts(dead_rows=4)),
        "hot pixels 0.2 %": NoiseChain(0, artefacts=DetectorArtefacts(hot_pixels=0.002)),
        "dead pixels 0.5 %": NoiseChain(0, artefacts=DetectorArtefacts(dead_pixels=0.005)),
        "8 bit, clipped": NoiseChain(1e5, gain=15.0, bits=8),
        "border 2 Å": NoiseChain(0, artefacts=DetectorArtefacts(border=2.0)),
        "JPEG, quality 75": NoiseChain(1e5, gain=2.5, bits=8, jpeg_quality=75),
        "JPEG, quality 20": NoiseChain(1e5, gain=2.5, bits=8, jpeg_quality=20),
        "scan noise, 30,000 e/Å²": usual,
        "and recording artefacts": with_recording_artefacts(usual),
    }
    drawn = [(clean, *part) for part in beam.items()] + [(film, *part) for part in frame.items()]
    figure, axes = plt.subplots(4, 7, figsize=(13.6, 8.6), layout="constrained")
    for axis, (ideal, title, chain) in zip(axes.flat, drawn, strict=True):
        image = chain.apply(ideal, PIXEL_SIZE, np.random.default_rng(3))
        show(axis, image, *np.quantile(image, (0.001, 0.99)))
        axis.set_title(title, fontsize=9)
    bare(axes)
    save(figure, path)


def draw_detectors(path: Path) -> None:
    """Draw one crystal on all four detectors; the coherent ones by multislice."""
    prior, shape = built_in("SrTiO3 [001]"), (120, 120)
    figure, axes = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
    for axis, detector in zip(axes, ("BF", "ABF", "MAADF", "HAADF"), strict=True):
        instrument = PRESETS[f"200 kV {detector}"]
        series = drain(cell_series(prior, instrument, [50.0], [0.0], quality="preview"))
        image = series[0][0].draw(prior, PIXEL_SIZE, shape)
        show(axis, image, float(image.min()), float(image.max()))
        angles = f"{instrument.detector_inner:g}-{instrument.detector_outer:g} mrad"
        axis.set_title(f"{instrument.name}, {angles}", fontsize=9)
        axis.set_xlabel(f"{image.min():.3f} to {image.max():.3f} of the beam", fontsize=9)
    bare(axes)
    save(figure, path)


def distorted(**parts: float) -> NoiseChain:
    """Return a chain of a distortion alone."""
    return NoiseChain(0, distortion=ScanDistortion(**parts))


def show(axis: Axes, image: NDArray[np.float32], low: float, high: float) -> None:
    """Draw in grey."""
    axis.imshow(image, cmap="gray", vmin=low, vmax=high)


def bare(axes: Sequence[Axes] | NDArray[np.object_]) -> None:
    """Take the ticks away."""
    for axis in np.ravel(axes):
        axis.set_xticks([])
        axis.set_yticks([])


def save(figure: plt.Figure, path: Path) -> None:
    """Write the picture."""
    figure.savefig(path, dpi=100)
    plt.close(figure)
    print(path, flush=True)


if __name__ == "__main__":
    main()
