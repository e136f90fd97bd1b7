"""How long a person waits: ``python -m benchmarks.speed.response``.

The time of ``stemprior --version`` and of the preview of a layer by multislice, without the cache. On an
idle core about 0.2 s and some seconds; the tests count imports and steps instead, since a busy machine
makes any time long.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.multislice import scan_cache
from napari_stemprior.optics.multislice.reference import multislice_reference
from napari_stemprior.progress import drain
from napari_stemprior.structure import built_in


def main() -> None:
    """Print both times."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "napari_stemprior", "--version"], capture_output=True, check=True)
    print(f"stemprior --version: {time.perf_counter() - start:.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        os.environ[scan_cache.FOLDER_VARIABLE] = folder
        start, used = time.perf_counter(), time.process_time()
        drain(multislice_reference(built_in("h-BN"), PRESETS["60 kV HAADF"], 0.1, (64, 64)))
        wall, cpu = time.perf_counter() - start, time.process_time() - used
    print(f"preview of a layer of h-BN: {wall:.1f} s, {cpu:.1f} s of CPU")


if __name__ == "__main__":
    main()
