"""From a micrograph to a saved, corrected training pair: ``python -m benchmarks.speed.walk_through``.

The steps of the README in a real window, with the MoS2 sample and the buttons that a person presses, without
the time that a person looks and thinks. The table gives the seconds of each step, by the clock and by the
processor. The exit status is 1 where all of them take more than five minutes.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

#: Seconds that all steps may take, and doubts that are answered one by one.
GOAL, ANSWERS = 300.0, 20
SAMPLE = Path(__file__).parents[2] / "sample_data" / "example_Se_implanted_MoS2.dm3"


def main() -> int:
    """Print the table; the exit status is 1 where the goal was missed."""
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="stemprior-"))
    os.environ.setdefault("STEMPRIOR_JOURNALS", str(folder / "journals"))
    total = [0.0, 0.0]
    print("| step | seconds | processor, s |\n|---|---:|---:|")

    def timed(name: str, action: Callable[[], object], since: float | None = None) -> None:
        start, processor = time.monotonic() if since is None else since, time.process_time()
        processor = 0.0 if since is not None else processor
        action()
        took = time.monotonic() - start, time.process_time() - processor
        total[0], total[1] = total[0] + took[0], total[1] + took[1]
        print(f"| {name} | {took[0]:.1f} | {took[1]:.1f} |", flush=True)

    held: dict[str, object] = {}

    def start() -> None:
        import napari

        held["viewer"] = viewer = napari.Viewer()
        viewer.window.resize(1366, 768)
        viewer.open(str(SAMPLE), plugin="napari-stemprior")

    timed(f"`napari {SAMPLE.name}`", start, begun)
    from napari_stemprior.qt.demo import pick_prior, segment, settle, wait

    viewer = held["viewer"]

    def open_desk() -> None:
        dock = viewer.window.add_plugin_dock_widget("napari-stemprior")[1]
        while dock.desk is None or not dock.desk.ready:
            settle(0.02)
        held["desk"] = dock.desk

    timed("the desk opens", open_desk)
    desk = held["desk"]
    timed("2 MoS2 is picked and fitted", lambda: pick_prior(desk, "MoS2"))

    def simulate() -> None:
        desk.reference_panel.simulate.click()
        wait(desk)

    timed("3 a reference is simulated", simulate)
    timed("4 **Segment with prior**", lambda: segment(desk))
    editor, panel = desk.session.editor, desk.correct_panel

    def correct() -> None:
        for number in range(ANSWERS):
            panel.next.click()
            settle(0.02)
            (panel.accept if number % 4 else panel.reject).click()
            settle(0.02)

    timed(f"5 {ANSWERS} doubts are answered one by one", correct)

    def region() -> None:
        layer = desk.session.draw_region()
        layer.add_rectangles([[60.0, 60.0], [60.0, 260.0], [260.0, 260.0], [260.0, 60.0]])
        settle()

    timed("6 the reviewed region is drawn", region)

    def save() -> None:
        desk.export_panel.write_pair(folder / "pairs", open_too=False)
        wait(desk)

    timed("6 **Save as training pair**", save)
    edits = len(editor.history.steps)
    pairs = sorted(path.parent.name for path in (folder / "pairs").rglob("meta.json"))
    desk.close()
    viewer.close()
    print(f"| all | {total[0]:.1f} | {total[1]:.1f} |\n\n{edits} edits, {len(pairs)} training pair: {folder}")
    return int(total[0] > GOAL or len(pairs) != 1 or edits < ANSWERS)


if __name__ == "__main__":
    raise SystemExit(main())
