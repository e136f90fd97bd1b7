"""An image of MoS2 where the fakes place the lattice, to be measured, and work that can be held up."""

import threading

import numpy as np
from desk_fakes import PIXEL_SIZE, fake_fit_lattice

from napari_stemprior.recording import prepare
from napari_stemprior.structure import built_in


def crystal(side, number=0):
    """Bright columns with the noise of a frame."""
    prior = built_in("MoS2")
    yx, column = fake_fit_lattice(None, PIXEL_SIZE, prior).pose.columns(prior, (side, side))
    rows, columns = np.mgrid[:side, :side]
    image = np.random.default_rng(number).normal(1, 0.05, (side, side))
    for (y, x), which in zip(yx, column, strict=True):
        high = 3.0 if prior.columns[which].element == "Mo" else 1.0
        image += high * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 2.2**2))
    return image.astype(np.float32)


class Gate:
    """Prepares images; `hold` stops it before one of the next ones until `go` is set."""

    def __init__(self):
        self._left = None
        self.reached, self.go = threading.Event(), threading.Event()

    def hold(self, after):
        """Let that many images pass, and stop before the next."""
        self._left = after

    def __call__(self, image):
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self._left = None
                self.reached.set()
                assert self.go.wait(60)
        return prepare(image)
