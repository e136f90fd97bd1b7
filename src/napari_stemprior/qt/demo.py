"""The whole journey once, in a real napari window: ``python -m napari_stemprior.qt.demo``.

It opens the MoS2 sample, drives the desk through its widgets as a person would, corrects one atom,
exports, and saves pictures. On a real display the window stays open.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import napari
import numpy as np
from qtpy.QtWidgets import QApplication
from scipy.ndimage import distance_transform_edt

from napari_stemprior.atomic_write import replaced
from napari_stemprior.errors import StempriorError
from napari_stemprior.optics.multislice import scan_cache
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.dock import DeskDock
from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.jobs import journal_service

WINDOW = (1600, 1000)
#: Screen pixels for 1 Å in the screenshot.
_ZOOM = 16.0
#: Evidence below which the demo takes the least certain atom for none.
_NO_EVIDENCE = 0.15


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return the exit code.

    Parameters
    ----------
    arguments : list of str, optional
        The command line, without the program.
    """
    parser = argparse.ArgumentParser(prog="python -m napari_stemprior.qt.demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for what is made")
    parser.add_argument("--close", action="store_true", help="close the window at the end")
    options = parser.parse_args(arguments)
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        print(
            "There is no display; run it as: xvfb-run -a python -m napari_stemprior.qt.demo", file=sys.stderr
        )
        return 2
    with own_folders():
        try:
            viewer, desk = open_desk("mos2")
            run(viewer, desk, options.output)
        except StempriorError as error:
            print(error, file=sys.stderr)
            return 2
        if options.close or on_virtual_display():
            viewer.close()
        else:
            print("The window stays open: try steps 4 and 5 yourself, and close it when you are done.")
            napari.run()
    return 0


@contextmanager
def own_folders() -> Iterator[None]:
    """Keep the journal and the cache in a folder that is removed: the next desk offers no edits of a demo."""
    names = (journal_service.FOLDER_VARIABLE, scan_cache.FOLDER_VARIABLE)
    before = {name: os.environ.get(name) for name in names}
    with tempfile.TemporaryDirectory(prefix="stemprior-", ignore_cleanup_errors=True) as folder:
        os.environ.update({name: str(Path(folder, name.lower())) for name in names})
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def on_virtual_display() -> bool:
    """Tell whether nobody can see the window, because xvfb-run made the display."""
    return "xvfb-run" in os.environ.get("XAUTHORITY", "")


def open_desk(sample: str) -> tuple[napari.Viewer, StempriorDesk]:
    """Open a napari window with a sample and the desk."""
    viewer = napari.Viewer(title="napari-stemprior")
    viewer.window.resize(*WINDOW)
    viewer.open_sample("napari-stemprior", sample)
    _, dock = viewer.window.add_plugin_dock_widget("napari-stemprior")
    assert isinstance(dock, DeskDock)
    desk = dock.opened()
    overlays = viewer.canvas.overlays if hasattr(viewer, "canvas") else viewer
    overlays.scale_bar.visible = True
    settle()
    viewer.reset_view()
    return viewer, desk


def settle(seconds: float = 0.3) -> None:
    """Let the window react for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        QApplication.processEvents()
        time.sleep(0.01)


def dismiss() -> None:
    """Close what napari has notified, which would cover the scale bar of a picture."""
    for widget in QApplication.allWidgets():
        if type(widget).__name__ == "NapariQtNotification":
            widget.close()
    settle(0.1)


def wait(desk: StempriorDesk) -> None:
    """Wait until the running work is done.

    Raises
    ------
    StempriorError
        What stopped the work.
    """
    failures: list[StempriorError] = []
    desk.runner.failed.connect(failures.append)
    while desk.runner.busy:
        settle(0.05)
    desk.runner.failed.disconnect(failures.append)
    if failures:
        raise failures[0]
    settle()


def pick_prior(desk: StempriorDesk, name: str) -> None:
    """Pick a built-in prior in the list of step 2, and fit it."""
    panel = desk.prior_panel
    index = panel.names.findText(name)
    panel.names.setCurrentIndex(index)
    panel.names.activated.emit(index)
    settle()
    panel.fit.click()
    wait(desk)


def segment(desk: StempriorDesk) -> AtomEditor:
    """Press **Segment with prior** and wait.

    Raises
    ------
    StempriorError
        If the button cannot be pressed, or the work failed.
    """
    button = desk.segment_panel.segment
    if not button.isEnabled():
        raise StempriorError(f"Segmenting is not possible: {button.toolTip()}")
    button.click()
    wait(desk)
    editor = desk.session.editor
    if editor is None:
        raise StempriorError("The segmentation gave no atoms layer; see the notifications in the window.")
    return editor


def correct_one(desk: StempriorDesk, editor: AtomEditor) -> str:
    """Judge the least certain atom by how much the image supports it, and say what was done."""
    panel = desk.correct_panel
    if panel.next.isEnabled():
        panel.next.click()
    if not editor.selected_rows:  # nothing waits, or an empty site comes first
        desk.session.activate_atoms()
        editor.select([int(editor.rows["confidence"].to_numpy().argmin())])
    settle(0.6)
    (index,) = editor.selected_rows
    atom = editor.rows.iloc[index]
    supported = atom["evidence"] >= _NO_EVIDENCE
    (panel.accept if supported else panel.reject).click()
    settle()
    status = "accepted" if supported else "rejected"
    return (
        f"atom {atom['atom_id']} ({atom['element']}, confidence {atom['confidence']:.2f}, "
        f"evidence {atom['evidence']:.2f}) at x {atom['x_px']:.1f}, y {atom['y_px']:.1f} px {status}"
    )


def largest_gap(editor: AtomEditor, shape: tuple[int, int]) -> tuple[float, float, float]:
    """Return radius (Å), x and y (px) of the largest disc inside the image without an atom."""
    free = np.ones(np.add(shape, 2), bool)
    free[[0, -1], :] = free[:, [0, -1]] = False  # the edge of the image is no gap
    yx = np.rint(editor.table().yx).astype(int)
    free[tuple(np.clip(yx + 1, 0, np.add(shape, 1)).T)] = False
    distance = distance_transform_edt(free)
    y, x = np.unravel_index(distance.argmax(), distance.shape)
    return float(distance.max() * editor.pixel_size), float(x - 1), float(y - 1)


def look_at(viewer: napari.Viewer, editor: AtomEditor, y: float, x: float) -> None:
    """Bring a pixel to the centre, with some nanometres around it."""
    camera = viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
    camera.center = (0.0, *editor.layer.data_to_world((y, x)))
    camera.zoom = _ZOOM
    settle()


def run(viewer: napari.Viewer, desk: StempriorDesk, output: Path) -> None:
    """Go through the steps and write what they give.

    Parameters
    ----------
    viewer : napari.Viewer
    desk : StempriorDesk
    output : pathlib.Path
        Folder; made if it is missing.
    """
    output.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    pick_prior(desk, "MoS2")
    pose = desk.session.pose
    if pose is not None:
        print(f"The lattice lies at {pose.angle:.1f}°, with a score of {pose.score:.2f} of 1.")
    editor = segment(desk)
    found = editor.table()
    counts = ", ".join(f"{n} {e}" for e, n in found.rows["element"].value_counts().items())
    waiting = int((found.rows["status"] == "review").sum())
    image = desk.session.micrograph().image
    height, width = image.shape
    radius, x, y = largest_gap(editor, (height, width))
    print(f"Found {len(found)} atom columns ({counts}), {waiting} of them unsure.")
    empty = found.provenance.get("empty_sites")
    if empty is not None:
        print(f"Left empty: {empty} sites in the lattice, vacancies where the eye agrees.")
    print(f"Left empty: a hole of radius {radius:.1f} Å around x {x:.0f}, y {y:.0f} px, the largest gap.")

    viewer.reset_view()
    settle()
    overlay = output / "overlay.png"
    with replaced(overlay) as beside:
        viewer.export_figure(str(beside), scale_factor=1.5, flash=False)
    correction = correct_one(desk, editor)
    print(f"Corrected: {correction}.")

    desk.show_step("6 Export")
    desk.export_panel.write(output / "atoms.csv")
    wait(desk)
    desk.export_panel.write_pair(output / "training_pairs")
    wait(desk)
    desk.show_step("5 Correct")
    look_at(viewer, editor, y, x)
    dismiss()
    screenshot = output / "screenshot.png"
    with replaced(screenshot) as beside:
        viewer.screenshot(str(beside), canvas_only=False, flash=False)
    print(f"It took {time.monotonic() - started:.0f} s. Look at:")
    for path in (screenshot, overlay, output / "atoms.csv", output / "training_pairs"):
        print(f"  {path.resolve()}")


if __name__ == "__main__":
    raise SystemExit(main())
