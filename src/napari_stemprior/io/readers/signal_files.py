"""Vendor formats through RosettaSciIO: DM3, DM4, SER with its EMI, MRC; EMD and HSPY by any HDF5 suffix."""

from __future__ import annotations

import glob
import math
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import MicrographError
from napari_stemprior.io.readers.decoded_size import check_decoded_size
from napari_stemprior.io.readers.header_checks import check_mrc, check_ser
from napari_stemprior.io.readers.length_units import is_reciprocal, to_angstrom
from napari_stemprior.io.readers.raw_image import RawImage, readable
from napari_stemprior.recording.image_check import complex_image, grey
from napari_stemprior.recording.stored_image import is_large_shape

#: The RosettaSciIO reader of each suffix and the arguments that it needs. Of HDF5 it is what is in the file
#: that decides (`hdf5_layout`), and the suffix where that is nothing known.
READERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".dm3": ("digitalmicrograph", {"lazy": True}),
    ".dm4": ("digitalmicrograph", {"lazy": True}),
    # Velox: leaves the EDS streams, which can be gigabytes, on the disk
    ".emd": ("emd", {"lazy": True, "select_type": "images"}),
    ".ser": ("tia", {}),
    ".emi": ("tia", {}),
    ".mrc": ("mrc", {"lazy": True}),
    ".hspy": ("hspy", {"lazy": True}),
}
#: Suffixes that say no more than HDF5; HyperSpy wrote ``.hdf5`` before its version 1.2.
ANY_HDF5 = (".hdf5", ".h5")
#: Suffixes that can be read, and those of HDF5 among them.
SUFFIXES, _HDF5 = (*READERS, *ANY_HDF5), (".emd", ".hspy", *ANY_HDF5)
#: Of these RosettaSciIO maps the pixels block by block, opening the file for each.
_MAPPED = (".mrc", ".dm3", ".dm4")
#: Å in a metre.
_METRE = 1e10
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
        Its suffix is one of `SUFFIXES`.

    Raises
    ------
    MicrographError
        If there is no image among the signals.
    Exception
        Whatever RosettaSciIO raises on a file that it cannot read.
    """
    signals = _signals(path)
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
        real_space = [signal for signal in images if not _is_reciprocal(signal)]
        if not real_space:
            raise MicrographError(
                f"{path.name}: this is a diffraction pattern, by its unit; open the image instead."
            )
        return sorted(readable([partial(_image, signal, path) for signal in real_space]), key=_rank)
    finally:
        for signal in signals:
            _close(signal)


def _signals(path: Path) -> list[dict[str, Any]]:
    """Read the headers, after a look at whether they can be believed."""
    suffix = path.suffix.lower()
    if suffix in _HDF5:
        return _of_hdf5(path, suffix)
    module, options = READERS[suffix]
    if suffix == ".mrc":
        check_mrc(path)
    elif suffix == ".ser":
        check_ser(path)
        return _with_emi(path, _file_reader(module, options, path))
    elif suffix == ".emi":
        series = sorted(path.parent.glob(f"{glob.escape(path.stem)}_[0-9].ser"))
        if not series:
            raise MicrographError(
                f"{path.name}: the images of a TIA acquisition lie in {path.stem}_1.ser and so on, which are "
                "not there; copy them beside it."
            )
        for one in series:
            check_ser(one)
        return [signal for one in series for signal in _with_emi(one, _file_reader(module, options, one))]
    return _file_reader(module, options, path)


def _of_hdf5(path: Path, suffix: str) -> list[dict[str, Any]]:
    # HDF5 takes a moment to load
    from napari_stemprior.io.readers.berkeley_emd import read_berkeley
    from napari_stemprior.io.readers.hdf5_guard import stored_size
    from napari_stemprior.io.readers.hdf5_layout import hdf5_layout

    layout = hdf5_layout(path)
    if layout == "berkeley":
        return read_berkeley(path)
    kind = {"hspy": ".hspy", "velox": ".emd"}.get(layout or "", suffix)
    if kind not in READERS:
        raise MicrographError(
            f"{path.name}: this HDF5 file is laid out neither as EMD (Velox, Berkeley) nor as HyperSpy "
            "writes it; save the image as one of these or as TIFF."
        )
    if kind == ".hspy":  # RosettaSciIO reads everything but the pixels at once
        check_decoded_size(path, stored_size(path, without="data"))
    return _file_reader(*READERS[kind], path)


def _with_emi(path: Path, signals: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add to the signals of a series what the EMI file beside it says of the microscope."""
    stem, _, number = path.stem.rpartition("_")
    emi = next((p for p in (path.with_name(f"{stem}{end}") for end in (".emi", ".EMI")) if p.is_file()), None)
    if emi is None or not number.isdecimal():
        return signals
    tia = import_module("rsciio.tia._api")
    try:
        found = tia.get_xml_info_from_emi(str(emi))
        described = tia.convert_xml_to_dict(found[int(number) - 1])
        values = described.to_dict() if hasattr(described, "to_dict") else dict(described)
    except Exception:  # it only adds to what is known: a damaged one leaves the images as they are
        return signals
    for signal in signals:
        signal["original_metadata"] = {**signal.get("original_metadata", {}), **values}
    return signals


def _file_reader(module: str, options: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    reader = import_module(f"rsciio.{module}").file_reader
    try:
        return list(reader(str(path), **options))
    except ValueError:
        # RosettaSciIO cannot read coloured DM images and unchunked HDF5 lazily
        if path.suffix.lower() in _HDF5:
            from napari_stemprior.io.readers.hdf5_guard import stored_size

            check_decoded_size(path, stored_size(path))
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


def _image(signal: Mapping[str, Any], path: Path) -> RawImage:
    name = path.name
    axes, signal_axes = _axes(signal), _signal_axes(signal) or (0, 1)
    others = [i for i in range(len(axes)) if i not in signal_axes]
    data = signal["data"]
    stays = path.suffix.lower() in _MAPPED and not isinstance(data, np.ndarray) and not others
    if stays and is_large_shape(data.shape) and data.dtype.names is None:
        return _described([data.transpose(signal_axes)], signal, False)
    check_decoded_size(path, math.prod(data.shape) * data.dtype.itemsize)
    pixels = np.asarray(data)
    if pixels.dtype.names:  # DigitalMicrograph's RGBA
        pixels = grey(np.stack([pixels[c] for c in "RGB"], axis=-1), name, alpha=False)
    frames = np.moveaxis(pixels, others, range(len(others)))
    stacked = any(axes[i]["size"] > 1 for i in others)
    return _described(frames.reshape(-1, *frames.shape[-2:]), signal, stacked)


def _described(frames: NDArray[Any] | Sequence[Any], signal: Mapping[str, Any], stacked: bool) -> RawImage:
    axes, signal_axes = _axes(signal), _signal_axes(signal) or (0, 1)
    y, x = (axes[i] for i in signal_axes)
    return RawImage(
        frames=frames,
        stacked=stacked,
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
    if any(is_reciprocal(axis.get("units")) for axis in signal["axes"]):
        return True
    # a TIA series does not say its unit, and RosettaSciIO takes metres: no pixel is a metre wide
    sizes = [to_angstrom(axis.get("scale"), axis.get("units")) for axis in signal["axes"]]
    return any(size is not None and size > _METRE for size in sizes)


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


def _close(signal: Mapping[str, Any]) -> None:
    """Close the HDF5 file behind a lazy signal."""
    if "file" in signal:
        signal["file"].close()
    elif not isinstance(signal["data"], np.ndarray):
        handle = import_module("rsciio.utils.file").get_file_handle(signal["data"], warn=False)
        if handle is not None:
            handle.close()
