"""What a start takes: ``python -m benchmarks.speed.start``.

Processor time of a Python of its own for each, less that of an empty Python; the least of three. The window
needs a display; without one ``xvfb-run -a`` makes one. What the desk takes is the time of the window's own
thread, from the click in the menu to the desk, and the longest turn of it that no event could interrupt.
"""

from __future__ import annotations

import resource
import subprocess
import sys

_REPEATS = 3
#: What is measured: its name, what Python is given, and the limit in s.
_STARTS = (
    ("`import napari_stemprior`", ["-c", "import napari_stemprior"], None),
    ("`stemprior --help`", ["-m", "napari_stemprior", "--help"], 0.3),
    ("`stemprior priors`", ["-m", "napari_stemprior", "priors"], 1.0),
    ("`stemprior segment --help`", ["-m", "napari_stemprior", "segment", "--help"], None),
    ("reader that napari imports", ["-c", "import napari_stemprior.qt.readers"], 0.3),
)
_DESK = """
import time
import napari
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=True)
QApplication.processEvents()
begun = time.thread_time()
_, dock = viewer.window.add_plugin_dock_widget("napari-stemprior")
longest = time.thread_time() - begun
while dock.desk is None or dock._timer.isActive():
    last = time.thread_time()
    QApplication.processEvents()
    longest = max(longest, time.thread_time() - last)
    time.sleep(0.005)
print(time.thread_time() - begun, longest)
"""


def main() -> None:
    """Measure and print the table."""
    empty = _seconds(["-c", "pass"])
    print("| | CPU, s | limit |\n|---|---:|---:|")
    for name, arguments, limit in _STARTS:
        _print(name, _seconds(arguments) - empty, limit)
    answers = [
        subprocess.run(
            [sys.executable, "-c", _DESK], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(_REPEATS)
    ]
    _print("desk, the window's thread", min(float(answer[0]) for answer in answers), None)
    _print("desk, its longest turn", min(float(answer[1]) for answer in answers), 0.3)


def _seconds(arguments: list[str]) -> float:
    """Return the processor time of Python with these arguments."""
    found = []
    for _ in range(_REPEATS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found)


def _print(name: str, seconds: float, limit: float | None) -> None:
    print(f"| {name} | {seconds:.2f} | {'' if limit is None else limit} |")


if __name__ == "__main__":
    main()
