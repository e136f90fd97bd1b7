"""What specimen and detector do to the brightness of a recording."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter

from benchmarks.recording.files import Recording, Setting
from benchmarks.recording.scan import Floats, mains_phase

#: Digits of the mean signal of a detector with a pedestal.
MEAN_DIGITS = 200.0


def _smooth(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Return an (H, W) field that varies over a fifth of the image, mean 0 and rms 1."""
    field = gaussian_filter(rng.normal(size=shape), max(shape) / 5, mode="reflect")
    return np.asarray((field - field.mean()) / field.std())


def gain(image: Floats, rng: np.random.Generator, setting: Setting) -> Floats:
    """Let the sensitivity vary smoothly by so many % rms."""
    return np.asarray(image * np.clip(1 + setting[0] / 100 * _smooth(rng, image.shape), 0.1, None))


def background(image: Floats, rng: np.random.Generator, setting: Setting) -> Floats:
    """Add a smooth film that goes from nothing to so many % of the mean signal."""
    field = _smooth(rng, image.shape)
    film = (field - field.min()) / (field.max() - field.min())
    return np.asarray(image + setting[0] / 100 * image.mean() * film)


def row_offsets(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """Add a constant to each row, white, so many % of the mean signal rms."""
    image = recording.image
    offset = rng.normal(0.0, setting[0] / 100 * image.mean(), len(image))
    return _with(recording, image + offset[:, None])


def afterglow(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """Let the light of each pixel decay over so many of the next ones in its row.

    The true positions move by the mean delay: a shift of the whole picture is nobody's error.
    """
    kept = np.exp(-1 / setting[0])
    image = recording.image.astype(float)
    start = kept * image[:, :1]  # as if the first pixel had been lit for long
    glowing, _ = lfilter([1 - kept], [1, -kept], image, axis=1, zi=start)
    before, delay = recording.move, kept / (1 - kept)
    return replace(_with(recording, glowing), move=lambda yx: before(yx) + np.array([0.0, delay]))


def flashes(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """Add so many streaks of 5 to 25 % of a row; their brightness in mean signals."""
    image = recording.image.astype(float)
    mean, (height, width) = image.mean(), image.shape
    for _ in range(int(setting[0])):
        length = int(rng.uniform(0.05, 0.25) * width)
        y, x = rng.integers(height), rng.integers(width - length)
        image[y, x : x + length] += setting[1] * mean * rng.uniform(0.5, 1.0)
    return _with(recording, image)


def hum_in_brightness(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """Let the mains add to the signal; amplitude in % of the mean signal."""
    image = recording.image
    wave = np.sin(mains_phase(rng, (image.shape[0], image.shape[1])))
    return _with(recording, image + setting[0] / 100 * image.mean() * wave)


def readout(recording: Recording, rng: np.random.Generator, setting: Setting) -> Recording:
    """Add white noise (% of the mean signal, rms) and a pedestal (mean signals), in whole digits."""
    image = recording.image / recording.image.mean()
    noise = rng.normal(0.0, setting[0] / 100, image.shape)
    return _with(recording, np.rint(MEAN_DIGITS * np.clip(image + noise + setting[1], 0.0, None)))


def _with(recording: Recording, image: NDArray[np.floating]) -> Recording:
    return replace(recording, image=image.astype(np.float32))
