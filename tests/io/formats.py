"""Small files of the formats that no library here writes."""

import struct
from pathlib import Path

import h5py
import numpy as np


def write_dm(
    path: Path, image: np.ndarray, scale: float, unit: str, *, version: int, tags: dict | None = None
) -> None:
    """DigitalMicrograph 3 or 4, little endian: one float32 image (..., H, W)."""
    wide = ">q" if version == 4 else ">l"

    def number(value: int) -> bytes:
        return struct.pack(wide, value)

    def named(kind: int, name: str, content: bytes) -> bytes:
        size = struct.pack(">q", len(content)) if version == 4 else b""
        return struct.pack(">BH", kind, len(name)) + name.encode() + size + content

    def group_body(entries: list[tuple[str, object]]) -> bytes:
        return number(len(entries)) + b"".join(tag(name, value) for name, value in entries)

    def tag(name: str, value: object) -> bytes:
        if isinstance(value, dict):
            return named(20, name, b"\1\0" + group_body(list(value.items())))
        if isinstance(value, list):
            return named(20, name, b"\1\0" + group_body([("", item) for item in value]))
        match value:
            case int():
                body = number(1) + number(3) + struct.pack("<l", value)
            case float():
                body = number(1) + number(7) + struct.pack("<d", value)
            case str():
                body = number(3) + number(20) + number(4) + number(len(value)) + value.encode("utf-16-le")
            case np.ndarray():
                body = number(3) + number(20) + number(6) + number(value.size) + value.astype("<f4").tobytes()
        return named(21, name, b"%%%%" + body)

    edge = {"Origin": 0.0, "Scale": scale, "Units": unit}
    brightness = {"Origin": 0.0, "Scale": 1.0, "Units": ""}
    data = {
        "Calibrations": {"Brightness": brightness, "Dimension": [edge] * image.ndim},
        "Data": image,
        "DataType": 2,
        "Dimensions": list(image.shape[::-1]),
        "PixelDepth": 4,
    }
    entry = {"ImageData": data, "ImageTags": tags or {}, "Name": "HAADF"}
    body = b"\1\0" + group_body([("ImageList", [entry])])
    path.write_bytes(struct.pack(">l", version) + number(len(body)) + struct.pack(">l", 1) + body + bytes(8))


def write_mrc(path: Path, image: np.ndarray, *, cell_angstrom: tuple[float, float, float] | None) -> None:
    """MRC2014, mode 2 (float32); image (H, W) or (N, H, W)."""
    stack = np.atleast_3d(image) if image.ndim == 3 else image[None]
    nz, ny, nx = stack.shape
    header = bytearray(1024)
    struct.pack_into("<4i", header, 0, nx, ny, nz, 2)
    if cell_angstrom is not None:
        struct.pack_into("<3i", header, 28, nx, ny, nz)
        struct.pack_into("<3f", header, 40, *cell_angstrom)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    header[208:212] = b"MAP "
    header[212:214] = b"\x44\x44"
    path.write_bytes(bytes(header) + stack.astype("<f4").tobytes())


def write_ser(path: Path, frames: np.ndarray, pixel_size_m: float) -> None:
    """TIA series of images (N, H, W), uint16, version 0x0210 (32-bit offsets), time tags."""
    n, height, width = frames.shape
    description, unit = b"Number", b"meters"
    dimension = struct.pack("<IddI", n, 0.0, 1.0, 0)
    dimension += struct.pack("<I", len(description)) + description + struct.pack("<I", len(unit)) + unit
    offsets_at = 30 + len(dimension)
    data_at = offsets_at + 8 * n
    element = 50 + frames[0].nbytes
    header = struct.pack("<3H", 0x4949, 0x0197, 0x0210)
    header += struct.pack("<6I", 0x4122, 0x4152, n, n, offsets_at, 1)
    offsets = [data_at + i * (element + 8) for i in range(n)]
    tags = [offset + element for offset in offsets]
    body = b""
    for frame in frames:
        # TIA stores the lowest row first
        body += struct.pack("<ddIddIHII", 0.0, pixel_size_m, 0, 0.0, pixel_size_m, 0, 2, width, height)
        body += frame[::-1].astype("<u2").tobytes()
        body += struct.pack("<HHI", 0x4152, 0, 1_500_000_000)
    path.write_bytes(header + dimension + struct.pack(f"<{2 * n}I", *offsets, *tags) + body)


def write_velox(path: Path, images: dict[str, np.ndarray], pixel_size_m: float, *, spectrum: bool) -> None:
    """Velox EMD, version 11: images by detector name, and an EDS stream that nobody can decode."""
    import json

    def text(value: object) -> np.ndarray:
        return np.array([json.dumps(value).encode()], dtype=h5py.string_dtype())

    with h5py.File(path, "w") as file:
        file["Version"] = text({"format": "Velox", "version": "11"})
        for i, (detector, image) in enumerate(images.items()):
            group = file.create_group(f"Data/Image/{i:032x}")
            group["Data"] = image[:, :, None]
            metadata = {
                "Core": {"MetadataDefinitionVersion": "7.9"},
                "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1565710322"}},
                "Optics": {"AccelerationVoltage": "300000", "CameraLength": "0.1829"},
                "Scan": {"DwellTime": "2.5e-06", "FrameTime": "12.6"},
                "Detectors": {f"Detector-{i}": {"DetectorName": detector, "DetectorType": "Scanning"}},
                "BinaryResult": {
                    "DetectorIndex": str(i),
                    "Detector": detector,
                    "PixelSize": {"width": str(pixel_size_m), "height": str(pixel_size_m)},
                    "PixelUnitX": "m",
                    "PixelUnitY": "m",
                    "Offset": {"x": "0", "y": "0"},
                },
            }
            column = np.zeros((20000, 1), np.uint8)
            encoded = json.dumps(metadata).encode()
            column[: len(encoded), 0] = np.frombuffer(encoded, np.uint8)
            group["Metadata"] = column
        if spectrum:
            stream = file.create_group("Data/SpectrumStream/0")
            stream["Data"] = np.full((100, 1), 7, np.uint16)
            file.create_group("Data/SpectrumImage/0")
            file.create_group("Displays/ImageDisplay")
