"""An image of two grains of one crystal."""

import numpy as np

from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.registration import Pose
from napari_stemprior.structure import StructurePrior

PIXEL = 0.15
SHAPE = (320, 320)


class TwoGrains:
    """The same crystal twice, turned by 17 degrees to the right of the middle."""

    def __init__(self, prior: StructurePrior) -> None:
        left, left_index = Pose.from_angle(8.0, PIXEL, (3.0, 5.0)).columns(prior, SHAPE, 40)
        right, right_index = Pose.from_angle(25.0, PIXEL, (9.0, 2.0)).columns(prior, SHAPE, 40)
        a, b = left[:, 1] < 160, right[:, 1] > 168
        self.positions = np.concatenate([left[a], right[b]])
        self.index = np.concatenate([left_index[a], right_index[b]])

    def columns(self, prior: StructurePrior, shape: tuple[int, int], margin: float = 0.0):
        return self.positions, self.index

    def image(self, prior: StructurePrior) -> np.ndarray:
        """Draw them at 10⁴ e/Å²."""
        ideal = reference_image(prior, PRESETS["80 kV HAADF"], PIXEL, SHAPE, self)
        return NoiseChain(dose=1e4).apply(ideal, PIXEL, np.random.default_rng(0))
