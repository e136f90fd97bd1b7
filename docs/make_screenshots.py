"""Take the pictures of the steps: ``python docs/make_screenshots.py [--output docs/images]``.

It drives the desk on the MoS2 sample, unfolds one step after the other and saves the whole window.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import napari
from PIL import Image

from napari_stemprior.qt import demo
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.layers.comparison import ComparisonMode


def main() -> None:
    """Take one picture a step, for each size and theme."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    parser.add_argument("--size", default=["1366x768"], nargs="+", help="such as 1366x768")
    parser.add_argument("--theme", default=["dark"], nargs="+", choices=("dark", "light"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with demo.own_folders():
        take_all(options)


def take_all(options: argparse.Namespace) -> None:
    """Go through the steps of the desk, with a picture of each."""
    viewer, desk = demo.open_desk("mos2")
    start = {title: section.expanded for title, section in desk.sections.items()}
    views = [(theme, *map(int, size.split("x"))) for theme in options.theme for size in options.size]
    take(viewer, desk, options.output, "0-start", views, start)
    demo.pick_prior(desk, "MoS2")
    take(viewer, desk, options.output, "1-image", views, only("1 Image", "2 Lattice prior"))
    take(viewer, desk, options.output, "2-prior", views, only("2 Lattice prior"))
    choose(viewer, desk, options.output, views)
    desk.reference_panel.simulate.click()
    demo.wait(desk)
    take(viewer, desk, options.output, "3-reference", views, only("3 Reference"))
    difference = desk.reference_panel.mode.findData(ComparisonMode.DIFFERENCE)
    desk.reference_panel.mode.activated.emit(difference)
    demo.wait(desk)
    viewer.reset_view()
    take(viewer, desk, options.output, "3-difference", views, only("3 Reference"))
    desk.reference_panel.comparison.set_mode(ComparisonMode.ALONE)
    viewer.layers.remove("MoS2 reference")
    editor = demo.segment(desk)
    viewer.reset_view()
    take(viewer, desk, options.output, "4-segment", views, only("4 Segment"))
    demo.correct_one(desk, editor)
    take(viewer, desk, options.output, "5-correct", views, only("5 Correct"))
    height, width = desk.session.micrograph().image.shape
    _, x, y = demo.largest_gap(editor, (height, width))
    demo.look_at(viewer, editor, y, x)
    take(viewer, desk, options.output, "desk", views, start, bottom=True)
    desk.export_panel.reviewed.draw.click()
    take(viewer, desk, options.output, "6-export", views, only("6 Export"))
    take(viewer, desk, options.output, "7-finetune", views, only("7 Fine-tune"))
    measure_and_list(viewer, desk, options.output, views)
    viewer.close()


def measure_and_list(
    viewer: napari.Viewer, desk: StempriorDesk, folder: Path, views: list[tuple[str, int, int]]
) -> None:
    """Show what was measured, and the list of all images with a second one."""
    viewer.reset_view()
    desk.show_step("8 Measure")
    desk.measure_panel.start()
    demo.wait(desk)
    take(viewer, desk, folder, "8-measure", views, only("8 Measure"))
    viewer.open_sample("napari-stemprior", "ws2_vacancies")
    demo.settle()
    viewer.reset_view()
    take(viewer, desk, folder, "9-all-images", views, only("All images"))


def choose(
    viewer: napari.Viewer, desk: StempriorDesk, folder: Path, views: list[tuple[str, int, int]]
) -> None:
    """Show the ways to a prior and its place: suggested, stacked, laid by hand."""
    panel = desk.prior_panel
    panel.suggest.click()
    demo.wait(desk)
    take(viewer, desk, folder, "2-suggest", views, only("2 Lattice prior"))
    panel.suggestions.show_suggestions([])
    panel.own_fold.set_expanded(True)
    panel.stack.upper_layer.setCurrentText("MoS2")
    panel.stack.lower_layer.setCurrentText("WS2")
    panel.stack.twist.setValue(3.1)
    panel.stack.build.click()
    take(viewer, desk, folder, "2-stack", views, only("2 Lattice prior"))
    panel.own_fold.set_expanded(False)
    demo.pick_prior(desk, "MoS2")
    panel.manual_fit_fold.set_expanded(True)
    panel.manual_fit.drag.click()
    panel.manual_fit.angle.setValue(6.0)
    take(viewer, desk, folder, "2-hand", views, only("2 Lattice prior"), bottom=True)
    panel.manual_fit_fold.set_expanded(False)
    demo.pick_prior(desk, "MoS2")


def only(*titles: str) -> dict[str, bool]:
    """Say which steps are unfolded."""
    return dict.fromkeys(titles, True)


def take(
    viewer: napari.Viewer,
    desk: StempriorDesk,
    folder: Path,
    name: str,
    views: list[tuple[str, int, int]],
    unfolded: dict[str, bool],
    *,
    bottom: bool = False,
) -> None:
    """Save the window in every size and theme."""
    for title, section in desk.sections.items():
        section.set_expanded(unfolded.get(title, False))
    demo.dismiss()
    for theme, width, height in views:
        viewer.theme = theme
        viewer.window.resize(width, height)
        demo.settle(0.6)
        bar = desk.scroll_area.verticalScrollBar()
        bar.setValue(bar.maximum() if bottom else 0)
        demo.settle(0.2)
        path = folder / (f"{name}-{theme}-{width}.png" if len(views) > 1 else f"{name}.png")
        picture = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)[..., :3])
        picture.quantize(256).save(path, optimize=True)  # a third of the size, and no visible loss
        print(path)


if __name__ == "__main__":
    main()
