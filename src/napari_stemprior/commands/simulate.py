"""``stemprior simulate``: what the microscope should show of a crystal, as TIFF files."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemprior.commands.option_types import count, finite, positive
from napari_stemprior.commands.output_options import add_overwrite
from napari_stemprior.commands.prior_options import add_view_options, load_priors
from napari_stemprior.errors import ExportError, InstrumentError, StructureError
from napari_stemprior.io.writers.reference_tiff import REFERENCE_MARK
from napari_stemprior.output_files import check_output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_stemprior.optics import Instrument
    from napari_stemprior.optics.noise.noise_chain import NoiseChain
    from napari_stemprior.optics.reference_jobs import ReferenceJob
    from napari_stemprior.progress import Progress
    from napari_stemprior.structure import Prior

_TIFF = (".tif", ".tiff")
_SIDES = (16, 8192)
_MOST_VALUES = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``stemprior simulate``."""
    add = parser.add_argument
    add(
        "prior",
        metavar="PRIOR",
        nargs="+",
        help="built-in name, stack such as 'MoS2/WS2 twist 3.1', or structure file",
    )
    add(
        "-o", "--output", metavar="OUT", type=Path, required=True,
        help="TIFF to write; a folder where there are several references",
    )  # fmt: skip
    add("--engine", choices=("fast", "multislice"), default="fast", help="default: %(default)s")
    add("--preset", metavar="NAME", default="80 kV HAADF", help="such as '200 kV ABF' (default: %(default)s)")
    add("--beam-energy", metavar="keV", type=finite)
    add("--convergence", metavar="mrad", type=finite, help="semi-angle of the aperture")
    add("--detector", metavar="mrad", nargs=2, type=finite, help="inner and outer angle")
    add("--source-size", metavar="Å", type=finite, help="full width at half maximum")
    add("--cs", metavar="mm", type=finite, help="spherical aberration")
    add(
        "--thickness", metavar="Å", nargs="+", type=_values, default=[[100.0]],
        help="of a crystal; several, or a range such as 20:100:20, make several references (default: 100)",
    )  # fmt: skip
    add(
        "--defocus", metavar="Å", nargs="+", type=_values,
        help="positive is under focus; several, or a range: write --defocus=-40:40:20",
    )  # fmt: skip
    add("--montage", action="store_true", help="one picture of every thickness and defocus of a prior")
    add("--pixel-size", metavar="Å", type=positive, default=0.1, help="Å per pixel (default: %(default)s)")
    add("--shape", metavar="ROWSxCOLUMNS", type=_shape, default=(256, 256), help="default: 256x256")
    add("--angle", metavar="DEGREES", type=finite, default=0.0, help="of the lattice, from x towards y")
    add_view_options(parser)
    add("--dose", metavar="e/Å²", type=positive, help="shot noise; without, the fraction of the beam")
    add("--scan-noise", action="store_true", help="jitter, drift, flyback, afterglow too; needs --dose")
    add(
        "--recording-artefacts", action="store_true",
        help="row offsets, flashes, mains hum, uneven gain, spoiled rows and pixels, a border; needs --dose",
    )  # fmt: skip
    add("--phonons", metavar="N", type=count, default=0, help="frozen-phonon configurations (multislice)")
    add("--preview", action="store_true", help="a coarser, faster multislice")
    add("--no-cache", action="store_true", help="simulate anew even what was simulated before")
    add("--seed", metavar="N", type=count, default=0, help="of noise and phonons (default: %(default)s)")
    add_overwrite(parser)
    add("--scheduler", metavar="ADDRESS", help="spread the work over a Dask cluster, such as tcp://host:8786")


def run(options: argparse.Namespace) -> int:
    """Simulate the references and write them."""
    priors = load_priors(options.prior, options)
    instrument = _instrument(options)
    thicknesses = list(dict.fromkeys(t for part in options.thickness for t in part))
    if not all(t > 0 for t in thicknesses):
        raise InstrumentError("--thickness: give positive numbers of Å.")
    defoci = list(dict.fromkeys(d for part in options.defocus or [[0.0]] for d in part))
    _check(options, instrument)
    if options.montage:
        return _montages(options, priors, instrument, thicknesses, defoci)
    return _references(options, priors, instrument, thicknesses, defoci)


def _references(
    options: argparse.Namespace,
    priors: Sequence[Prior],
    instrument: Instrument,
    thicknesses: Sequence[float],
    defoci: Sequence[float],
) -> int:
    from napari_stemprior.io.writers.reference_tiff import write_reference
    from napari_stemprior.optics.reference_jobs import ReferenceJob, render_all, with_thickness

    noise = _noise(options)
    jobs, names = [], []
    for prior in priors:
        thick = thicknesses if prior.period else thicknesses[:1]
        job = ReferenceJob(
            prior,
            instrument,
            options.pixel_size,
            options.shape,
            _poses(prior, options),
            engine=options.engine,
            phonons=options.phonons,
            quality="preview" if options.preview else "final",
            noise=noise,
            seed=options.seed,
            cache=not options.no_cache,
        )
        for t, d in product(thick, defoci):
            jobs.append(with_thickness(job, t, d))
            name = _file_name(prior.name)
            name += f"_{t:g}A" if len(thick) > 1 else ""
            names.append(name + (f"_df{d:g}A" if len(defoci) > 1 else ""))
    # images of one specimen, but each with a noise of its own
    jobs = [replace(job, noise_seed=job.seed + number) for number, job in enumerate(jobs)]
    places = _places(options, names)

    def keep(number: int, image: NDArray[np.float32]) -> None:
        write_reference(places[number], image, _metadata(jobs[number]))

    title = names[0] if len(jobs) == 1 else f"{len(jobs)} references"
    _drive(render_all(jobs, keep, options.scheduler), title)
    if sys.stderr.isatty():
        print(f"{title} in {options.output}", file=sys.stderr)
    return 0


def _montages(
    options: argparse.Namespace,
    priors: Sequence[Prior],
    instrument: Instrument,
    thicknesses: Sequence[float],
    defoci: Sequence[float],
) -> int:
    import numpy as np

    from napari_stemprior.io.writers.reference_tiff import write_reference
    from napari_stemprior.optics.montage import thickness_defocus_montage

    places = _places(options, [f"{_file_name(prior.name)}_montage" for prior in priors])
    for prior, place in zip(priors, places, strict=True):
        crystal = prior.crystal
        if crystal is None:
            raise StructureError(
                f"{prior.name}: a stack without a common cell makes no montage; give one crystal."
            )
        work = thickness_defocus_montage(
            crystal,
            instrument,
            thicknesses if prior.period else thicknesses[:1],
            defoci,
            engine=options.engine,
            pixel_size=options.pixel_size,
            phonons=options.phonons,
            quality="preview" if options.preview else "final",
            seed=options.seed,
        )
        montage = _drive(work, prior.name)
        values = {
            "kind": "thickness-defocus montage, each picture from 0 to 1",
            "prior": prior.name,
            "zone_axis": prior.zone_axis,
            "engine": options.engine,
            "thicknesses_angstrom": list(montage.thicknesses),
            "defoci_angstrom": list(montage.defoci),
            "pixel_size_angstrom": montage.pixel_size,
            **_of_instrument(instrument),
        }
        write_reference(place, np.nan_to_num(montage.picture(), nan=0.0), values)
    return 0


def _instrument(options: argparse.Namespace) -> Instrument:
    from napari_stemprior.optics import PRESETS

    folded = {_folded(name): preset for name, preset in PRESETS.items()}
    preset = folded.get(_folded(options.preset))
    if preset is None:
        raise InstrumentError(f"There is no preset {options.preset!r}; choose one of {', '.join(PRESETS)}.")
    changes: dict[str, Any] = {
        "beam_energy": options.beam_energy,
        "convergence_semi_angle": options.convergence,
        "source_size": options.source_size,
        "spherical_aberration": options.cs,
        "dose": options.dose,
    }
    if options.detector is not None:
        changes["detector_inner"], changes["detector_outer"] = options.detector
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(preset, name="own settings" if set(given) - {"dose"} else preset.name, **given)


def _check(options: argparse.Namespace, instrument: Instrument) -> None:
    if options.scan_noise and options.dose is None:
        raise InstrumentError("--scan-noise needs a dose; add --dose in e/Å².")
    if options.recording_artefacts and options.dose is None:
        raise InstrumentError("--recording-artefacts needs a dose; add --dose in e/Å².")
    if options.montage and (options.dose is not None or options.scheduler is not None):
        raise InstrumentError("--montage is free of noise and runs here; leave out --dose and --scheduler.")
    if options.engine == "fast":
        from napari_stemprior.optics.reference import check_incoherent

        check_incoherent(instrument)
        if options.phonons:
            raise InstrumentError("--phonons belongs to multislice; add --engine multislice.")
    elif options.scheduler is None:  # else it runs on other machines
        from napari_stemprior.optics.multislice.abtem_import import check_abtem

        check_abtem()


def _noise(options: argparse.Namespace) -> NoiseChain | None:
    """Return shot noise, and what ``--scan-noise`` and ``--recording-artefacts`` add; lengths in Å."""
    if options.dose is None:
        return None
    from napari_stemprior.optics.noise.noise_chain import NoiseChain, usual_noise, with_recording_artefacts

    chain = usual_noise(options.dose) if options.scan_noise else NoiseChain(options.dose)
    return with_recording_artefacts(chain) if options.recording_artefacts else chain


def _poses(prior: Prior, options: argparse.Namespace) -> tuple[Any, ...]:
    """Turn the lattice about the middle of the image; each layer of a stack on its own."""
    from napari_stemprior.registration import Pose
    from napari_stemprior.registration.lattice_fit import layer_poses

    middle = (options.shape[0] / 2, options.shape[1] / 2)
    base = Pose.from_angle(options.angle, options.pixel_size, middle)
    return layer_poses(prior, base)


def _metadata(job: ReferenceJob) -> dict[str, Any]:
    values: dict[str, Any] = {
        "kind": "reference" if job.noise is None else "simulated micrograph",
        "values": "fraction of the beam" if job.noise is None else "electrons per pixel",
        "prior": job.prior.name,
        "zone_axis": job.prior.zone_axis,
        "source": job.prior.source,
        "engine": job.engine,
        "pixel_size_angstrom": job.pixel_size,
        "angle_degrees": float(job.poses[0].angle),  # type: ignore[attr-defined]
        "seed": job.seed,
        **_of_instrument(job.instrument),
    }
    if job.prior.period:
        values["thickness_angstrom"] = job.thickness
    if job.engine == "multislice":
        values |= {"phonons": job.phonons, "quality": job.quality}
    if job.noise is None:
        del values["dose_per_square_angstrom"]
    else:
        values["noise_seed"] = job.noise_seed
        values |= {f"noise_{name}": value for name, value in _flat(asdict(job.noise)).items()}
    return values


def _flat(parts: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the chain; those of its scan noise and artefacts with its name before them."""
    flat = dict(parts.pop("distortion"))
    for group in ("scan_noise", "artefacts"):
        flat |= {f"{group}_{name}": value for name, value in parts.pop(group).items()}
    return flat | parts


def _of_instrument(instrument: Instrument) -> dict[str, Any]:
    return {
        "instrument": instrument.name,
        "beam_energy_kev": instrument.beam_energy,
        "convergence_semi_angle_mrad": instrument.convergence_semi_angle,
        "detector_inner_mrad": instrument.detector_inner,
        "detector_outer_mrad": instrument.detector_outer,
        "defocus_angstrom": instrument.defocus,
        "spherical_aberration_mm": instrument.spherical_aberration,
        "source_size_angstrom": instrument.source_size,
        "dose_per_square_angstrom": instrument.dose,
    }


def _places(options: argparse.Namespace, names: Sequence[str]) -> list[Path]:
    """Return a file for each reference; an input or a foreign file is told before the work."""
    output: Path = options.output
    if len(names) == 1:
        if output.is_dir() or output.suffix.lower() not in _TIFF:
            raise ExportError(f"{output}: one reference is one file; give a name that ends in .tif.")
        places = [output]
    else:
        if output.suffix.lower() in _TIFF or output.is_file():
            raise ExportError(f"{output}: there are {len(names)} references; give a folder.")
        if len(set(names)) < len(names):
            names = [f"{name}_{number:03d}" for number, name in enumerate(names)]
        places = [output / f"{name}.tif" for name in names]
    for place in places:
        check_output(place, options.prior, own_marks=[REFERENCE_MARK], overwrite=options.overwrite)
    return places


def _drive(work: Any, title: str) -> Any:
    """Run a generator with a bar on the terminal."""
    from tqdm import tqdm

    from napari_stemprior.progress import drain

    with tqdm(desc=title, disable=None, leave=False, bar_format="{desc} {bar} {n_fmt}/{total_fmt}") as bar:

        def show(progress: Progress) -> None:
            bar.total, bar.n = progress.total, progress.done
            bar.refresh()

        return drain(work, show)


def _file_name(name: str) -> str:
    stem = Path(name).stem if Path(name).exists() else name
    return re.sub(r"[^\w.+'-]+", "_", stem).strip("_") or "reference"


def _folded(name: str) -> str:
    return "".join(name.casefold().split())


def _values(text: str) -> list[float]:
    """Read a number, or a range START:STOP:STEP that includes its end."""
    parts = [finite(part) for part in text.split(":")]
    if len(parts) == 1:
        return parts
    if len(parts) != 3 or parts[2] == 0 or (parts[1] - parts[0]) / parts[2] < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a range, write START:STOP:STEP such as 20:100:20")
    start, stop, step = parts
    count = int((stop - start) / step + 1e-9) + 1
    if count > _MOST_VALUES:
        raise argparse.ArgumentTypeError(f"{text!r} are {count} values, give {_MOST_VALUES} at most")
    return [start + n * step for n in range(count)]


def _shape(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:[x×,](\d+))?", text)
    rows, columns = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    low, high = _SIDES
    if not (low <= rows <= high and low <= columns <= high):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a shape, give ROWSxCOLUMNS such as 256x300, each from {low} to {high}"
        )
    return rows, columns
