"""Vendor formats through RosettaSciIO: DM3, DM4, EMD, SER, MRC, HSPY."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import MicrographError
from napari_stemprior.io.length_units import to_angstrom
from napari_stemprior.io.raw_image import RawImage, readable
from napari_stemprior.recording.image_check import complex_image, grey

#: The RosettaSciIO reader of each suffix and the arguments that it needs.
READERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".dm3": ("digitalmicrograph", {"lazy": True}),
    ".dm4": ("digitalmicrograph", {"lazy": True}),
    # Velox: leaves the EDS streams, which can be gigabytes, on the disk
    ".emd": ("emd", {"lazy": True, "select_type": "images"}),
    ".ser": ("tia", {}),
    ".mrc": ("mrc", {"lazy": True}),
    ".hspy": ("hspy", {"lazy": True}),
}
_ENERGY_UNITS = ("ev", "kev", "mev")
#: Which signals of a file come first; a title that holds none of these comes after them.
_DETECTORS = ("haadf", "maadf", "adf", "df")

#: Where the common metadata lie once RosettaSciIO's mapping is applied, and what they are called here.
_COMMON = {
    "General.title": "title",
    "General.date": "date",
    "General.time": "time",
    "Acquisition_instrument.TEM.microscope": "microscope",
    "Acquisition_instrument.TEM.acquisition_mode": "mode",
    "Acquisition_instrument.TEM.beam_energy": "beam_energy_kev",
    "Acquisition_instrument.TEM.beam_current": "beam_current_na",
    "Acquisition_instrument.TEM.camera_length": "camera_length_mm",
    "Acquisition_instrument.TEM.magnification": "magnification",
}
#: The same for what the mapping does not cover: path in the original metadata, name, factor.
_VENDOR = (
    ("Scan.DwellTime", "dwell_time_us", 1e6),
    ("Scan.FrameTime", "frame_time_s", 1.0),
    ("Optics.BeamConvergence", "convergence_semi_angle_mrad", 1e3),
    ("ImageList.TagGroup0.ImageTags.DigiScan.Sample Time", "dwell_time_us", 1.0),
    ("microscope.voltage", "voltage", 1.0),
)


def read_signals(path: Path) -> list[RawImage]:
    """Read every image of a vendor file, HAADF first; spectra and diffraction stacks are left out.

    Parameters
    ----------
    path : pathlib.Path
        Its suffix is one of `READERS`.

    Raises
    ------
    MicrographError
        If there is no image among the signals.
    Exception
        Whatever RosettaSciIO raises on a file that it cannot read.
    """
    module, options = READERS[path.suffix.lower()]
    signals = _file_reader(module, path, options)
    try:
        shown = [signal for signal in signals if _signal_axes(signal)]
        images = [signal for signal in shown if signal["data"].dtype.kind != "c"]
        if shown and not images:
            raise complex_image(path.name)
        if not images:
            kinds = ", ".join("x".join(map(str, signal["data"].shape)) for signal in signals) or "nothing"
            raise MicrographError(
                f"{path.name}: the file holds no image (found {kinds}); spectrum images and "
                "diffraction data cannot be segmented, so export the HAADF image."
            )
        # a diffraction pattern is an image too, but not one of the specimen
        real_space = [signal for signal in images if not _is_reciprocal(signal)] or images
        return sorted(readable([partial(_image, signal, path.name) for signal in real_space]), key=_rank)
    finally:
        for signal in signals:
            _close(signal["data"])


def _file_reader(module: str, path: Path, options: dict[str, Any]) -> list[dict[str, Any]]:
    reader = import_module(f"rsciio.{module}").file_reader
    try:
        return list(reader(str(path), **options))
    except ValueError:
        # RosettaSciIO cannot read coloured DM images and unchunked HDF5 lazily
        return list(reader(str(path), **{**options, "lazy": False}))


def _axes(signal: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the axes in the order of the array's dimensions."""
    axes = list(signal["axes"])
    if all("index_in_array" in axis for axis in axes):
        axes.sort(key=lambda axis: int(axis["index_in_array"]))
    return axes


def _signal_axes(signal: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return which dimensions are y and x, or None if the signal is neither an image nor a stack of them."""
    data, axes = signal["data"], _axes(signal)
    if data.ndim < 2 or len(axes) != data.ndim or _is_spectral(signal):
        return None
    found = [i for i, axis in enumerate(axes) if not axis.get("navigate", False)]
    if len(found) != 2:
        # Some writers mark no axis, or every axis, as one to navigate: then the last two are the image.
        if len(found) not in (0, len(axes)):
            return None
        found = [len(axes) - 2, len(axes) - 1]
    if sum(axis["size"] > 1 for i, axis in enumerate(axes) if i not in found) > 1:
        return None  # a scan of diffraction patterns
    return found[0], found[1]


def _image(signal: Mapping[str, Any], name: str) -> RawImage:
    axes, signal_axes = _axes(signal), _signal_axes(signal) or (0, 1)
    others = [i for i in range(len(axes)) if i not in signal_axes]
    pixels = np.asarray(signal["data"])
    if pixels.dtype.names:  # DigitalMicrograph's RGBA
        pixels = grey(np.stack([pixels[c] for c in "RGB"], axis=-1), name, alpha=False)
    frames = np.moveaxis(pixels, others, range(len(others)))
    y, x = (axes[i] for i in signal_axes)
    return RawImage(
        frames=frames.reshape(-1, *frames.shape[-2:]),
        stacked=any(axes[i]["size"] > 1 for i in others),
        pixel_size=_pixel_size(signal, y, x),
        title=str(signal.get("metadata", {}).get("General", {}).get("title", "")),
        metadata=_metadata(signal),
    )


def _pixel_size(
    signal: Mapping[str, Any], y: Mapping[str, Any], x: Mapping[str, Any]
) -> tuple[float | None, float | None]:
    header = _lookup(signal.get("original_metadata", {}), "std_header")
    fei = _lookup(signal.get("original_metadata", {}), "fei_header")
    if isinstance(header, Mapping) and fei is None and not (header.get("MX") and header.get("MY")):
        return None, None  # an MRC header without a cell: RosettaSciIO would call it 1 nm per pixel
    return to_angstrom(y.get("scale"), y.get("units")), to_angstrom(x.get("scale"), x.get("units"))


def _is_spectral(signal: Mapping[str, Any]) -> bool:
    units = [str(axis.get("units")).strip().lower() for axis in signal["axes"]]
    # DigitalMicrograph's word for it, which also covers wavelengths
    kind = _lookup(signal.get("original_metadata", {}), "ImageList.TagGroup0.ImageTags.Meta Data.Format")
    return any(unit in _ENERGY_UNITS for unit in units) or "spectrum" in str(kind).lower()


def _is_reciprocal(signal: Mapping[str, Any]) -> bool:
    units = [str(axis.get("units")).replace(" ", "") for axis in signal["axes"]]
    return any(unit.startswith("1/") or "-1" in unit or "mrad" in unit for unit in units)


def _rank(image: RawImage) -> int:
    title = image.title.lower()
    return next((i for i, detector in enumerate(_DETECTORS) if detector in title), len(_DETECTORS))


def _metadata(signal: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the microscope as plain values."""
    original = signal.get("original_metadata", {})
    found: dict[str, Any] = {}
    for path, name in _COMMON.items():
        found[name] = _lookup(signal.get("metadata", {}), path)
    for path, (target, convert) in signal.get("mapping", {}).items():
        value = _lookup(original, path)
        if target in _COMMON and value is not None:
            try:
                found[_COMMON[target]] = convert(value) if convert else value
            except (AttributeError, KeyError, TypeError, ValueError):
                continue  # the vendor left the field empty or in a form nobody knows
    for path, name, factor in _VENDOR:
        try:
            found[name] = float(_lookup(original, path)) * factor
        except (TypeError, ValueError):
            continue
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in found.items()}
    return {n: v for n, v in plain.items() if isinstance(v, str | int | float) and v != ""}


def _lookup(tree: Any, path: str) -> Any:
    """Follow a dotted path through nested mappings; None where it ends early."""
    for key in path.split("."):
        if not isinstance(tree, Mapping) or key not in tree:
            return None
        tree = tree[key]
    return tree


def _close(data: NDArray[Any] | Any) -> None:
    """Close the HDF5 file behind a lazy signal."""
    if not isinstance(data, np.ndarray):
        handle = import_module("rsciio.utils.file").get_file_handle(data, warn=False)
        if handle is not None:
            handle.close()
