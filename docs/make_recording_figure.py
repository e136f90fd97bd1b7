"""Draw docs/images/recording_prepared.png: recordings with faults, what is found, what is made of them.

``python docs/make_recording_figure.py``
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
from matplotlib import pyplot as plt
from scipy.ndimage import binary_dilation

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from benchmarks.recording.images import recording, rows, strip, turned  # noqa: E402
from napari_stemprior.recording import prepare  # noqa: E402

#: Colours of the kinds of areas.
COLOURS = {"border": "#e69f00", "corner": "#e69f00", "caption strip": "#009e73", "rows": "#d55e00"}


def main() -> None:
    """Draw the picture."""
    plain = recording("wse2_vacancies", 1.5e4, side=256)
    rng = np.random.default_rng(0)
    offsets = rng.normal(0, 0.35 * plain.image.mean(), (256, 1))
    cases = {
        "row offsets, 35 % of the mean": (plain.image + offsets).astype(np.float32),
        "frame turned by 8°": turned(8.0, 1)(plain, rng).image,
        "caption strip": strip(44, 18, 0.0, 1.0, False)(plain, rng).image,
        "five saturated rows": rows(5, "saturated")(plain, rng).image,
    }
    figure, axes = plt.subplots(3, len(cases), figsize=(12, 9.4), layout="constrained")
    low, high = np.percentile(plain.image, (0.5, 99.5))
    for column, (name, image) in enumerate(cases.items()):
        made = prepare(image)
        axes[0, column].imshow(image, cmap="gray", vmin=low, vmax=high)
        axes[0, column].set_title(name)
        axes[2, column].imshow(made.image, cmap="gray", vmin=low, vmax=high)
        middle = axes[1, column]
        if made.row_offsets.any():
            y = np.arange(64)
            middle.plot((offsets[:, 0] - offsets.mean())[:64], y, color="#999999", lw=1.6, label="added")
            middle.plot(made.row_offsets[:64], y, color="#0072b2", lw=0.9, label="taken out")
            middle.set(ylim=(63.5, -0.5), xlabel="electrons a pixel, first 64 rows")
            middle.set_box_aspect(1)
            middle.legend(loc="lower right")
        else:
            middle.imshow(image, cmap="gray", vmin=low, vmax=high, alpha=0.35)
            for area in made.areas:
                colour = COLOURS[area.kind]
                layer = np.zeros((*image.shape, 4))
                wide = binary_dilation(area.mask, np.ones((3, 1))) if area.kind == "rows" else area.mask
                layer[wide] = matplotlib.colors.to_rgba(colour, 0.9)
                middle.imshow(layer, interpolation="nearest")
                if area.kind != "corner":
                    middle.plot([], [], "s", color=colour, label=area.kind)
            middle.legend(loc="upper right")
    for name, row in zip(("as recorded", "found", "prepared"), axes, strict=True):
        row[0].set_ylabel(name, fontsize=12)
    for axis in axes.ravel():
        axis.set_yticks([])
        if axis is not axes[1, 0]:
            axis.set_xticks([])
    (HERE / "images").mkdir(exist_ok=True)
    figure.savefig(HERE / "images" / "recording_prepared.png", dpi=80)


if __name__ == "__main__":
    main()
