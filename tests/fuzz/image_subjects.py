"""Micrograph files of every format, damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile
from formats import write_dm, write_mrc, write_ser, write_velox
from mutations import Rng, damaged_file, on_bytes, on_json, on_place
from PIL import Image
from subjects import Change, Seed, Subject

from napari_stemprior.atoms import AtomTable
from napari_stemprior.io import export_atoms, read_micrographs
from napari_stemprior.recording.pixel_size_range import PIXEL_SIZES

#: No two of its corners, sides or diagonals are alike.
IMAGE = (np.add.outer(np.arange(40) ** 2, 7 * np.arange(56)) % 4001 + 20).astype(np.uint16)
SIZE = 0.15
#: Images in a file, each with its pixel size in Å/px; None where the format has none.
Expected = list[tuple[np.ndarray, float | None]]


def made(path: Path, expected: Expected, fields: tuple[tuple[int, int], ...] = ()) -> Seed:
    """Return a seed, with the place of its pixels where they lie in one piece and as they are."""
    data = path.read_bytes()
    for kind in ("<u2", ">u2", "<f4"):
        raw = np.stack([image for image, _ in expected]).astype(kind).tobytes()
        if (at := data.find(raw)) >= 0:
            return Seed(path, expected, (at, at + len(raw)), fields)
    return Seed(path, expected, None, fields)


def digital_micrograph(folder: Path) -> list[Seed]:
    for version in (3, 4):
        path = folder / f"a.dm{version}"
        tags = {"Microscope Info": {"Voltage": 80000.0}, "DigiScan": {"Sample Time": 12.0}}
        write_dm(path, IMAGE, SIZE / 10, "nm", version=version, tags=tags)
    write_dm(folder / "stack.dm4", np.stack([IMAGE, IMAGE[::-1]]), SIZE / 10, "nm", version=4)
    one: Expected = [(IMAGE, SIZE)]
    return [
        made(folder / "a.dm3", one), made(folder / "a.dm4", one),
        made(folder / "stack.dm4", [(IMAGE, SIZE), (IMAGE[::-1], SIZE)]),
    ]  # fmt: skip


def mrc(folder: Path) -> list[Seed]:
    height, width = IMAGE.shape
    write_mrc(folder / "a.mrc", IMAGE, cell_angstrom=(width * SIZE, height * SIZE, 1.0))
    stack = np.stack([IMAGE, IMAGE[:, ::-1]])
    write_mrc(folder / "stack.mrc", stack, cell_angstrom=(width * SIZE, height * SIZE, 2.0))
    fields = ((0, 64), (40, 56), (64, 100), (88, 112), (208, 224))
    return [
        made(folder / "a.mrc", [(IMAGE, SIZE)], fields),
        made(folder / "stack.mrc", [(frame, SIZE) for frame in stack], fields),
    ]


def ser(folder: Path) -> list[Seed]:
    write_ser(folder / "a_1.ser", IMAGE[None], SIZE * 1e-10)
    write_ser(folder / "b_1.ser", np.stack([IMAGE, IMAGE + 1]), SIZE * 1e-10)
    described = (
        "<ObjectInfo><ExperimentalDescription><Root><Data><Label>High tension</Label><Value>300</Value>"
        "<Unit>kV</Unit></Data></Root></ExperimentalDescription></ObjectInfo>"
    )
    (folder / "a.emi").write_bytes(b"\x01\x02" + described.encode() + b"\x00")
    fields = ((0, 30), (30, 140))
    return [
        made(folder / "a_1.ser", [(IMAGE, SIZE)], fields),
        made(folder / "b_1.ser", [(IMAGE, SIZE), (IMAGE + 1, SIZE)], fields),
    ]


def damaged_ser(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    """Damage a series, or the description that lies beside it."""
    if rng.random() < 0.75:
        return damaged_file(seed, folder, rng)
    path = folder / "a_1.ser"
    path.write_bytes(seed.path.read_bytes())
    emi = seed.path.with_name("a.emi").read_bytes()
    data, change = on_bytes(emi, rng, Seed(path))
    (folder / "a.emi").write_bytes(data)
    return path, Change("description", harmless=True, note=change.kind)


def velox(folder: Path) -> list[Seed]:
    write_velox(folder / "v.emd", {"HAADF": IMAGE, "BF": IMAGE[::-1].copy()}, SIZE * 1e-10, spectrum=True)
    return [made(folder / "v.emd", [(IMAGE, SIZE), (IMAGE[::-1], SIZE)])]


def berkeley(folder: Path) -> list[Seed]:
    with h5py.File(folder / "b.emd", "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        group["data"] = IMAGE
        for number, (name, length) in enumerate(zip("yx", IMAGE.shape, strict=True), 1):
            dim = group.create_dataset(f"dim{number}", data=SIZE / 10 * np.arange(length))
            dim.attrs["name"], dim.attrs["units"] = np.bytes_(name), np.bytes_("[n_m]")
    return [made(folder / "b.emd", [(IMAGE, SIZE)])]


def hyperspy(folder: Path) -> list[Seed]:
    table = AtomTable.from_positions([(10.0, 12.0)], SIZE, element="Mo")
    export_atoms(table, folder / "h.hspy", image=IMAGE.astype(np.float32))
    return [made(folder / "h.hspy", [(IMAGE, SIZE)])]


def tiff(folder: Path) -> list[Seed]:
    per_unit = 1 / SIZE
    described = json.dumps({"pixel_size_angstrom": SIZE})
    tifffile.imwrite(folder / "plain.tif", IMAGE, description=described, metadata=None)
    tifffile.imwrite(
        folder / "imagej.tif", np.stack([IMAGE, IMAGE[::-1]]), imagej=True, resolution=(per_unit, per_unit),
        metadata={"unit": "angstrom", "axes": "TYX"},
    )  # fmt: skip
    sizes = {f"PhysicalSize{a}": SIZE for a in "XY"} | {f"PhysicalSize{a}Unit": "Å" for a in "XY"}
    tifffile.imwrite(folder / "o.ome.tif", IMAGE, ome=True, metadata={"axes": "YX", **sizes})
    tifffile.imwrite(
        folder / "packed.tif", IMAGE, compression="zlib", predictor=True, rowsperstrip=7, metadata=None,
        resolution=(1e8 / SIZE, 1e8 / SIZE), resolutionunit="CENTIMETER",
    )  # fmt: skip
    with tifffile.TiffWriter(folder / "pages.tif", bigtiff=True) as file:
        for page in (IMAGE, IMAGE[:, ::-1]):
            file.write(page, description=described, metadata=None, contiguous=False)
    tifffile.imwrite(
        folder / "big.tif", IMAGE, byteorder=">", tile=(16, 16), description=described, metadata=None
    )
    frames = {"imagej.tif": [IMAGE, IMAGE[::-1]], "pages.tif": [IMAGE, IMAGE[:, ::-1]]}
    seeds = []
    for path in sorted(folder.glob("*.tif")):
        with tifffile.TiffFile(path) as file:
            width = 20 if file.is_bigtiff else 12
            fields = tuple((tag.offset, tag.offset + width) for page in file.pages for tag in page.tags)
        seeds.append(made(path, [(frame, SIZE) for frame in frames.get(path.name, [IMAGE])], fields))
    return seeds


def pictures(folder: Path) -> list[Seed]:
    small = (IMAGE % 251).astype(np.uint8)
    Image.fromarray(small).save(folder / "a.png")
    Image.fromarray(IMAGE).save(folder / "b.png")
    Image.fromarray(small).save(folder / "c.jpg", quality=95)
    Image.fromarray(np.repeat(small[..., None], 3, -1)).save(folder / "d.png")
    read = np.asarray(Image.open(folder / "c.jpg"))
    answers = {"a.png": small, "b.png": IMAGE, "c.jpg": read, "d.png": small}
    return [Seed(folder / name, [(image, None)]) for name, image in answers.items()]


def damaged_picture(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    """Damage a picture; in half of the PNG files the checksums of its chunks are made right again."""
    path, change = damaged_file(seed, folder, rng)
    if path.suffix == ".png" and change.kind in ("bytes", "number", "blanked") and rng.random() < 0.5:
        path.write_bytes(_checked_again(path.read_bytes()))
    return path, change


def _checked_again(data: bytes) -> bytes:
    import struct
    import zlib

    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        (length,) = struct.unpack_from(">I", out, at)
        if at + 12 + length > len(out):
            break
        struct.pack_into(">I", out, at + 8 + length, zlib.crc32(out[at + 4 : at + 8 + length]))
        at += 12 + length
    return bytes(out)


#: What no attribute or dataset of an HDF5 file should be.
_VALUES: tuple[Any, ...] = (
    np.nan, -np.inf, -1.0, 0.0, 1e300, 2**62, -5, "", "abc", b"\xff\xfe", np.zeros(0), np.zeros((3, 0)),
    np.arange(5), np.array([b"a", b"b"]), True, 1j,
)  # fmt: skip


def damaged_hdf5(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    """Damage an HDF5 file: its bytes, or by the library an attribute, a dataset or a link."""
    if (placed := on_place(seed, folder, rng)) is not None:
        return placed
    path = folder / seed.path.name
    if rng.random() < 0.5:
        data, change = on_bytes(seed.path.read_bytes(), rng, seed)
        path.write_bytes(data)
        return path, change
    path.write_bytes(seed.path.read_bytes())
    with h5py.File(path, "r+") as file:
        items: list[Any] = [file]
        file.visititems(lambda name, item: items.append(item))
        sets = [item for item in items if isinstance(item, h5py.Dataset)]
        attributes = [(item, name) for item in items for name in item.attrs]
        way = int(rng.integers(7))
        value = _VALUES[int(rng.integers(len(_VALUES)))]
        if way <= 2 and attributes:
            item, name = attributes[int(rng.integers(len(attributes)))]
            note = f"{item.name} {name} is {value!r}"
            del item.attrs[name]
            if rng.random() < 0.8:
                item.attrs[name] = value
            return path, Change("attribute", note=note)
        item = sets[int(rng.integers(len(sets)))]
        name = item.name
        note = f"{name}: way {way} {value!r}"
        described = item.dtype == np.uint8 and item.ndim == 2
        if way <= 4 and described and rng.random() < 0.8:  # the JSON of Velox
            text = bytes(item[:, 0]).rstrip(b"\0")
            new, change = on_json(text, rng)
            column = np.zeros((max(20000, len(new)), 1), np.uint8)
            column[: len(new), 0] = np.frombuffer(new, np.uint8)
            del file[name]
            file[name] = column
            return path, Change("description", note=change.note)
        del file[name]
        if way == 3:
            file[name] = value
        elif way == 4:
            shape = [(1, 5), (4, 4), (40,), (1, 1, 40, 56), (60000, 60000)][int(rng.integers(5))]
            file.create_dataset(
                name, shape, "f4", chunks=tuple(min(n, 500) or 1 for n in shape), compression="gzip"
            )
        elif way == 5:
            file[name] = [
                h5py.SoftLink(name),
                h5py.SoftLink("/nowhere"),
                h5py.ExternalLink("/etc/passwd", "/"),
            ][int(rng.integers(3))]
    return path, Change("dataset", note=note)


def judge(path: Path, seed: Seed, change: Change) -> str:
    """Read the images and compare them with those of the seed, as far as the change lets them be the same."""
    found = read_micrographs(path)
    json.dumps([m.metadata for m in found])
    for one in found:
        if one.image.dtype != np.float32 or one.image.ndim != 2 or not np.isfinite(one.image).all():
            return f"no finite image: {one.image.dtype} {one.image.shape}"
        if one.pixel_size is not None and not PIXEL_SIZES[0] <= one.pixel_size <= PIXEL_SIZES[1]:
            return f"a pixel size of {one.pixel_size}"
    told = any("left_out" in m.metadata or "warnings" in m.metadata for m in found)
    if change.harmless or change.kind in ("cut", "added"):
        return "" if told and change.kind == "cut" else _difference(found, seed.expected)
    if change.kind == "pixels":
        return _difference(found, seed.expected, change.flips)
    for one, (image, _) in zip(found, seed.expected, strict=False):
        for name, turned in (("turned", image.T), ("upside down", image[::-1]), ("mirrored", image[:, ::-1])):
            if (
                one.image.shape == turned.shape
                and np.array_equal(one.image, turned)
                and change.kind != "number"
            ):
                others = [other for other, _ in seed.expected]
                if not any(np.array_equal(one.image, other) for other in others) and "dim" not in change.note:
                    return f"the image is {name}"
    return ""


def _difference(found: list[Any], expected: Expected, flips: int = 0) -> str:
    if len(found) != len(expected):
        return f"{len(found)} images, not {len(expected)}"
    for one, (image, size) in zip(found, expected, strict=True):
        if one.image.shape != image.shape:
            return f"shape {one.image.shape}, not {image.shape}"
        if (one.image != image).sum() > flips:
            return f"{(one.image != image).sum()} pixels differ"
        if (one.pixel_size is None) != (size is None) or abs((one.pixel_size or 0) - (size or 0)) > 1e-4:
            return f"pixel size {one.pixel_size}, not {size}"
    return ""


def words(path: Path, seed: Seed, out: Path) -> list[list[str]]:
    """Commands that read a micrograph: most lay a mask over it, few segment it."""
    out.mkdir()
    atoms = out / "atoms.csv"
    atoms.write_text("x_px,y_px,pixel_size_angstrom\n12,10,0.15\n")
    if path.stat().st_size % 64 == 0 if path.is_file() else False:
        more = ["--no-prior", "--pixel-size", "0.2", "--device", "cpu", "-o", str(out / "found")]
        return [["segment", str(path), *more]] if not path.name.startswith("-") else []
    return [["export", str(atoms), "-o", str(out / "mask.tif"), f"--image={path}"]]


def _subject(
    name: str, make: Callable[[Path], list[Seed]], damage: Any = damaged_file, weight: float = 1.0
) -> Subject:
    return Subject(name, make, damage, judge, words, spoken=0.12, weight=weight)


SUBJECTS = [
    _subject("TIFF", tiff, weight=2.0),
    _subject("DM3, DM4", digital_micrograph),
    _subject("EMD (Velox)", velox, damaged_hdf5),
    _subject("EMD (Berkeley)", berkeley, damaged_hdf5),
    _subject("HSPY", hyperspy, damaged_hdf5),
    _subject("SER, EMI", ser, damaged_ser),
    _subject("MRC", mrc),
    _subject("PNG, JPEG", pictures, damaged_picture),
]
